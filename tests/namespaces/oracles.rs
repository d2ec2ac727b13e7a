//! nsdbg's commands against the tools whose names they have, on the same data.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::live::run;
use crate::support::{needs_root, sandbox, skip};

/// Whether a tool is there; its absence skips the test.
macro_rules! needs_tool {
    ($tool:expr, $package:expr) => {
        if Command::new($tool).arg("--version").output().is_err() {
            skip!("no {}: apt-get install {}", $tool, $package);
        }
    };
}

/// Stdout of the node's own tool, in the C locale and UTC.
fn oracle(command: &mut Command) -> String {
    let ran = run(command.env("LC_ALL", "C").env("TZ", "UTC"));
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.text()
}

#[test]
fn cat_prints_what_gnu_cat_prints() {
    needs_root!();
    needs_tool!("cat", "coreutils");
    let data: &[u8] = b"one\n\n\n\ttab\x01\x7f\x80\xff\r\nsix\n\n\nno newline";
    let target = sandbox().file("data/a", data).file("data/empty", "").file("data/b", "b\n").start();
    for options in ["", "-n", "-b", "-s", "-A", "-E", "-T", "-v", "-e", "-t", "-ns", "-bE", "-sA"] {
        let files = ["data/a", "data/empty", "data/b", "data/a"];
        let mut ours = vec!["cat"];
        ours.extend((!options.is_empty()).then_some(options));
        let mut theirs = Command::new("cat");
        theirs.args(&ours[1..]);
        let inside: Vec<String> = files.iter().map(|file| format!("/{file}")).collect();
        ours.extend(inside.iter().map(String::as_str));
        theirs.args(files.iter().map(|file| target.root.join(file)));
        let (ours, theirs) = (target.run(&ours), run(&mut theirs));
        assert_eq!((ours.status, &ours.out), (theirs.status, &theirs.out), "cat {options}");
    }
}

#[test]
fn ls_prints_what_gnu_ls_prints() {
    needs_root!();
    needs_tool!("ls", "coreutils");
    let target = sandbox()
        .file("data/plain", "x")
        .file("data/.hidden", "")
        .file("data/Upper", "some bytes")
        .file("data/sub/inner", "1234567890")
        .file("data/with space", "")
        .start();
    let data = target.root.join("data");
    symlink("plain", data.join("link")).unwrap();
    symlink("/nowhere", data.join("broken")).unwrap();
    nix::unistd::mkfifo(&data.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    fs::hard_link(data.join("plain"), data.join("hard")).unwrap();
    for options in
        ["-1", "-a", "-A", "-n", "-na", "-1F", "-1R", "-1r", "-1S", "-1t", "-1i", "-nh", "-nR", "-1d", "-nF"]
    {
        let ours = target.line(&format!("cd /data; ls {options}"));
        let theirs = oracle(Command::new("ls").arg(options).current_dir(&data));
        assert_eq!((ours.status, ours.text()), (0, theirs), "ls {options}");
    }
}

#[test]
fn ps_has_the_columns_and_selections_of_procps() {
    needs_root!();
    needs_tool!("ps", "procps");
    let target = sandbox().user(0, 0).start();
    let pid = target.pid.to_string();
    let both = |options: &str| {
        let words: Vec<&str> = options.split_whitespace().collect();
        let ours = target.run(&[&["ps"], words.as_slice(), &["-p", "1"]].concat()).ok();
        (ours, oracle(Command::new("ps").args(words).args(["-p", &pid])))
    };
    for columns in ["netns=", "mntns=", "userns=", "oomadj=", "label="] {
        let (ours, theirs) = both(&format!("-o {columns}"));
        assert_eq!(ours.trim(), theirs.trim(), "{columns}");
    }
    for list in ["pid:9=,comm:3=,nice:4=", "comm:20,ni:5", "ni:3,comm:4"] {
        let (ours, theirs) = both(&format!("-o {list}"));
        let end = |text: &str| {
            text.lines()
                .map(|line| line.split_once(&pid).map_or(line, |two| two.1).to_owned())
                .collect::<Vec<_>>()
        };
        let ours: Vec<String> =
            ours.lines().map(|line| line.strip_prefix("        1").unwrap_or(line).to_owned()).collect();
        assert_eq!(ours, end(&theirs), "{list}");
    }
    for options in ["-F", "-j", "-jf", "-fZ", "-lZ", "-h -j"] {
        let (ours, theirs) = both(options);
        let head = |text: &str| {
            text.lines().next().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        if !options.contains("-h") {
            assert_eq!(head(&ours), head(&theirs), "ps {options}");
        }
        assert_eq!(ours.lines().count(), theirs.lines().count(), "ps {options}");
    }
    // They change with whoever maps the same files.
    let shares: Vec<u64> =
        both("-o uss=,pss=,rss=").0.split_whitespace().map(|kib| kib.parse().unwrap()).collect();
    assert!(shares[0] > 0 && shares[0] <= shares[1] && shares[1] <= shares[2], "{shares:?}");
    let heads = target.line("ps axjf").ok();
    assert!(
        heads
            .split_whitespace()
            .take(9)
            .eq(["PPID", "PID", "PGID", "SID", "TTY", "TPGID", "STAT", "UID", "TIME"])
    );
    assert_eq!(target.line("ps -N -p 1").status, 1);
    assert_eq!(target.line("ps -N -p 2 -o pid=").ok().trim(), "1");
    assert_eq!(target.line("ps -U 0 -o pid=").ok().trim(), "1");
    assert_eq!(target.line("ps -U 1 -o pid=").status, 1);
    assert_eq!(target.line("ps -t - -o pid=").ok().trim(), "1");
    assert_eq!(target.line("ps -t pts/7 -o pid=").status, 1);
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let first = environment.split('\0').next().unwrap();
    assert!(target.line("ps axe -o args").ok().contains(first), "{first}");
}

#[test]
fn netstat_and_ps_agree_with_ss_and_procps() {
    needs_root!();
    needs_tool!("ss", "iproute2");
    needs_tool!("ps", "procps");
    let mut target = sandbox().mode(&["serve", "8080"]).start();
    assert_eq!(target.next_line(crate::support::LIMIT).as_deref(), Some("listening"));
    let pid = target.pid.to_string();
    let theirs = oracle(Command::new("nsenter").args(["-n", "-t", &pid, "ss", "-tanH"]));
    let ours = target.run(&["netstat", "-tan"]).ok();
    let endpoints = |text: &str, from: usize| {
        let mut found: Vec<String> = text
            .lines()
            .filter(|line| line.contains("LISTEN"))
            .map(|line| line.split_whitespace().nth(from).unwrap_or_default().to_owned())
            .collect();
        found.sort();
        found
    };
    assert!(!endpoints(&ours, 3).is_empty(), "{ours}");
    assert_eq!(endpoints(&ours, 3), endpoints(&theirs, 3), "{ours}{theirs}");
    let mine = target.run(&["ps", "-o", "ppid=,nice=,nlwp=,vsz=,comm=,args=", "-p", "1"]).ok();
    let theirs = oracle(Command::new("ps").args(["-o", "ni=,nlwp=,vsz=,comm=,args=", "-p", &pid]));
    let words =
        |text: &str, skip: usize| text.split_whitespace().skip(skip).map(str::to_owned).collect::<Vec<_>>();
    let rss = |text: String| text.trim().to_owned();
    let mine_rss = rss(target.run(&["ps", "-o", "rss=", "-p", "1"]).ok());
    assert_eq!(mine_rss, rss(oracle(Command::new("ps").args(["-o", "rss=", "-p", &pid]))));
    // The parent is outside of the namespace.
    assert_eq!(words(&mine, 0)[0], "0", "{mine}");
    assert_eq!(words(&mine, 1), words(&theirs, 0), "{mine}{theirs}");
}

// What is counted changes meanwhile, but for what is long over.
#[test]
fn netstat_counts_as_the_kernel_and_lists_groups_as_net_tools_does() {
    needs_root!();
    needs_tool!("netstat", "net-tools");
    let target = sandbox().start();
    let within = |words: &[&str]| {
        oracle(Command::new("nsenter").args(["-n", "-t", &target.pid.to_string(), "--"]).args(words))
    };
    within(&["ip", "link", "set", "lo", "up"]);
    assert_eq!(target.line("netstat -gn").ok(), within(&["netstat", "-gn"]));
    let four = target.line("netstat -g4").ok();
    assert!(four.contains("224.0.0.1") && !four.contains("ff02::1"), "{four}");
    let rows = target.line("netstat -g --json").ok();
    assert!(rows.contains("{\"interface\":\"lo\",\"group\":\"224.0.0.1\",\"references\":1}"), "{rows}");
    within(&["bash", "-c", "echo >/dev/tcp/127.0.0.1/9; echo x >/dev/udp/127.0.0.1/9; true"]);
    let theirs = within(&["cat", "/proc/self/net/snmp"]);
    let tcp: Vec<&str> = theirs.lines().filter(|line| line.starts_with("Tcp:")).collect();
    let wanted: Vec<String> = tcp[0]
        .split(' ')
        .zip(tcp[1].split(' '))
        .skip(1)
        .filter(|(_, value)| *value != "0")
        .map(|(name, value)| format!("    {name}: {value}"))
        .collect();
    let ours = target.line("netstat -st").ok();
    let mine: Vec<&str> = ours.lines().skip(1).take_while(|line| line.starts_with(' ')).collect();
    assert_eq!(mine, wanted, "{ours}");
    assert!(ours.starts_with("Tcp:\n") && ours.contains("\nTcpExt:\n") && !ours.contains("Udp"), "{ours}");
    assert!(ours.contains("    ActiveOpens: 1\n"), "{ours}");
    let udp = target.line("netstat -su").ok();
    assert!(udp.contains("Udp:\n    NoPorts: 1\n") && !udp.contains("Tcp"), "{udp}");
    let row = "{\"protocol\":\"Udp\",\"name\":\"NoPorts\",\"value\":1}";
    assert!(target.line("netstat -s --json").ok().contains(row));
    assert!(target.line("netstat -sa").ok().contains("    RetransSegs: 0\n"));
    assert!(target.line("netstat -sa6").ok().contains("Ip6:\n    InReceives: "));
    target.line("netstat -sr").fails(2, "cannot be used with");
}

// Seen to fail without -c: one list.
#[test]
fn netstat_goes_on_each_second() {
    needs_root!();
    let target = sandbox().start();
    let ran = target.run_with(&["--timeout", "1.9"], &["netstat", "-c", "-lt"]);
    assert_eq!((ran.status, ran.text().matches("Active Internet connections").count()), (124, 2), "{ran:?}");
}

/// Sockets of the target's network namespace that are bound to every address of IPv6, and listen if they are TCP's.
fn bound_in(target: &crate::support::Sandbox, all: &'static [(i32, u16, bool)]) -> Vec<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    let namespace = fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let make = move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let one = |(kind, port, only): &(i32, u16, bool)| {
            let mut address = [0_u8; 28];
            address[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            address[2..4].copy_from_slice(&port.to_be_bytes());
            let only = i32::from(*only);
            // SAFETY: an int and an address of the lengths that are told; the kernel has just opened the socket.
            unsafe {
                let socket = libc::socket(libc::AF_INET6, *kind, 0);
                let set = libc::setsockopt(
                    socket,
                    libc::IPPROTO_IPV6,
                    libc::IPV6_V6ONLY,
                    (&raw const only).cast(),
                    4,
                );
                assert_eq!(set, 0);
                assert_eq!(libc::bind(socket, address.as_ptr().cast(), 28), 0);
                assert!(*kind != libc::SOCK_STREAM || libc::listen(socket, 5) == 0);
                std::os::fd::OwnedFd::from_raw_fd(socket)
            }
        };
        all.iter().map(one).collect()
    };
    std::thread::spawn(make).join().unwrap()
}

// Seen to fail without the attribute of the kernel's answer.
#[test]
fn netstat_tells_who_takes_ipv4_too_as_ss_does() {
    needs_root!();
    needs_tool!("ss", "iproute2");
    let target = sandbox().start();
    const STREAM: i32 = libc::SOCK_STREAM;
    const DATAGRAM: i32 = libc::SOCK_DGRAM;
    let _sockets = bound_in(
        &target,
        &[(STREAM, 9001, false), (STREAM, 9002, true), (DATAGRAM, 9003, false), (DATAGRAM, 9004, true)],
    );
    let theirs = oracle(Command::new("nsenter").args(["-n", "-t", &target.pid.to_string(), "ss", "-tulnH"]));
    let text = target.run(&["netstat", "-tuln"]).ok();
    let rows: Vec<serde_json::Value> = target
        .run(&["netstat", "-tuln", "--json"])
        .ok()
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    for (port, proto, only) in
        [(9001, "tcp46", false), (9002, "tcp6", true), (9003, "udp46", false), (9004, "udp6", true)]
    {
        let ss = theirs.lines().find(|line| line.contains(&format!(":{port} "))).unwrap();
        assert_eq!(ss.contains("[::]:"), only, "{theirs}");
        let ours = text.lines().find(|line| line.contains(&format!(":{port} "))).unwrap();
        assert_eq!(ours.split_whitespace().next(), Some(proto), "{text}");
        let row = rows.iter().find(|row| row["local_port"] == port).unwrap();
        assert_eq!(row["v6_only"], only, "{row}");
        assert_eq!(row["proto"], if port < 9003 { "tcp6" } else { "udp6" });
    }
}

// Seen to fail where the container's own processes alone were looked at.
#[test]
fn netstat_and_lsof_name_the_container_of_the_pod_that_holds_a_socket() {
    needs_root!();
    let Some(cgroup) = crate::limits::Cgroup::new("pids") else { skip!("no cgroup can be made") };
    let id = "3f".repeat(32);
    let scope = cgroup.path.join(format!("docker-{id}.scope"));
    fs::create_dir(&scope).unwrap();
    let target = sandbox().start();
    let network = fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    // Another container in the same network namespace.
    let other = std::thread::spawn(move || {
        nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        sandbox().set("ns", "mnt,pid,ipc,uts,cgroup").mode(&["serve", "9090"]).start()
    });
    let mut other = other.join().unwrap();
    assert_eq!(other.next_line(crate::support::LIMIT).as_deref(), Some("listening"));
    fs::write(scope.join("cgroup.procs"), other.pid.to_string()).unwrap();
    let row: serde_json::Value =
        serde_json::from_str(&target.run(&["netstat", "-tlnp", "--json"]).ok()).unwrap();
    assert_eq!((&row["node_pid"], &row["pid"]), (&other.pid.into(), &serde_json::Value::Null), "{row}");
    assert_eq!(row["container"], id[..12], "{row}");
    let text = target.run(&["netstat", "-tlnp"]).ok();
    assert!(text.ends_with(&format!(" in {}\n", &id[..12])), "{text}");
    let ran = target.run(&["lsof", "-i", ":9090"]);
    let words = format!(
        "lsof: TCP 127.0.0.1:9090 (LISTEN) is held by nsdbg-test-help in {} (process {} of the node)\n",
        &id[..12],
        other.pid
    );
    assert!(ran.out.is_empty() && ran.err == words, "{ran:?}");
    // Who asks for one process is not told of others.
    assert_eq!(target.run(&["lsof", "-a", "-p", "1", "-i", ":9090"]).err, "");
    drop(other);
    assert!(crate::live::within(crate::support::LIMIT, || fs::remove_dir(&scope).is_ok()));
}
