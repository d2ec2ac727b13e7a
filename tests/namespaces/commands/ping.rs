//! `ping`, beside iputils' in the same network namespace.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::{link, script, within_network};
use crate::live::{end, run, wait};
use crate::prompt::Prompt;
use crate::support::{LIMIT, Sandbox, needs_root, sandbox, signal, skip};

const NET_RAW: u64 = 1 << 13;

/// Lets every group of a container open datagram sockets of ICMP.
fn allow(target: &Sandbox) {
    script(target, "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range");
}

/// A container that may ping, with a loopback that is up.
fn target() -> Sandbox {
    let target = sandbox().file("etc/hosts", "127.0.0.1 me\n::1 me6\n").start();
    script(&target, "ip link set lo up");
    allow(&target);
    target
}

/// Text with its times taken out.
fn timeless(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.replace('\n', " \n ").split(' ') {
        let is_time = word.starts_with("time=")
            || word.strip_suffix("ms").is_some_and(|digits| digits.parse::<u32>().is_ok())
            || word.matches('/').count() == 3 && word.contains('.');
        words.push(if is_time { "T".into() } else { word.to_owned() });
    }
    words.join(" ")
}

fn has_oracle() -> bool {
    Command::new("ping").arg("-V").output().is_ok_and(|ran| ran.status.success())
}

#[test]
fn text_is_iputils() {
    needs_root!();
    if !has_oracle() {
        skip!("no iputils here: apt-get install iputils-ping");
    }
    let (one, two) = (target(), target());
    link(&one, &two);
    script(
        &one,
        "ip route add unreachable 10.61.0.0/16\nip route add 10.62.0.0/16 via 10.7.0.2\n\
         ip -6 route add fd62::/64 via fd07::2",
    );
    script(
        &two,
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n\
         sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0\n\
         ip route add prohibit 10.62.1.0/24\nip route add 10.62.2.0/24 via 10.7.0.1",
    );
    let mut seen = String::new();
    for line in [
        "ping -n -c 2 -i 0.2 127.0.0.1",
        "ping -n -c 1 ::1",
        "ping -n -c 2 -i 0.2 10.7.0.2",
        "ping -n -c 1 -s 1400 10.7.0.2",
        "ping -n -c 1 -s 20 fd07::2",
        "ping -n -q -c 2 -i 0.2 10.7.0.2",
        "ping -n -c 1 -t 1 10.62.2.1",
        "ping -n -c 1 -t 1 -W 1 fd62::1",
        "ping -n -c 1 -W 1 10.62.1.1",
        "ping -n -c 2 -i 0.2 10.62.0.1",
        "ping -n -c 2 -w 5 -i 0.2 10.7.0.2",
        "ping -n -c 1 -I wire 10.7.0.2",
        "ping -n -c 1 -I 10.7.0.1 10.7.0.2",
        "ping -n -c 1 -I 127.0.0.9 127.0.0.1",
        "ping -n -c 1 -I wire fd07::2",
        "ping -n -c 1 -I fd07::1 fd07::2",
        "ping -n -c 1 -M do -s 1472 10.7.0.2",
        "ping -n -c 1 -M dont -s 3000 10.7.0.2",
        "ping -n -c 1 -M want -s 3000 10.7.0.2",
        "ping -n -c 1 -M do -s 1452 fd07::2",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        // A router sends an error a second at most where one of its routes is to blame.
        let same = (0..4).any(|attempt| {
            let rest = || std::thread::sleep(Duration::from_millis(attempt * 1200));
            rest();
            let theirs = within_network(&one, &words).output().unwrap();
            rest();
            let ours = one.run(&words);
            seen = format!("{line}\n{}{}", String::from_utf8_lossy(&theirs.stdout), ours.text());
            assert_eq!(ours.err, "", "{line}");
            Some(ours.status) == theirs.status.code()
                && timeless(&ours.text()) == timeless(&String::from_utf8_lossy(&theirs.stdout))
        });
        assert!(same, "{seen}");
    }
    // Names: without a look-up in reverse.
    let ran = one.run(&["ping", "-c", "1", "me"]);
    assert!(
        ran.text().starts_with(
            "PING me (127.0.0.1) 56(84) bytes of data.\n64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time="
        ),
        "{ran:?}"
    );
    assert!(ran.text().contains("\n--- me ping statistics ---\n"));
}

#[test]
fn requests_leave_from_where_and_as_large_as_they_are_told() {
    needs_root!();
    let (one, two) = (target(), target());
    link(&one, &two);
    let ran = one.run(&["ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1473", "10.7.0.2"]);
    assert!(ran.status == 1 && ran.text().contains("message too long, mtu: 1500"), "{ran:?}");
    for (line, said) in [
        ("ping -c 1 -I nosuch 127.0.0.1", "bind to nosuch: no such device"),
        ("ping -c 1 -I 10.9.9.9 10.7.0.2", "bind to 10.9.9.9: cannot assign requested address"),
        ("ping -c 1 -I ::1 127.0.0.1", "127.0.0.1"),
        ("ping -c 1 -M maybe 127.0.0.1", "it is do, want, dont or probe"),
    ] {
        one.line(line).fails(2, said);
    }
    // The interface decides, whatever the routes say.
    let ran = one.run(&["ping", "-c", "1", "-W", "0.5", "-I", "lo", "10.7.0.2"]);
    assert_ne!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_flood_follows_the_answers() {
    needs_root!();
    let one = target();
    let started = Instant::now();
    let ran = one.run(&["ping", "-f", "-c", "100", "127.0.0.1"]);
    assert!(ran.text().contains("\n100 packets transmitted, 100 received, 0% packet loss"), "{ran:?}");
    assert!(!ran.text().contains("bytes from") && !ran.text().contains('.'.to_string().repeat(2).as_str()));
    // One a second would take 99 seconds; and who is not uid 0 sends no more than 500 a second.
    assert!((Duration::from_millis(190)..Duration::from_secs(10)).contains(&started.elapsed()));
    script(
        &one,
        "ip addr add 10.7.0.1/24 dev lo\nip route add blackhole 10.8.0.0/16\nip link add v type veth peer name w\n\
         ip addr add 10.6.0.1/24 dev v\nip link set v up\nip link set w up\nip neigh add 10.6.0.9 lladdr 02:00:00:00:00:09 dev v",
    );
    let ran = one.run(&["ping", "-f", "-c", "20", "-W", "0.1", "10.6.0.9"]);
    assert!(ran.status == 1 && ran.text().contains("\n...................\n"), "{ran:?}");
}

#[test]
fn json_tells_answers_errors_and_silence() {
    needs_root!();
    let (one, two) = (target(), target());
    link(&one, &two);
    let rows = |words: &[&str]| {
        let ran = run(one.nsdbg().args(["--json", "--", "ping"]).args(words));
        let rows: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (ran.status, rows)
    };
    let (status, all) = rows(&["-c", "3", "-i", "0.1", "10.7.0.2"]);
    assert_eq!((status, all.len()), (0, 3));
    for (at, row) in all.iter().enumerate() {
        assert_eq!(
            (row["seq"].as_u64(), &row["from"], &row["ttl"]),
            (Some(at as u64 + 1), &"10.7.0.2".into(), &64.into())
        );
        assert!(row["time"].as_f64().unwrap() < 1.0 && row["error"].is_null() && row["bytes"] == 64);
    }
    // Somebody who never answers.
    script(&two, "sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
    let began = Instant::now();
    let (status, all) = rows(&["-c", "2", "-i", "0.1", "-W", "1", "10.7.0.2"]);
    assert_eq!((status, all.len()), (1, 2), "{all:?}");
    assert!(all.iter().all(|row| row["error"] == "no answer" && row["from"].is_null()));
    assert!(began.elapsed() < Duration::from_secs(4));
    // Nobody there.
    let (status, all) = rows(&["-c", "1", "10.7.0.99"]);
    assert_eq!(status, 1);
    assert_eq!(
        (&all[0]["from"], &all[0]["error"]),
        (&"10.7.0.1".into(), &"Destination Host Unreachable".into())
    );
}

// Seen to fail without the raw socket.
#[test]
fn a_raw_socket_where_groups_may_not_and_what_is_missing_without_it() {
    needs_root!();
    let one = sandbox().start();
    script(&one, "ip link set lo up; echo '1 0' > /proc/sys/net/ipv4/ping_group_range");
    let ran = one.run(&["ping", "-c", "1", "127.0.0.1"]);
    ran.fails(2, "ping: open ICMP socket: it takes CAP_NET_RAW, or group 65532 in net.ipv4.ping_group_range, which is 1 0 (--cap-add NET_RAW)\n");
    let ran = one.run_with(&["--cap-add", "NET_RAW"], &["ping", "-c", "1", "127.0.0.1"]).ok();
    assert!(ran.contains("64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time="), "{ran}");
    let capable = sandbox().user(0, 0).caps(NET_RAW).start();
    script(&capable, "ip link set lo up; echo '1 0' > /proc/sys/net/ipv4/ping_group_range");
    // Others ping too: their answers, which a raw socket sees, are not counted.
    let mut noise = within_network(&capable, &["ping", "-q", "-i", "0.002", "-c", "500", "127.0.0.1"]);
    let mut noise = noise.stdout(Stdio::null()).spawn().unwrap();
    for address in ["127.0.0.1", "::1"] {
        let ran = capable.run(&["ping", "-c", "5", "-i", "0.1", address]).ok();
        assert_eq!(ran.matches(" bytes from ").count(), 5, "{ran}");
        assert!(ran.contains("5 packets transmitted, 5 received, 0% packet loss"), "{ran}");
    }
    let _ = noise.wait();
}

// Seen to fail without the memory of what was answered.
#[test]
fn duplicates_are_told() {
    needs_root!();
    let (one, two) = (target(), target());
    link(&one, &two);
    // All hosts of a link answer to this address.
    script(&one, "ip route add 224.0.0.0/4 dev wire");
    for target in [&one, &two] {
        script(target, "sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0");
    }
    let ran = one.run(&["ping", "-c", "2", "-i", "0.3", "-W", "1", "224.0.0.1"]);
    let text = ran.text();
    assert!(
        text.contains("bytes from 10.7.0.1: icmp_seq=1 ")
            && text.contains("bytes from 10.7.0.2: icmp_seq=1 "),
        "{ran:?}"
    );
    assert!(text.contains(" (DUP!)\n") && text.contains("2 received, +"), "{ran:?}");
    assert!(text.contains(" duplicates, 0% packet loss"), "{ran:?}");
}

#[test]
fn ctrl_c_prints_the_statistics() {
    needs_root!();
    let one = target();
    let mut prompt = Prompt::start(&one);
    prompt.sees("web:/$ ");
    prompt.type_in(b"ping -i 0.2 127.0.0.1\r");
    prompt.sees("icmp_seq=3 ");
    prompt.type_in(b"\x03");
    prompt.sees("0% packet loss, time ");
    prompt.sees("rtt min/avg/max/mdev = ");
    prompt.sees("web:/$ ");
    // One-shot, without a terminal.
    let mut command = one.nsdbg();
    command.args(["--", "ping", "-i", "0.2", "127.0.0.1"]);
    let mut ping =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 60];
    ping.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    signal(ping.id() as i32, libc::SIGINT);
    let ran = end(ping);
    assert!(ran.text().contains("packet loss"), "{ran:?}");
    // Who reads it goes.
    let mut command = one.nsdbg();
    command.args(["--", "ping", "-i", "0.1", "127.0.0.1"]);
    let mut ping =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(ping.stdout.take());
    assert_eq!(wait(&mut ping, LIMIT), Some(141));
}

#[test]
fn wrong_words_and_hosts() {
    needs_root!();
    let one = target();
    for (words, said) in [
        (&["ping"][..], "required"),
        (&["ping", "-c", "0", "127.0.0.1"], "invalid value '0'"),
        (&["ping", "-s", "65508", "127.0.0.1"], "invalid value '65508'"),
        (&["ping", "-t", "256", "127.0.0.1"], "invalid value '256'"),
        (&["ping", "-i", "0", "127.0.0.1"], "it is a positive number of seconds"),
        (&["ping", "-i", "0.001", "127.0.0.1"], "it is 0.002 at least"),
        (&["ping", "-W", "nan", "127.0.0.1"], "it is a positive number of seconds"),
        (&["ping", "-4", "::1"], "ping: resolve ::1: no IPv4 address"),
        (&["ping", "no.such.name"], "ping: resolve no.such.name: "),
        (&["ping", ""], "not a host name"),
        (&["ping", "192.0.2.1"], "ping: connect 192.0.2.1: network is unreachable"),
    ] {
        let ran = one.run(words);
        ran.fails(2, said);
        assert_eq!((ran.err.lines().count(), ran.text().as_str()), (1, ""), "{ran:?}");
    }
    let ran = one.run(&["ping", "-c", "18446744073709551615", "-w", "1", "-i", "0.002", "127.0.0.1"]);
    assert!(ran.status == 1 && ran.text().contains(" 0% packet loss"), "{ran:?}");
    let ran = one.run(&["ping", "-q", "-c", "1", "-s", "65507", "127.0.0.1"]).ok();
    assert!(ran.contains("65507(65535) bytes of data"), "{ran}");
}
