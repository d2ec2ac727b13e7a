use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use super::query::Reply;
use super::*;

/// What the test's server does with a query.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// Sends forged replies first, then the right one.
    ForgesFirst,
    Truncates,
    Fails(u8),
    Nothing,
    /// Answers for A, and is silent on AAAA.
    DropsAaaa,
    Loops,
}

/// A reply to a query: its question, a code and records for A.
fn reply(query: &[u8], code: u8, flags: u8, answers: &[&[u8]]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2] = 0x81 | flags;
    bytes[3] = 0x80 | code;
    bytes[7] = answers.len() as u8;
    for answer in answers {
        bytes.extend_from_slice(answer);
    }
    bytes
}

fn is_a(query: &[u8]) -> bool {
    query[query.len() - 3] == 1
}

/// An address record of the question's name.
fn a(last: u8) -> Vec<u8> {
    [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &[10, 0, 0, last]].concat()
}

/// A server on the loopback, over UDP and TCP of one port, that lives as long as the test's process.
fn server(does: Does) -> SocketAddr {
    // A port that is free for one may be another test's for the other.
    let (udp, tcp) = (0..100)
        .find_map(|_| {
            let udp = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
            Some((udp, tcp))
        })
        .expect("a port for both");
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let query = &buffer[..length];
            let found = is_a(query) && query.windows(4).any(|w| w == b"\x03api" || w == b"\x03svc");
            let right = if found { reply(query, 0, 0, &[&a(7)]) } else { reply(query, 3, 0, &[]) };
            match does {
                Does::ForgesFirst => {
                    let mut forged = reply(query, 0, 0, &[&a(66)]);
                    forged[0] ^= 0xff;
                    udp.send_to(&forged, from).unwrap();
                    let mut other_name = reply(query, 0, 0, &[&a(66)]);
                    other_name[13] ^= 1;
                    udp.send_to(&other_name, from).unwrap();
                    udp.send_to(b"", from).unwrap();
                    udp.send_to(&right, from).unwrap();
                }
                Does::Truncates => drop(udp.send_to(&reply(query, 0, 2, &[]), from)),
                Does::Fails(code) => drop(udp.send_to(&reply(query, code, 0, &[]), from)),
                Does::Loops => {
                    let alias = [&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12][..]].concat();
                    udp.send_to(&reply(query, 0, 0, &[&alias]), from).unwrap();
                }
                Does::DropsAaaa if is_a(query) => drop(udp.send_to(&right, from)),
                Does::Nothing | Does::DropsAaaa => {}
            }
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            let records: Vec<Vec<u8>> = (0..100).map(a).collect();
            let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let bytes = reply(&query, 0, 0, if is_a(&query) { &records } else { &[] });
            stream.write_all(&(bytes.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    });
    address
}

fn config(servers: Vec<SocketAddr>) -> Config {
    Config { servers, timeout: Duration::from_millis(200), attempts: 1, ..Config::default() }
}

const BOTH: [Kind; 2] = [Kind::AAAA, Kind::A];

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

#[test]
fn forged_replies_are_passed_over() {
    let config = config(vec![server(Does::ForgesFirst)]);
    let lookup = Client::new(&config).lookup("api.x.y", &BOTH, None);
    assert_eq!(lookup.addresses, [ip(7)]);
}

#[test]
fn search_list_is_gone_through() {
    let mut config = config(vec![server(Does::ForgesFirst)]);
    config.search = vec!["nope".into(), "svc".into()];
    let lookup = Client::new(&config).lookup("web", &[Kind::A], None);
    assert_eq!(lookup.addresses, [ip(7)]);
    let names: Vec<&str> = lookup.asked.iter().map(|asked| asked.name.as_str()).collect();
    assert_eq!(names, ["web.nope", "web.svc"]);
    let lookup = Client::new(&config).lookup("web.", &[Kind::A], None);
    assert_eq!((lookup.addresses.len(), lookup.asked[0].outcome.clone()), (0, Outcome::NoName));
}

#[test]
fn a_cut_answer_is_asked_for_over_tcp() {
    let mut config = config(vec![server(Does::Truncates)]);
    for use_vc in [false, true] {
        config.use_vc = use_vc;
        let lookup = Client::new(&config).lookup("api.x", &BOTH, None);
        assert_eq!(lookup.addresses.len(), MAX_RECORDS);
        assert_eq!(lookup.asked[0].outcome, Outcome::NoData);
    }
}

#[test]
fn failures_are_told_apart() {
    for (does, outcome) in [
        (Does::Fails(2), Outcome::Code(2)),
        (Does::Fails(5), Outcome::Code(5)),
        (Does::Fails(3), Outcome::NoName),
        (Does::Fails(0), Outcome::NoData),
        (Does::Loops, Outcome::Garbled("aliases that lead in a circle")),
    ] {
        let config = config(vec![server(does)]);
        let asked = Client::new(&config).ask("web.x", &[Kind::A], None);
        assert_eq!(asked.last().unwrap().outcome, outcome);
    }
}

#[test]
fn silence_and_refusal_lead_to_the_next_server() {
    let closed = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().local_addr().unwrap();
    let config = config(vec![closed, server(Does::Nothing), server(Does::ForgesFirst)]);
    let asked = Client::new(&config).ask("api.x", &[Kind::A], None);
    assert_eq!(asked[0].outcome, Outcome::Unreachable(libc::ECONNREFUSED));
    assert!(matches!(asked[1].outcome, Outcome::Silent(_)));
    assert_eq!(asked[2].outcome, Outcome::Addresses(vec![ip(7)]));
}

#[test]
fn the_callers_limit_cuts_a_lookup() {
    let mut config = config(vec![server(Does::Nothing)]);
    config.timeout = Duration::from_secs(20);
    let began = Instant::now();
    let lookup = Client::new(&config).lookup("api.x", &BOTH, Some(began + Duration::from_millis(100)));
    assert!(lookup.cut && began.elapsed() < Duration::from_secs(5));
}

#[test]
fn hostile_packets_are_no_replies() {
    let query = Query::new("api.x", Kind::A, Class::In, true).unwrap();
    let right = reply(&query.packet, 0, 0, &[&a(1)]);
    let Some(Reply::Message(message)) = query.reply(&right) else { panic!("no reply") };
    assert_eq!(Outcome::of(&message, &query), Outcome::Addresses(vec![ip(1)]));
    // Every cut of it, and every byte of it changed: no panic, and never another address than its own bytes give.
    for end in 0..right.len() {
        assert!(query.reply(&right[..end]).is_none(), "cut at {end}");
    }
    for at in 0..right.len() {
        for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
            let mut bytes = right.clone();
            bytes[at] = value;
            let _ = query.reply(&bytes);
        }
    }
    // Names that point at themselves, forwards, and behind the end; counts that lie.
    for pointer in [[0xc0, 23], [0xc0, 40], [0xff, 0xff], [0xc0, 0]] {
        let mut bytes = reply(&query.packet, 0, 0, &[&a(1)]);
        let at = query.packet.len();
        bytes[at..at + 2].copy_from_slice(&pointer);
        let _ = query.reply(&bytes);
    }
    let mut lie = right.clone();
    lie[6..12].fill(0xff);
    assert!(query.reply(&lie).is_none());
    assert!(Query::new(&"a".repeat(64), Kind::A, Class::In, true).is_err());
}

#[test]
fn a_server_that_drops_aaaa_costs_one_timeout() {
    let mut config = config(vec![server(Does::DropsAaaa)]);
    config.attempts = 5;
    let began = Instant::now();
    let lookup = Client::new(&config).lookup("api.x", &BOTH, None);
    assert_eq!(lookup.addresses, [ip(7)]);
    assert!(began.elapsed() < 2 * config.timeout);
}
