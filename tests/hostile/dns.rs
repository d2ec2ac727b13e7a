//! The name server that wastes time and memory, on port 53 of the loopback, UDP and TCP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::system::*;

/// `silent`, `circle`, `ids`, `trickle` or `junk`.
pub fn serve(how: &str) -> ! {
    let udp = UdpSocket::bind("127.0.0.1:53").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:53").unwrap();
    let kind = how.to_owned();
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let kind = kind.clone();
            std::thread::spawn(move || over_tcp(stream, &kind));
        }
    });
    say("listening");
    let mut packet = [0; 1024];
    loop {
        let Ok((length, peer)) = udp.recv_from(&mut packet) else { continue };
        say("asked by UDP");
        let query = &packet[..length];
        let answers = match how {
            "circle" => vec![circle(query)],
            "ids" => wrong_ids(query),
            "junk" => junk(query),
            "trickle" => vec![cut(query)],
            // silent
            _ => Vec::new(),
        };
        for answer in answers {
            let _ = udp.send_to(&answer, peer);
        }
    }
}

fn over_tcp(mut stream: TcpStream, how: &str) {
    let mut length = [0; 2];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    if stream.read_exact(&mut query).is_err() {
        return;
    }
    say("asked by TCP");
    let mut answer = query.clone();
    answer.resize(65_535, b'x');
    answer[2] = 0x81;
    let whole = [&[0xff, 0xff], &answer[..]].concat();
    match how {
        // Each byte comes in time, the whole never does.
        "trickle" => {
            for byte in whole {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        _ => drop(stream.write_all(&whole)),
    }
}

/// The query as a reply, with so many answers.
fn reply(query: &[u8], answers: u16) -> Vec<u8> {
    let mut reply = query.to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[6..8].copy_from_slice(&answers.to_be_bytes());
    // Nothing additional.
    reply[8..12].fill(0);
    let end = 12 + reply[12..].iter().position(|byte| *byte == 0).unwrap_or(0) + 5;
    reply.truncate(end);
    reply
}

fn cut(query: &[u8]) -> Vec<u8> {
    let mut cut = reply(query, 0);
    cut[2] |= 2;
    cut
}

/// A name that is an alias of one that is an alias of the first.
fn circle(query: &[u8]) -> Vec<u8> {
    let mut answer = reply(query, 2);
    let other = [1, b'b', 4, b't', b'e', b's', b't', 0];
    // The question's name is at 12.
    answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, other.len() as u8]);
    let at = answer.len() as u8;
    answer.extend(other);
    answer.extend([0xc0, at, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
    answer
}

/// Answers to questions that nobody asked, with an address that must not be believed.
fn wrong_ids(query: &[u8]) -> Vec<Vec<u8>> {
    let forged = |id: u16, name_changed: bool| {
        let mut answer = reply(query, 1);
        answer[..2].copy_from_slice(&id.to_be_bytes());
        if name_changed {
            answer[13] = b'z';
        }
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 66]);
        answer
    };
    let own = u16::from_be_bytes([query[0], query[1]]);
    let mut all: Vec<Vec<u8>> =
        (1..200).map(|shift| forged(own.wrapping_add(shift * 327), false)).collect();
    all.push(forged(own, true));
    all
}

/// The largest datagrams, that begin as an answer does, with counts that lie.
fn junk(query: &[u8]) -> Vec<Vec<u8>> {
    let mut lie = reply(query, 0xffff);
    lie[8..12].fill(0xff);
    lie.resize(65_507, 0xc0);
    let mut loops = reply(query, 1000);
    // A name that leads to itself.
    while loops.len() < 60_000 {
        let at = loops.len() as u16;
        loops.extend((0xc000 | at & 0x3fff).to_be_bytes());
        loops.extend([0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
    }
    vec![lie, loops, vec![b'x'; 65_507], Vec::new(), vec![0]]
}
