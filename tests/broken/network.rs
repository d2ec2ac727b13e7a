//! Who can be reached, and can reach.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, date_time_ymd};

use super::inside::{plain, started};
use super::{Report, doctor};
use crate::commands::network::{link, script};
use crate::commands::tls::{self, BOTH, Does};
use crate::live::within;
use crate::support::{Builder, LIMIT, Sandbox, needs_root, patient};

/// Does something in the container's network namespace.
fn in_network<T: Send + 'static>(target: &Sandbox, act: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let acting = std::thread::spawn(move || {
        // SAFETY: no pointers. This thread alone moves.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        act()
    });
    acting.join().unwrap()
}

fn detail(report: &Report, check: &str, status: &str, subject: &str) -> String {
    report.says(check, status, subject)["detail"].as_str().unwrap().to_owned()
}

// Seen to fail with a backlog of 9 that is nearly full with nothing in it, with a backlog that counts as full where it is as long as listen(2) was told, and where local-tls
// connects though connections wait.
#[test]
fn listeners() {
    needs_root!();
    for (mode, status, words) in [
        (&["family"][..], "note", "nobody listens"),
        (&["serve", "8080"], "note", "all listen on loopback"),
        (&["mute-any", "8080"], "ok", "connections are accepted"),
    ] {
        let target = started(plain(), mode);
        let report = doctor(&target, &["listeners"]);
        assert!(detail(&report, "listeners", status, "").contains(words));
        assert_eq!((report.rows.len(), report.status), (1, 0));
    }
    for (backlog, connections, status) in
        [("2", 3, "fail"), ("2", 2, ""), ("9", 0, ""), ("10", 8, "warn"), ("10", 7, "")]
    {
        let target = started(plain(), &["broken", "backlog", backlog]);
        let _held: Vec<TcpStream> = in_network(&target, move || {
            let connect = |_| TcpStream::connect((Ipv4Addr::LOCALHOST, 8080)).unwrap();
            (0..connections).map(connect).collect()
        });
        let report = doctor(&target, &[]);
        if status.is_empty() {
            assert!(
                report.of("listeners").iter().all(|row| row["status"] == "note"),
                "{backlog} {connections} {:?}",
                report.of("listeners")
            );
        } else {
            let row = report.says("listeners", status, "127.0.0.1:8080");
            assert_eq!(row["evidence"][0], format!("{connections} connections wait, backlog {backlog}"));
        }
        report.nothing_else_is_broken(&["listeners"]);
    }
}

const RESOLVER: &str = "/etc/resolv.conf";

fn resolving(lines: &str) -> Builder {
    plain().file("etc/resolv.conf", lines)
}

// Seen to fail with a FIFO that is a warning, and with dns asking where no server is named.
#[test]
fn resolv_conf() {
    needs_root!();
    for (lines, status, words) in [
        ("", "warn", "it names no server"),
        ("nameserver\n", "warn", "a line has no address"),
        ("nameserver dns.test\nnameserver 127.0.0.1\n", "warn", "a line has no address"),
        ("nameserver 127.0.0.1\nsearch a.test\n", "ok", "it can be read"),
        ("nameserver ::1\nnameserver fe80::1%lo # a comment\n", "ok", "it can be read"),
        ("nameserver fe80::1%eth9\n", "warn", "a link-local address without an interface of this container"),
        (" nameserver 127.0.0.1\n", "warn", "a line begins with blanks: glibc and musl pass it over"),
        (" nameserver 127.0.0.1\n", "warn", "it names no server"),
        ("nameserver 127.0.0.1\r\n", "warn", "a line ends with a carriage return"),
        ("nameserver 127.0.0.1\nsearch a.test\r\n", "warn", "a line ends with a carriage return"),
        (
            "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4\n",
            "note",
            "only the first 3 are ever asked",
        ),
        ("nameserver 127.0.0.1\nsearch a.test\ndomain b.test\n", "note", "only the last one counts"),
        ("nameserver 127.0.0.1\nsearch a b c d e f g\n", "note", "its search list has 7 domains"),
    ] {
        let target = resolving(lines).start();
        let report = doctor(&target, &["resolv-conf"]);
        let said = |row: &&serde_json::Value| row["detail"].as_str().unwrap().contains(words);
        assert!(report.of("resolv-conf").iter().any(|row| said(row) && row["status"] == status), "{lines}");
        report.says("resolv-conf", status, RESOLVER);
        assert_eq!(report.status, i32::from(status == "warn"));
    }
    // Of one that is not there, or names nobody, no second check says the same.
    for lines in [None, Some("")] {
        let builder = lines.map_or_else(plain, resolving);
        let target = builder.start();
        let report = doctor(&target, &[]);
        report.says("resolv-conf", "warn", RESOLVER);
        report.says("dns", "skip", "");
        report.nothing_else_is_broken(&[]);
    }
    let target = plain().start();
    nix::unistd::mkfifo(&target.root.join("etc/resolv.conf"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let begun = Instant::now();
    let report = doctor(&target, &[]);
    assert!(begun.elapsed() < patient(Duration::from_secs(3)));
    assert!(detail(&report, "resolv-conf", "fail", RESOLVER).starts_with("it is a FIFO"));
    report.nothing_else_is_broken(&["resolv-conf"]);
}

/// A name server that answers every question with this code, or nothing.
fn name_server(target: &Sandbox, ip: [u8; 4], code: Option<u8>) {
    let socket = in_network(target, move || UdpSocket::bind(SocketAddr::from((ip, 53))).unwrap());
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let Some(code) = code else { continue };
            let mut answer = packet[..length].to_vec();
            answer[2] |= 0x80;
            answer[3] = 0x80 | code;
            let _ = socket.send_to(&answer, from);
        }
    });
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const TWO: [u8; 4] = [127, 0, 0, 2];

// Seen to fail with every answer taken for one that serves.
#[test]
fn dns() {
    needs_root!();
    // NOERROR, NXDOMAIN, SERVFAIL, REFUSED, nothing; nobody there.
    for (code, status, seen) in [
        (Some(Some(0)), "ok", "localhost A: answered after "),
        (Some(Some(3)), "ok", "localhost A: answered after "),
        (Some(Some(2)), "fail", "localhost A: SERVFAIL after "),
        (Some(Some(5)), "fail", "localhost A: REFUSED after "),
        (Some(None), "fail", "localhost A: no reply after "),
        (None, "fail", "localhost A: connection refused after "),
    ] {
        let target = resolving("nameserver 127.0.0.1\n").start();
        if let Some(code) = code {
            name_server(&target, ONE, code);
        }
        let begun = Instant::now();
        let report = doctor(&target, &[]);
        assert!(begun.elapsed() < patient(Duration::from_secs(3)), "{:?}", begun.elapsed());
        let row = report.says("dns", status, "127.0.0.1");
        assert!(row["evidence"][0].as_str().unwrap().starts_with(seen), "{row}");
        report.nothing_else_is_broken(&["dns"]);
    }
    // One of two: names are found, late.
    let target = resolving("nameserver 127.0.0.2\nnameserver 127.0.0.1\n").start();
    name_server(&target, ONE, Some(0));
    name_server(&target, TWO, None);
    let report = doctor(&target, &["dns"]);
    assert!(detail(&report, "dns", "warn", "127.0.0.2").contains("found late"));
    report.says("dns", "ok", "127.0.0.1");
    assert_eq!((report.rows.len(), report.status), (2, 1));
    // Fast checks ask nobody.
    assert!(doctor(&target, &["--fast"]).of("dns").is_empty());
}

// Seen to fail with a name that counts as having fewer dots than it has.
#[test]
fn the_search_list_has_a_price() {
    needs_root!();
    for (options, before) in [
        ("search a.test b.test\noptions ndots:5", 2),
        ("search a.test\noptions ndots:2", 0),
        ("options ndots:5", 0),
    ] {
        let target = resolving(&format!("nameserver 127.0.0.1\n{options}\n")).start();
        name_server(&target, ONE, Some(0));
        let report = doctor(&target, &["dns"]);
        let notes: Vec<_> = report.of("dns").into_iter().filter(|row| row["status"] == "note").collect();
        assert_eq!(notes.len(), usize::from(before > 0), "{options}: {notes:#?}");
        if let [note] = notes[..] {
            let words = format!("is asked for {before} times in vain");
            assert!(note["detail"].as_str().unwrap().contains(&words), "{note}");
            assert_eq!(note["evidence"][0], "ndots:5, search a.test b.test");
        }
        assert_eq!(report.status, 0);
    }
}

// Seen to fail with comments taken for lines that are passed over.
#[test]
fn hosts_file() {
    needs_root!();
    let path = "/etc/hosts";
    for (lines, status, words) in [
        ("10.0.0.1 web\n", "warn", "it does not know localhost"),
        ("10.0.0.1 localhost\n", "warn", "localhost is not a loopback address"),
        ("10.0.0.1 localhost\n::1 localhost\n", "ok", "nothing is wrong"),
        ("127.0.0.1 localhost\nweb 10.0.0.1\n", "note", "a line is passed over"),
        ("# x\n\n127.0.0.1 web localhost # y\nfe80::1%eth0 router\n", "ok", "nothing is wrong"),
        ("::1 localhost ip6-localhost\n", "ok", "nothing is wrong"),
    ] {
        let target = plain().file("etc/hosts", lines).start();
        let report = doctor(&target, &["hosts-file"]);
        let subject = if status == "ok" { "" } else { path };
        assert!(detail(&report, "hosts-file", status, subject).contains(words), "{lines}");
        assert_eq!((report.rows.len(), report.status), (1, i32::from(status == "warn")));
    }
    let target = plain().start();
    fs::remove_file(target.root.join("etc/hosts")).unwrap();
    let report = doctor(&target, &[]);
    assert!(detail(&report, "hosts-file", "warn", path).contains("there is none"));
    report.nothing_else_is_broken(&[]);
    nix::unistd::mkfifo(&target.root.join("etc/hosts"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let report = doctor(&target, &[]);
    assert_eq!(detail(&report, "hosts-file", "fail", path), "it is a FIFO");
    report.nothing_else_is_broken(&["hosts-file"]);
}

// Seen to fail with a route that refuses taken for one that leads out.
#[test]
fn default_route_and_interfaces() {
    needs_root!();
    let (one, two) = (started(plain(), &["family"]), started(plain(), &["family"]));
    let report = doctor(&one, &[]);
    assert!(detail(&report, "default-route", "note", "").contains("no network but its loopback"));
    report.says("interfaces", "ok", "");
    link(&one, &two);
    let has = |check: &str, status: &str, subject: &str, words: &str| {
        let report = doctor(&one, &[]);
        assert!(detail(&report, check, status, subject).contains(words), "{:#?}", report.of(check));
        report.nothing_else_is_broken(if status == "fail" { &["interfaces", "dns"] } else { &[] });
    };
    has("default-route", "warn", "", "no default route");
    script(&one, "ip route add unreachable default metric 1000");
    has("default-route", "warn", "", "no default route");
    script(&one, "ip route add default via 10.7.0.2");
    has("default-route", "ok", "", "there is one");
    assert_eq!(doctor(&one, &["default-route"]).rows[0]["evidence"][0], "default via 10.7.0.2 dev wire");
    script(&one, "ip route del default via 10.7.0.2\nip -6 route add default via fd07::2 dev wire");
    has("default-route", "ok", "", "there is one");
    has("interfaces", "ok", "", "nothing is wrong");
    script(&two, "ip link set wire down");
    // The kernel takes its time.
    assert!(within(LIMIT, || doctor(&one, &["interfaces"]).status == 1));
    has("interfaces", "warn", "wire", "its other end is not there or down");
    script(&one, "ip link set wire down");
    has("interfaces", "warn", "wire", "it is down");
    script(&one, "ip link set lo down");
    has("interfaces", "fail", "lo", "the loopback interface is down");
}

// Seen to fail without those that are clients'.
#[test]
fn close_wait() {
    needs_root!();
    for (kind, count, subject) in
        [("close-wait", "10", "port 9000"), ("leaks", "10", ""), ("close-wait", "9", "none")]
    {
        let target = started(plain(), &["broken", kind, count]);
        let report = doctor(&target, &[]);
        if subject == "none" {
            report.says("close-wait", "ok", "");
            continue;
        }
        let row = report.says("close-wait", "warn", subject);
        assert!(
            row["detail"].as_str().unwrap().starts_with("10 connections are closed by their peers"),
            "{row}"
        );
        assert_eq!(row["subject"].is_null(), subject.is_empty());
        report.nothing_else_is_broken(&[]);
    }
}

// Seen to fail where no SYN counts as sent again.
#[test]
fn unanswered_peers() {
    needs_root!();
    let (mut one, two) =
        (started(plain(), &["broken", "connect", "10.7.0.9:99"]), started(plain(), &["family"]));
    link(&one, &two);
    doctor(&one, &["unanswered-peers"]).says("unanswered-peers", "ok", "");
    // The other end takes the packets, and they are nobody's.
    script(&one, "ip neigh replace 10.7.0.9 lladdr 02:00:00:00:00:01 dev wire nud permanent");
    one.say("");
    assert_eq!(one.next_line(LIMIT).as_deref(), Some("ready"));
    let said = |status: &str| {
        let report = doctor(&one, &["unanswered-peers"]);
        report
            .of("unanswered-peers")
            .iter()
            .any(|row| row["status"] == status && row["subject"] == "10.7.0.9:99")
    };
    assert!(said("note") || said("warn"));
    assert!(within(LIMIT, || said("warn")));
    let report = doctor(&one, &[]);
    let row = report.says("unanswered-peers", "warn", "10.7.0.9:99");
    assert!(row["evidence"][0].as_str().unwrap().starts_with("SYN_SENT: 1, sent again "), "{row}");
    report.nothing_else_is_broken(&[]);
}

// Seen to fail without the look at the names.
#[test]
fn local_tls() {
    needs_root!();
    let target = started(plain(), &["serve", "8080"]);
    doctor(&target, &["local-tls"]).says("local-tls", "ok", "");
    let issuer = tls::root("test root");
    let serve = |port: u16, params: &CertificateParams| {
        let (own, key) = tls::signed(params, &issuer);
        tls::serve(&target, port, Does::Tls(vec![own], key, BOTH, None));
    };
    let dated = |from: (i32, u8, u8), to: (i32, u8, u8)| {
        let mut params = tls::params("web", &["web.test"]);
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params
    };
    let mut soon = tls::params("web", &["web.test"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    soon.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(5 * 86_400 + 43_200);
    for (port, params) in [
        (1, dated((2020, 1, 1), (2021, 2, 3))),
        (2, dated((2090, 1, 1), (2091, 2, 3))),
        (3, soon),
        (4, tls::params("web", &[])),
        (5, tls::params("web", &["web.test", "127.0.0.1"])),
    ] {
        serve(port, &params);
    }
    let begun = Instant::now();
    let report = doctor(&target, &[]);
    assert!(begun.elapsed() < patient(Duration::from_secs(3)), "{:?}", begun.elapsed());
    for (port, status, words) in [
        (1, "fail", "has expired"),
        (2, "fail", "is not valid yet"),
        (3, "warn", "expires in 5 days"),
        (4, "warn", "has no names"),
        (5, "ok", "is valid for"),
    ] {
        let said = detail(&report, "local-tls", status, &format!("127.0.0.1:{port}"));
        assert!(said.contains(words), "{port}: {said}");
    }
    let good = report.says("local-tls", "ok", "127.0.0.1:5");
    assert_eq!(good["evidence"][1], "names web.test, 127.0.0.1");
    assert_eq!(report.of("local-tls").len(), 5);
    report.nothing_else_is_broken(&["local-tls"]);
}
