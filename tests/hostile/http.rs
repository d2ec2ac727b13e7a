//! The web servers that waste time and memory: heads and bodies without end or one byte at a time, redirects that lead
//! back, a body that unpacks without end. The path of a request says which.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::system::*;

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// Serves on these ports of the loopback, up to the first word that is none; each request is told as `PORT PATH`.
pub fn serve(ports: &[String]) -> ! {
    for port in ports.iter().map_while(|port| port.parse::<u16>().ok()) {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream, port));
            }
        });
    }
    say("listening");
    loop {
        unsafe { pause() };
    }
}

fn answer(mut stream: TcpStream, port: u16) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]);
    let path = request.split(' ').nth(1).unwrap_or("");
    say(&format!("{port} {path}"));
    let _ = match path {
        "/fields" => {
            let sent =
                head(&mut stream, "") + endless(&mut stream, &b"X-More: and more of it\r\n".repeat(40), 0);
            return say(&format!("sent {sent}"));
        }
        "/field" => head(&mut stream, "X-Long: ") + endless(&mut stream, &[b'x'; 4096], 0),
        "/slow-head" => head(&mut stream, "") + endless(&mut stream, b"X", 100),
        "/body" => head(&mut stream, "\r\n") + endless(&mut stream, &[b'x'; 1 << 16], 5),
        "/slow-body" => head(&mut stream, "Content-Length: 1000\r\n\r\n") + endless(&mut stream, b"x", 100),
        "/bomb" => {
            let (begun, more) = bomb();
            head(&mut stream, "Content-Encoding: gzip\r\n\r\n")
                + stream.write(&begun).unwrap_or(0)
                + endless(&mut stream, &more, 0)
        }
        "/again" => {
            let to = "Location: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            write!(stream, "HTTP/1.1 302 Found\r\n{to}").map_or(0, |()| to.len())
        }
        // A whole answer, made by who made the container; elsewhere the port.
        _ => {
            let port = port.to_string();
            let plain = format!("{OK}Content-Length: {}\r\nConnection: close\r\n\r\n{port}", port.len());
            stream.write(&fs::read(path).unwrap_or(plain.into_bytes())).unwrap_or(0)
        }
    };
}

fn head(stream: &mut TcpStream, rest: &str) -> usize {
    write!(stream, "{OK}{rest}").map_or(0, |()| OK.len() + rest.len())
}

/// Writes it until the peer is gone, with pauses of so many milliseconds. Returns how many bytes went.
fn endless(stream: &mut TcpStream, part: &[u8], pause: u64) -> usize {
    let mut sent = 0;
    while stream.write_all(part).is_ok() {
        sent += part.len();
        if pause > 0 {
            pause_for(pause);
        }
    }
    sent
}

/// How a gzip of zeros begins, and what of it can be repeated for ever: 13 bytes for 2064.
fn bomb() -> (Vec<u8>, Vec<u8>) {
    // RFC 1951, 3.2.6: a block of fixed codes, not the last; the literal 0; length 258 at distance 1.
    let (block, zero, repeat) = ("010", "00110000", "1100010100000");
    let pack = |bits: String| -> Vec<u8> {
        let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        assert!(bits.len() % 8 == 0);
        bits.as_bytes().chunks(8).map(byte).collect()
    };
    // RFC 1952: deflate, no flags, no time.
    let mut begun = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    begun.extend(pack([block, zero, repeat].concat()));
    (begun, pack(repeat.repeat(8)).repeat(1024))
}
