//! A name server of the tests' own, with every fault that one may have.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::support::Sandbox;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const HINFO: u16 = 13;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const CAA: u16 = 257;
const NAPTR: u16 = 35;
const DS: u16 = 43;
const DNSKEY: u16 = 48;
const TLSA: u16 = 52;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;
const UNKNOWN: u16 = 65_282;

/// What steers a terminal, as a label and as a text.
const STEERING: &[u8] = b"\x1b]0;title\x07\x9b8m\xe2\x80\xae\x1b[8m\n";

/// A name on the wire.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes())).collect();
    bytes.push(0);
    bytes
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

/// A record of this owner.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 1, 44]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// The question of a query: its name in text form, its type, and its bytes.
fn question(query: &[u8]) -> (String, u16, &[u8]) {
    let (mut at, mut name) = (12, Vec::new());
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    (name.join(".").to_ascii_lowercase(), kind, &query[12..at + 5])
}

/// A reply with these records in answer and authority.
fn reply(query: &[u8], code: u8, cut: bool, answers: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = query[..2].to_vec();
    bytes.extend([0x85 | u8::from(cut) << 1, 0x80 | code, 0, 1]);
    bytes.extend((answers.len() as u16).to_be_bytes());
    bytes.extend((authority.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(question(query).2);
    bytes.extend(answers.iter().chain(authority).flatten());
    bytes
}

const HERE: &[u8] = &[0xc0, 12];

fn soa() -> Vec<u8> {
    let numbers = [2_026_000_001_u32, 7200, 3600, 4_000_000_000, 300];
    [wire("ns.test"), wire("host\\master.test"), numbers.iter().flat_map(|n| n.to_be_bytes()).collect()]
        .concat()
}

/// A record of type HTTPS with each parameter.
fn service() -> Vec<u8> {
    let alpn = [string(b"h2"), string(b"h3,x")].concat();
    let v6: Vec<u8> = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets().to_vec();
    let mut bytes = [&[0, 1][..], &wire("")].concat();
    let all: [(u16, &[u8]); 8] = [
        (0, &[0, 1, 0, 3]),
        (1, &alpn),
        (2, &[]),
        (3, &[0x20, 0xfb]),
        (4, &[10, 0, 0, 1, 10, 0, 0, 2]),
        (5, b"\0\x03ech"),
        (6, &v6),
        (65_400, b"a b\xff"),
    ];
    for (key, value) in all {
        bytes.extend(key.to_be_bytes());
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// The records of `all.test`, by type.
fn all(kind: u16) -> Vec<Vec<u8>> {
    let one = |data: &[u8]| vec![record(HERE, kind, data)];
    match kind {
        A => [[10, 0, 0, 1], [10, 0, 0, 2]].iter().map(|ip| record(HERE, A, ip)).collect(),
        AAAA => one(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()),
        MX => one(&[&[0, 10][..], &wire("mail.all.test")].concat()),
        NS => one(&wire("ns.test")),
        PTR => one(&wire("host-1.all.test")),
        SOA => one(&soa()),
        SRV => one(&[&[0, 1, 0, 2, 0x20, 0xfb][..], &wire("srv.all.test")].concat()),
        CAA => one(&[&[128][..], &string(b"issue"), b"ca.test; a=\"b\""].concat()),
        NAPTR => one(&[
            &[0, 100, 0, 50][..],
            &string(b"u"),
            &string(b"E2U+sip"),
            &string(b"!^(.*)$!sip:\\1@all.test!"),
            &[0],
        ]
        .concat()),
        DS => one(&[&[0xec, 0x45, 5, 2][..], &[0x2b; 32]].concat()),
        DNSKEY => one(&[&[1, 1, 3, 13][..], &[7; 64]].concat()),
        TLSA => one(&[&[3, 1, 1][..], &[0xab; 32]].concat()),
        SVCB => one(&[&[0, 0][..], &wire("svc.all.test")].concat()),
        HTTPS => one(&service()),
        UNKNOWN => one(b"\x01\x02"),
        TXT => vec![
            record(HERE, TXT, &[string(b"v=spf1 a -all"), string(b"\"q\" \\ ;$("), string(b"")].concat()),
            record(HERE, TXT, &string(STEERING)),
        ],
        255 => vec![
            record(HERE, 65_280, b"\x00\xff\x10"),
            record(HERE, 65_281, b""),
            record(HERE, A, &[10, 0, 0, 3]),
        ],
        _ => Vec::new(),
    }
}

/// What is sent for a query: pieces, and how long each is waited for.
fn answer(query: &[u8], tcp: bool) -> Vec<(Vec<u8>, Duration)> {
    let at_once = |bytes: Vec<u8>| vec![(bytes, Duration::ZERO)];
    let (name, kind, _) = question(query);
    let code = |code| at_once(reply(query, code, false, &[], &[]));
    let a = |last: u8| record(HERE, A, &[10, 0, 0, last]);
    match name.as_str() {
        "all.test" | "1.0.0.10.in-addr.arpa" => at_once(reply(query, 0, false, &all(kind), &[])),
        "alias.test" => {
            let answers =
                [record(HERE, CNAME, &wire("all.test")), record(&wire("all.test"), A, &[10, 0, 0, 1])];
            at_once(reply(query, 0, false, &answers, &[]))
        }
        "dname.test" => {
            let answers = [
                record(HERE, DNAME, &wire("all.test")),
                record(HERE, HINFO, &[string(b"a"), string(b"b")].concat()),
            ];
            at_once(reply(query, 0, false, &answers, &[]))
        }
        "steering.test" => {
            let hostile = [&string(STEERING)[..], &wire("x")].concat();
            let answers = [record(HERE, CNAME, &hostile), record(&hostile, TXT, &string(STEERING))];
            at_once(reply(query, 0, false, &answers, &[record(&hostile, NS, &hostile)]))
        }
        "plain.test" => {
            let answers = [record(HERE, CNAME, &wire("x")), record(&wire("x"), TXT, &string(b"plain"))];
            at_once(reply(query, 0, false, &answers, &[record(&wire("x"), NS, &wire("x"))]))
        }
        "cut.test" if !tcp => at_once(reply(query, 0, true, &[a(9)], &[])),
        "cut.test" => at_once(reply(query, 0, false, &(0..100).map(a).collect::<Vec<_>>(), &[])),
        "forged.test" | "other.test" => {
            let mut other_id = reply(query, 0, false, &[a(66)], &[]);
            other_id[0] ^= 0xff;
            let mut other_name = reply(query, 0, false, &[a(66)], &[]);
            other_name[13] ^= 1;
            let mut all = vec![other_id, other_name, Vec::new(), b"\x00".to_vec()];
            if name == "forged.test" {
                all.push(reply(query, 0, false, &[a(7)], &[]));
            }
            all.into_iter().map(|bytes| (bytes, Duration::ZERO)).collect()
        }
        "loop.test" => at_once(reply(query, 0, false, &[record(HERE, CNAME, HERE)], &[])),
        "servfail.test" => code(2),
        "refused.test" => code(5),
        "formerr.test" => {
            let mut bytes = query[..12].to_vec();
            bytes[2..6].copy_from_slice(&[0x81, 0x81, 0, 0]);
            at_once(bytes)
        }
        "nodata.test" => at_once(reply(query, 0, false, &[], &[record(&wire("test"), SOA, &soa())])),
        "garbage.test" => {
            let mut bytes = reply(query, 0, false, &[a(1)], &[]);
            let end = bytes.len();
            bytes[end - 6..].fill(0xff);
            at_once(bytes)
        }
        "late.test" => vec![(reply(query, 0, false, &[a(1)], &[]), Duration::from_millis(1500))],
        "junk.test" if tcp => at_once([&query[..2], &[0x85, 0x80][..], &[0xff; 65_531]].concat()),
        "trickle.test" if tcp => {
            let bytes = reply(query, 0, false, &[a(1)], &[]);
            bytes.into_iter().map(|byte| (vec![byte], Duration::from_millis(200))).collect()
        }
        "close.test" if tcp => Vec::new(),
        "twice.test" => at_once(reply(query, 0, true, &[], &[])),
        "junk.test" | "trickle.test" | "close.test" => at_once(reply(query, 0, true, &[], &[])),
        "version.bind" if query[query.len() - 1] == 3 => {
            let mut chaos = record(HERE, TXT, &string(b"test 1.0"));
            chaos[5] = 3;
            at_once(reply(query, 0, false, &[chaos], &[]))
        }
        "localhost" | "b.test" | "bare" if kind == A => at_once(reply(query, 0, false, &[a(53)], &[])),
        "localhost" | "b.test" | "bare" => code(0),
        name if name.ends_with(".list") => {
            // The label says what becomes of it.
            let has = |label: &str| name.split('.').any(|one| one == label);
            match kind {
                _ if has("dead") => Vec::new(),
                AAAA if has("drop6") => Vec::new(),
                AAAA if has("nx6") => code(3),
                AAAA if has("fail6") => code(2),
                _ if has("nx") => code(3),
                _ if has("servfail") => code(2),
                _ if has("refused") => code(5),
                _ if has("notimp") => code(4),
                A if has("good") => at_once(reply(query, 0, false, &[a(8)], &[])),
                _ => code(0),
            }
        }
        "silent.test" => Vec::new(),
        "api.svc.test" | "web.a.test" if kind == A => at_once(reply(query, 0, false, &[a(5)], &[])),
        "api.svc.test" | "web.a.test" | "api.nodata.test" => code(0),
        _ => at_once(reply(query, 3, false, &[], &[record(&wire("test"), SOA, &soa())])),
    }
}

/// Answers at 127.0.0.1:53 of the target's network namespace.
pub fn serve(target: &Sandbox) {
    serve_at(target, SocketAddr::from(([127, 0, 0, 1], 53)));
}

/// Answers at this address of the target's network namespace.
pub fn serve_at(target: &Sandbox, place: SocketAddr) {
    let namespace = fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let sockets = std::thread::spawn(move || {
        // SAFETY: no pointers. This thread alone moves.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        (UdpSocket::bind(place).unwrap(), TcpListener::bind(place).unwrap())
    });
    let (udp, tcp) = sockets.join().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let (query, socket) = (buffer[..length].to_vec(), udp.try_clone().unwrap());
            std::thread::spawn(move || {
                for (bytes, wait) in answer(&query, false) {
                    std::thread::sleep(wait);
                    let _ = socket.send_to(&bytes, from);
                }
            });
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            std::thread::spawn(move || {
                let mut length = [0; 2];
                let mut query = vec![0; 512];
                if stream.read_exact(&mut length).is_err() {
                    return;
                }
                query.truncate(usize::from(u16::from_be_bytes(length)));
                if stream.read_exact(&mut query).is_err() {
                    return;
                }
                let pieces = answer(&query, true);
                let total: usize = pieces.iter().map(|(bytes, _)| bytes.len()).sum();
                let _ = stream.write_all(&(total.max(4) as u16).to_be_bytes());
                for (bytes, wait) in pieces {
                    std::thread::sleep(wait);
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    });
}
