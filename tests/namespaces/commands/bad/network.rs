//! Hosts that can't be reached, names that nobody knows, and peers that say nothing or lie.

use std::process::Command;
use std::time::{Duration, Instant};

use super::super::network::script;
use super::*;
use crate::support::{LIMIT, NSDBG, mute, patient};

/// CAP_NET_BIND_SERVICE, for a name server.
const BIND: u64 = 1 << 10;
/// Each limit that is asked for is a second.
const SOON: Duration = Duration::from_secs(5);

/// The lines of a host: with HOST, and with PLACE, which is HOST in brackets where it is an IPv6 address.
const LINES: [&str; 7] = [
    "ping -c 1 -W 1 HOST",
    "tcp -w 1 PLACE:1",
    "nc -w 1 HOST 1",
    "dns localhost @HOST +time=1 +tries=1",
    "tls --connect-timeout 1 PLACE:1",
    "http get --max-time 1 http://PLACE:1/",
    "http get --ca builtin --max-time 1 https://PLACE:1/",
];

const OTHERS: &[(&str, &str)] = &[
    ("asks the kernel about the network, and no host", "ip netstat lsof proc info"),
    ("tells of every host that it asks what is wrong with it: tests/broken", "doctor"),
    (
        "stays off the network",
        "cat certs cgroup count df du echo env false file find first free get grep head help history",
    ),
    (
        "stays off the network",
        "kill last ldd ls mounts ps pstree put pwd readlink select sha1sum sha256sum sha512sum",
    ),
    ("stays off the network", "sleep sort sort-by stat tail targets true uniq users wc where who why"),
];

/// nsdbg with this target, of which no more can be shared by threads.
fn nsdbg(pid: i32) -> Command {
    let mut command = Command::new(NSDBG);
    command.args(["--pid", &pid.to_string()]);
    command
}

/// Runs a line for a host; what it says, for `tcp` the last column of its row.
fn asks(pid: i32, line: &str, host: &str) -> (i32, String) {
    let place = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let line = line.replace("HOST", host).replace("PLACE", &place);
    let begun = Instant::now();
    let options = if line.starts_with("tcp") { &["--json", "--"][..] } else { &["--"] };
    let ran = run(nsdbg(pid).args(options).args(words(&line)));
    assert!(begun.elapsed() < patient(SOON), "{line}: {:?}", begun.elapsed());
    if command(&line) != "tcp" {
        assert!(
            ran.err.lines().count() == 1 && ran.err.starts_with(&format!("{}: ", command(&line))),
            "{line}: {ran:?}"
        );
        return (ran.status, ran.err.trim_end().split_once(": ").unwrap().1.to_owned());
    }
    assert!(ran.err.is_empty() && ran.text().lines().count() == 1, "{line}: {ran:?}");
    let row: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
    (ran.status, format!("{}: {}", text("result"), text("error")))
}

// Seen to fail with `look_up` that asks for a name with a newline, and with a file's hint for an address that a route
// prohibits.
#[test]
fn what_can_not_be_reached_is_told_with_its_cause() {
    needs_root!();
    let target = sandbox().file("etc/hosts", "127.0.0.1 localhost\n").start();
    script(&target, "ip link set lo up; echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range");
    script(&target, "ip route add prohibit 10.63.0.0/16");
    covers(&target, LINES.into_iter(), OTHERS);
    let nobody = "no name server answered (asked 127.0.0.1: connection refused for no.test)";
    let no_name = format!("resolve no.test: {nobody}");
    let no_row = format!("no-name: {nobody}");
    let (v4, v6, refused) = ("192.0.2.1", "2001:db8::1", "127.0.0.1");
    let is_no_name = "not a host name";
    for (host, said) in [
        (
            v4,
            [
                (2, "connect 192.0.2.1: network is unreachable"),
                (1, "unreachable: no route"),
                (1, "connect 192.0.2.1 port 1: network is unreachable"),
                (9, "ask 192.0.2.1#53: network is unreachable"),
                (7, "connect 192.0.2.1:1: network is unreachable"),
                (7, "connect 192.0.2.1:1: network is unreachable"),
                (7, "connect 192.0.2.1:1: network is unreachable"),
            ],
        ),
        (
            v6,
            [
                (2, "connect 2001:db8::1: network is unreachable"),
                (1, "unreachable: no route"),
                (1, "connect 2001:db8::1 port 1: network is unreachable"),
                (9, "ask 2001:db8::1#53: network is unreachable"),
                (7, "connect [2001:db8::1]:1: network is unreachable"),
                (7, "connect [2001:db8::1]:1: network is unreachable"),
                (7, "connect [2001:db8::1]:1: network is unreachable"),
            ],
        ),
        // A route that prohibits: as with a file, the kernel denies permission, and no capability would help.
        (
            "10.63.0.1",
            [
                (2, "connect 10.63.0.1: permission denied"),
                (1, "unreachable: a route of the container says prohibited"),
                (1, "connect 10.63.0.1 port 1: permission denied"),
                (9, "ask 10.63.0.1#53: permission denied"),
                (7, "connect 10.63.0.1:1: permission denied"),
                (7, "connect 10.63.0.1:1: permission denied"),
                (7, "connect 10.63.0.1:1: permission denied"),
            ],
        ),
        (
            refused,
            [
                // It answers, on any port.
                (0, ""),
                (1, "refused: -"),
                (1, "connect 127.0.0.1 port 1: connection refused"),
                (9, "ask 127.0.0.1#53: connection refused"),
                (7, "connect 127.0.0.1:1: connection refused"),
                (7, "connect 127.0.0.1:1: connection refused"),
                (7, "connect 127.0.0.1:1: connection refused"),
            ],
        ),
        (
            "no.test",
            [
                (2, &no_name),
                (1, &no_row),
                (1, &no_name),
                (9, &no_name),
                (6, &no_name),
                (6, &no_name),
                (6, &no_name),
            ]
            .map(|(status, said): (i32, &String)| (status, said.as_str())),
        ),
        (
            "x\ny",
            [
                (2, "resolve x\\ny: not a host name"),
                (1, "no-name: not a host name"),
                (1, "resolve x\\ny: not a host name"),
                (9, "resolve x\\ny: not a host name"),
                (2, "x\\ny:1: the host holds '\\n'"),
                (2, "URL http://x\\ny:1/: the host holds '\\n'"),
                (2, "URL https://x\\ny:1/: the host holds '\\n'"),
            ],
        ),
    ] {
        for (line, (status, said)) in LINES.iter().zip(said) {
            if status != 0 {
                assert_eq!(asks(target.pid, line, host), (status, said.to_owned()), "{line} {host}");
            }
        }
    }
    let ran = run(target.nsdbg().args(["--", "tcp", "a b:1"]));
    assert!(ran.status == 1 && ran.text().contains(is_no_name), "{ran:?}");
}

// Seen to fail with ten seconds in place of the one of resolv.conf.
#[test]
fn a_name_server_that_hangs_or_lies_ends_each_command_within_its_limit() {
    needs_root!();
    let resolver = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
    std::thread::scope(|scope| {
        for how in ["silent", "ids", "junk", "trickle", "circle"] {
            scope.spawn(move || {
                let builder = sandbox().file("etc/resolv.conf", resolver).caps(BIND).mode(&["dns", how]);
                let mut target = builder.start();
                assert_eq!(target.next_line(LIMIT).as_deref(), Some("listening"), "{how}");
                let pid = target.pid;
                std::thread::scope(|scope| {
                    for (line, statuses) in
                        LINES.into_iter().zip([&[2][..], &[1], &[1], &[9], &[6, 28], &[6, 28], &[6, 28]])
                    {
                        scope.spawn(move || {
                            let (status, said) = asks(pid, line, "a.test");
                            assert!(statuses.contains(&status), "{how}: {line}: {status} {said}");
                            let cause = if how == "circle" {
                                "asked 127.0.0.1: aliases that lead in a circle for a.test"
                            } else {
                                "asked 127.0.0.1: no answer in 1.0 s for a.test"
                            };
                            assert!(said.contains(cause) && said.contains("a.test"), "{how}: {line}: {said}");
                        });
                    }
                });
            });
        }
    });
}

// Seen to fail with `tls` whose limit is five seconds more than was asked for.
#[test]
fn a_peer_that_says_nothing_ends_each_command_within_its_limit() {
    needs_root!();
    let target = mute();
    let pid = target.pid;
    script(&target, "ip link set lo up");
    std::thread::scope(|scope| {
        for (line, status, said) in [
            // Connected is all that is asked; of nc -w is the end.
            ("tcp -w 1 127.0.0.1:8080", 0, ""),
            ("nc -w 1 127.0.0.1 8080", 0, ""),
            (
                "dns localhost @127.0.0.1 -p 8080 +tcp +time=1 +tries=1",
                9,
                "ask 127.0.0.1#8080: no reply in 1 s",
            ),
            (
                "tls --connect-timeout 1 127.0.0.1:8080",
                28,
                "handshake 127.0.0.1:8080: the server is connected and says nothing; the time limit has passed",
            ),
            (
                "http get --max-time 1 http://127.0.0.1:8080/",
                28,
                "read 127.0.0.1:8080: the time limit of --max-time has passed",
            ),
            (
                "http get --ca builtin --connect-timeout 1 https://127.0.0.1:8080/",
                28,
                "handshake 127.0.0.1: the time limit of --connect-timeout has passed",
            ),
        ] {
            scope.spawn(move || {
                let begun = Instant::now();
                let said =
                    if said.is_empty() { String::new() } else { format!("{}: {said}\n", command(line)) };
                is(line, &run(nsdbg(pid).arg("--").args(words(line))), status, &said);
                assert!(begun.elapsed() < patient(SOON), "{line}: {:?}", begun.elapsed());
            });
        }
    });
}
