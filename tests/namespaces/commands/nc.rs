//! `nc`, with OpenBSD's as the other side.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::network::{script, within_network};
use crate::live::{Ran, end, run, run_with_input, wait, within};
use crate::prompt::Prompt;
use crate::support::{LIMIT, Sandbox, mute, needs_root, sandbox, signal, skip};

/// A container with a loopback that is up, and a directory that anybody may write.
fn target() -> Sandbox {
    let target = sandbox().file("etc/hosts", "127.0.0.1 localhost me\n").start();
    script(&target, "ip link set lo up");
    target
}

fn has_peer() -> bool {
    Command::new("nc")
        .arg("-h")
        .output()
        .is_ok_and(|ran| String::from_utf8_lossy(&ran.stderr).contains("OpenBSD"))
}

macro_rules! needs_peer {
    () => {
        needs_root!();
        if !has_peer() {
            skip!("no peer for nc: apt-get install netcat-openbsd");
        }
    };
}

/// OpenBSD's nc in the container's network, with pipes.
fn peer(target: &Sandbox, words: &[&str]) -> Child {
    let mut command = within_network(target, &[&["nc"], words].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// nsdbg's nc, with pipes.
fn ours(target: &Sandbox, words: &[&str]) -> Child {
    let mut command = target.nsdbg();
    command.args(["--", "nc"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until something listens in the container: a port of TCP or UDP, or a path.
fn listens(target: &Sandbox, what: &str) {
    let listing = || {
        let said = within_network(target, &["ss", "-Hlntux"]).output().unwrap();
        String::from_utf8_lossy(&said.stdout).contains(what)
    };
    assert!(within(LIMIT, listing), "{what}");
}

/// Bytes of all values, more than any pipe holds.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn feed(child: &mut Child, bytes: Vec<u8>) {
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || stdin.write_all(&bytes));
}

#[test]
fn bytes_go_both_ways_as_they_are() {
    needs_peer!();
    let target = target();
    let there = noise(5_000_000);
    for ours_listens in [false, true] {
        // OpenBSD's listener ends with the other side, whatever it has still to send.
        let back = noise(if ours_listens { 3_000_001 } else { 1000 });
        let listening = ["-l", "-N", "127.0.0.1", "9001"];
        let connecting = ["-N", "127.0.0.1", "9001"];
        let start =
            |ours_is: bool, words: &[&str]| if ours_is { ours(&target, words) } else { peer(&target, words) };
        let mut listener = start(ours_listens, &listening);
        listens(&target, "127.0.0.1:9001");
        let mut client = start(!ours_listens, &connecting);
        feed(&mut listener, back.clone());
        feed(&mut client, there.clone());
        let client = std::thread::spawn(move || end(client));
        let heard = end(listener);
        let client = client.join().unwrap();
        assert_eq!((heard.status, client.status), (0, 0), "{} {}", heard.err, client.err);
        assert!(heard.out == there && client.out == back, "ours listens: {ours_listens}");
    }
}

#[test]
fn who_connects_is_told_and_ports_are_scanned() {
    needs_peer!();
    let target = target();
    let mut listener = ours(&target, &["-lvk", "9002"]);
    listens(&target, "0.0.0.0:9002");
    for _ in 0..2 {
        let mut client = peer(&target, &["-N", "127.0.0.1", "9002"]);
        feed(&mut client, b"line\n".to_vec());
        assert_eq!(end(client).status, 0);
    }
    let ran = target.run(&["nc", "-zv", "-w", "2", "me", "9001-9003"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        ran.err,
        "nc: connect 127.0.0.1 port 9001: connection refused\n\
         Connection to me (127.0.0.1) 9002 port [tcp/*] succeeded!\n\
         nc: connect 127.0.0.1 port 9003: connection refused\n"
    );
    // In the peer's words.
    let theirs = within_network(&target, &["nc", "-zv", "127.0.0.1", "9002"]).output().unwrap();
    let ran = target.run(&["nc", "-zv", "127.0.0.1", "9002"]);
    assert_eq!(ran.err, String::from_utf8_lossy(&theirs.stderr));
    signal(listener.id() as i32, libc::SIGINT);
    assert!(wait(&mut listener, LIMIT).is_some());
    let mut said = String::new();
    listener.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("Listening on 0.0.0.0 9002\nConnection received on 127.0.0.1 "), "{said}");
    assert_eq!(said.matches("Connection received").count(), 5, "{said}");
    let mut heard = String::new();
    listener.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "line\nline\n");
    // Quiet where nobody listens, and told by the status.
    let ran = target.run(&["nc", "-z", "127.0.0.1", "9003"]);
    assert_eq!((ran.status, ran.err.as_str()), (1, ""), "{ran:?}");
}

#[test]
fn datagrams() {
    needs_peer!();
    let target = target();
    let mut listener = ours(&target, &["-luv", "-w", "5", "9004"]);
    listens(&target, "0.0.0.0:9004");
    let mut client = peer(&target, &["-u", "127.0.0.1", "9004"]);
    client.stdin.as_mut().unwrap().write_all(b"question").unwrap();
    let mut heard = [0; 8];
    listener.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"question");
    listener.stdin.as_mut().unwrap().write_all(b"answer").unwrap();
    let mut heard = [0; 6];
    client.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"answer");
    for mut child in [client, listener] {
        let _ = child.kill();
        let _ = child.wait();
    }
    // More than a datagram holds is sent as several.
    let listener = peer(&target, &["-lu", "-w", "2", "127.0.0.1", "9014"]);
    listens(&target, "127.0.0.1:9014");
    let ran = run_with_input(
        target.nsdbg().args(["--", "nc", "-u", "-q", "1", "127.0.0.1", "9014"]),
        &noise(200_000),
    );
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let _ = end(listener);
    // Nobody there: the error comes back.
    let ran = run_with_input(target.nsdbg().args(["--", "nc", "-u", "-w", "3", "127.0.0.1", "9005"]), b"x");
    ran.fails(1, "nc: receive: connection refused");
    target.run(&["nc", "-zu", "127.0.0.1", "9005"]).fails(1, "");
}

#[test]
fn unix_sockets_and_their_files() {
    needs_peer!();
    let target = target();
    let path = target.root.join("tmp/socket");
    let mut listener = ours(&target, &["-lUN", "/tmp/socket"]);
    assert!(within(LIMIT, || path.exists()));
    let mut client = peer(&target, &["-UN", path.to_str().unwrap()]);
    feed(&mut client, b"to".to_vec());
    feed(&mut listener, b"from".to_vec());
    let (client, heard) = (end(client), end(listener));
    assert_eq!((heard.text().as_str(), client.text().as_str()), ("to", "from"), "{heard:?} {client:?}");
    assert!(!path.exists(), "the socket's file is left");
    // Ours connects.
    let mut listener = peer(&target, &["-lUN", path.to_str().unwrap()]);
    assert!(within(LIMIT, || path.exists()));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&path, mode).unwrap();
    feed(&mut listener, b"back".to_vec());
    let ran = run_with_input(target.nsdbg().args(["--", "nc", "-NU", "/tmp/socket"]), b"there");
    assert_eq!((ran.ok().as_str(), end(listener).text().as_str()), ("back", "there"));
    let _ = std::fs::remove_file(&path);
    // What is there already stays.
    std::fs::write(&path, "a file").unwrap();
    target.run(&["nc", "-lU", "/tmp/socket"]).fails(1, "nc: bind /tmp/socket: address already in use");
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    let ran = target.run_with(&["--read-only"], &["nc", "-lU", "/tmp/other"]);
    ran.fails(1, "nc: bind /tmp/other: the session is --read-only");
}

// Seen to fail without the signals held back.
#[test]
fn the_file_of_a_unix_socket_goes_with_ctrl_c() {
    needs_root!();
    let target = target();
    let path = target.root.join("tmp/socket");
    let mut listener = ours(&target, &["-lU", "/tmp/socket"]);
    assert!(within(LIMIT, || path.exists()));
    signal(listener.id() as i32, libc::SIGINT);
    assert_eq!(wait(&mut listener, LIMIT), Some(130));
    assert!(!path.exists());
}

#[test]
fn ends_of_standard_input_and_of_time() {
    needs_peer!();
    let target = target();
    // The other side keeps silent: -w ends it, and is no failure.
    let silent = mute();
    script(&silent, "ip link set lo up");
    let began = Instant::now();
    let ran = run_with_input(silent.nsdbg().args(["--", "nc", "-w", "1", "127.0.0.1", "8080"]), b"");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!((1.0..5.0).contains(&began.elapsed().as_secs_f64()));
    let ran = run_with_input(silent.nsdbg().args(["--", "nc", "-q", "1", "127.0.0.1", "8080"]), b"");
    assert_eq!(ran.status, 0, "{ran:?}");
    // Nobody comes.
    target.run(&["nc", "-l", "-w", "1", "9006"]).fails(1, "nc: accept 0.0.0.0 9006: nobody came in time");
    target.run(&["nc", "-w", "1", "-lvnp", "9006"]).fails(1, "nc: accept 0.0.0.0 9006: nobody came in time");
    target.run(&["nc", "-p", "9006"]).fails(2, "takes a host and a port");
    // Nobody answers: a route that leads nowhere.
    script(
        &target,
        "ip link add d0 type bridge\nip link set d0 up\nip addr add 10.1.0.1/24 dev d0\n\
         ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent",
    );
    target
        .run(&["nc", "-w", "1", "10.1.0.2", "1"])
        .fails(1, "nc: connect 10.1.0.2 port 1: no answer in time");
    target.run(&["nc", "192.0.2.1", "1"]).fails(1, "nc: connect 192.0.2.1 port 1: network is unreachable");
    // From a port of ours.
    let listener = peer(&target, &["-lvn", "127.0.0.1", "9007"]);
    listens(&target, "127.0.0.1:9007");
    let ran =
        run(target.nsdbg().args(["--", "nc", "-N", "-p", "9100", "-s", "127.0.0.1", "127.0.0.1", "9007"]));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(end(listener).err.contains("127.0.0.1 9100"));
}

#[test]
fn wrong_words_and_hosts() {
    needs_root!();
    let target = target();
    for (words, status, said) in [
        (&["nc"][..], 2, "takes a host and a port (nc HOST PORT)"),
        (&["nc", "web"], 2, "the port of web is missing: nc web PORT"),
        (&["nc", "web", "0"], 2, "'0' is not a port: it is 1 to 65535"),
        (&["nc", "web", "65536"], 2, "'65536' is not a port"),
        (&["nc", "-l", "0"], 2, "'0' is not a port"),
        (&["nc", "-p", "0", "web", "1"], 2, "a port is 1 to 65535"),
        (&["nc", "-k", "web", "1"], 2, "-l"),
        (&["nc", "-U", "a", "b"], 2, "-U takes one path"),
        (&["nc", "-l", "80-81"], 2, "-l takes one port"),
        (&["nc", "-n", "me", "1"], 1, "nc: resolve me: it is a name, and -n takes none"),
        (&["nc", "-w", "1", "no.such.name", "1"], 1, "nc: resolve no.such.name: "),
        (&["nc", "127.0.0.1", "1"], 1, "nc: connect 127.0.0.1 port 1: connection refused"),
        (&["nc", "-U", "/none"], 1, "nc: connect /none: no such file or directory"),
        (&["nc", "-U", "/etc/passwd"], 1, "nc: connect /etc/passwd: permission denied"),
        (&["nc", "-l", "80"], 1, "nc: bind 0.0.0.0:80: permission denied"),
    ] {
        let ran: Ran = target.run(words);
        ran.fails(status, said);
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn much_goes_through_at_a_good_rate_and_a_closed_pipe_is_quiet() {
    needs_peer!();
    let target = target();
    const LENGTH: usize = 256 << 20;
    let began = Instant::now();
    let listener = peer(&target, &["-lN", "127.0.0.1", "9008"]);
    listens(&target, "127.0.0.1:9008");
    let mut client = ours(&target, &["-N", "127.0.0.1", "9008"]);
    let mut stdin = client.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let piece = vec![7; 1 << 20];
        (0..LENGTH >> 20).for_each(|_| stdin.write_all(&piece).unwrap());
    });
    let heard = end(listener);
    writer.join().unwrap();
    assert_eq!((heard.out.len(), end(client).status), (LENGTH, 0), "{}", heard.err);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    // Who reads our output goes.
    let mut listener = peer(&target, &["-lN", "127.0.0.1", "9009"]);
    listens(&target, "127.0.0.1:9009");
    let mut client = ours(&target, &["127.0.0.1", "9009"]);
    drop(client.stdout.take());
    feed(&mut listener, vec![7; 8 << 20]);
    assert_eq!(wait(&mut client, LIMIT), Some(141));
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    let _ = listener.kill();
    let _ = listener.wait();
}

#[test]
fn at_the_prompt_lines_are_relayed_and_ctrl_c_brings_it_back() {
    needs_peer!();
    let target = target();
    let mut listener = peer(&target, &["-l", "127.0.0.1", "9010"]);
    listens(&target, "127.0.0.1:9010");
    let mut prompt = Prompt::start(&target);
    prompt.sees("web:/$ ");
    prompt.type_in(b"nc 127.0.0.1 9010\r");
    listener.stdin.as_mut().unwrap().write_all(b"hello from there\n").unwrap();
    prompt.sees("hello from there");
    prompt.type_in(b"typed here\n");
    let mut heard = [0; 11];
    listener.stdout.as_mut().unwrap().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"typed here\n");
    prompt.type_in(b"\x03");
    prompt.sees("web:/$ ");
    let _ = listener.kill();
    let _ = listener.wait();
}
