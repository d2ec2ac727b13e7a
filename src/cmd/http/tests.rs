//! Requests against servers of the tests' own, on the loopback and on Unix sockets.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use super::*;
use crate::cmd::Fault;
use crate::cmd::net::Names;
use crate::out::Format;
use crate::sys::resolv::{Config, Hosts, Order};

/// A file of the test's own that is removed with it.
struct Temp(std::path::PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("nsdbg-http-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn no_names() -> Names {
    Names {
        config: Config { servers: Vec::new(), ..Config::default() },
        hosts: Hosts::default(),
        order: Order::parse(b""),
    }
}

/// Runs the command; its result and what it printed.
fn run_in(cx: &mut Context, args: &[&str]) -> (std::result::Result<Status, Fault>, Vec<u8>) {
    let words = std::iter::once("http").chain(args.iter().copied());
    let http = match Http::try_parse_from(words) {
        Ok(http) => http,
        Err(error) => return (Err(Fault::usage(error.to_string())), Vec::new()),
    };
    let shared = Shared::default();
    let mut out = Output::new(Box::new(shared.clone()), cx.format, cx.screen());
    let result = fetch::Fetch::new(&http, cx).and_then(|mut fetch| {
        fetch.names = Some(no_names);
        fetch.set_idle(Duration::from_millis(1500));
        fetch.run(cx, &mut out, None)
    });
    out.finish().unwrap();
    let bytes = shared.0.lock().unwrap().clone();
    (result, bytes)
}

fn run(args: &[&str]) -> (std::result::Result<Status, Fault>, Vec<u8>) {
    run_in(&mut Context::default(), args)
}

fn body(args: &[&str]) -> Vec<u8> {
    let (result, bytes) = run(args);
    assert_eq!(result, Ok(Status::OK));
    bytes
}

fn fault(args: &[&str]) -> Fault {
    run(args).0.unwrap_err()
}

/// Reads a request: its head, and as much data as it announces.
fn request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length =
        head.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let mut data = vec![0; length];
    stream.read_exact(&mut data).unwrap();
    bytes.extend(data);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A server on 127.0.0.1 that gives each connection to `serve`, with the request.
fn server(serve: impl Fn(&mut std::net::TcpStream, String) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = request(&mut stream);
            serve(&mut stream, request);
        }
    });
    address
}

/// A server that sends these bytes and closes.
fn sends(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    server(move |stream, _| drop(stream.write_all(&bytes))).to_string()
}

/// A server that answers with the request.
fn echo() -> String {
    server(|stream, request| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{request}", request.len());
    })
    .to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn packed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

#[test]
fn bodies_end_by_length_by_chunks_and_by_close() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello-and-more",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: v\r\n\r\n",
        "HTTP/1.1 200\nContent-Length: 5\n\nhello",
    ] {
        assert_eq!(body(&["get", &sends(answer)]), b"hello", "{answer}");
    }
    assert_eq!(body(&["get", &sends("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n")]), b"");
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(body(&["head", &sends(head)]), head.as_bytes());
    assert_eq!(body(&["-i", &sends(format!("{head}hello"))]), format!("{head}hello").as_bytes());
}

#[test]
fn wrong_answers_are_told_apart() {
    let head = "HTTP/1.1 200 OK\r\n";
    for (answer, status, text) in [
        (String::new(), 52, "without an answer"),
        ("HTTP/1.1 200 OK\r\nA: b".into(), 56, "within the response's head"),
        ("SSH-2.0-x\r\n".into(), 56, "not HTTP"),
        (format!("{head}Content-Length: 9\r\n\r\nhello"), 18, "4 bytes before"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhel"), 18, "within the body"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX"), 56, "longer than"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 56, "size of a chunk"),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\n1;{}", "x".repeat(9000)), 56, "size of a chunk"),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n{}", "x: y\r\n".repeat(20_000)),
            56,
            "trailers",
        ),
        (format!("{head}{}", "x: y\r\n".repeat(300)) + "\r\n", 56, "headers"),
        (format!("{head}{}", "x: y\r\n".repeat(40_000)), 56, "64 KiB"),
        (format!("{head}X: {}", "y".repeat(200_000)), 56, "64 KiB"),
        ("HTTP/1.1 100 x\r\n\r\n".repeat(50), 56, "interim"),
        (format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 56, "not a length"),
        (format!("{head}Content-Encoding: gzip\r\n\r\nnot gzip at all"), 61, "unpacked"),
    ] {
        let fault = fault(&["get", &sends(answer)]);
        assert!(
            fault.status == status && fault.to_string().contains(text),
            "{text}: {} {fault}",
            fault.status
        );
    }
}

// Seen to fail, after the longest silence, with data that is sent to its end before the answer is read.
#[test]
fn a_server_may_answer_as_it_reads_and_refuse_before_it_has_read_all() {
    let size = 64 << 20;
    let path = std::env::temp_dir().join(format!("nsdbg-test-upload-{}", std::process::id()));
    File::create(&path).unwrap().set_len(size as u64).unwrap();
    let at = format!("@{}", path.display());
    let raw = |act: fn(&mut std::net::TcpStream, usize)| {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            act(&mut stream, size);
        });
        address.to_string()
    };
    let echo = raw(|stream, size| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").unwrap();
        let mut buffer = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let count = stream.read(&mut buffer).unwrap();
            stream.write_all(&buffer[..count]).unwrap();
            left -= count;
        }
    });
    let refuses = raw(|stream, _| {
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch").unwrap();
        thread::sleep(Duration::from_secs(3));
    });
    let reads_on = raw(|stream, size| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").unwrap();
        let mut all = vec![0; size];
        stream.read_exact(&mut all).unwrap();
    });
    assert_eq!(body(&["post", &echo, "--data-binary", &at]).len(), size);
    assert_eq!(body(&["post", &refuses, "--data-binary", &at]), b"much");
    assert_eq!(body(&["post", &reads_on, "--data-binary", &at]), b"early");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn packed_bodies_are_unpacked_unless_raw() {
    let text = b"hello ".repeat(100_000);
    let packed_text = gzip(&text);
    assert_eq!(body(&["get", &sends(packed("gzip", &packed_text))]), text);
    assert_eq!(body(&["get", "--raw", &sends(packed("gzip", &packed_text))]), packed_text);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&text).unwrap();
    assert_eq!(body(&["get", &sends(packed("deflate", &zlib.finish().unwrap()))]), text);
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    bare.write_all(&text).unwrap();
    assert_eq!(body(&["get", &sends(packed("deflate", &bare.finish().unwrap()))]), text);
    assert_eq!(body(&["get", &sends(packed("gzip", b""))]), b"");
    assert_eq!(body(&["get", &sends(packed("br", b"x"))]), b"x");
    let cut = fault(&["get", &sends(packed("gzip", &packed_text[..packed_text.len() / 2]))]);
    assert_eq!(cut.status, 61);
}

#[test]
fn a_bomb_ends_at_max_size() {
    let bomb = sends(packed("gzip", &gzip(&vec![0; 64 << 20])));
    let (result, bytes) = run(&["get", &bomb, "--max-size", "1M"]);
    assert_eq!((result.unwrap_err().status, bytes.len()), (63, 1 << 20));
    let plain = sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(fault(&["get", &plain, "--max-size", "4"]).status, 63);
    assert_eq!(body(&["get", &plain, "--max-size", "5"]), b"hello");
}

#[test]
fn silence_ends_at_its_limit() {
    let silent = server(|_, _| thread::sleep(Duration::from_secs(3))).to_string();
    let began = Instant::now();
    let idle = fault(&["get", &silent]);
    assert!(idle.status == 28 && idle.to_string().contains("nothing came for 1.5 s"), "{idle}");
    let silent = server(|_, _| thread::sleep(Duration::from_secs(3))).to_string();
    let max = fault(&["get", &silent, "--max-time", "0.1"]);
    assert!(max.status == 28 && max.to_string().contains("--max-time"), "{max}");
    let drip = server(move |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"x").is_ok() && began.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let slow = fault(&["get", &drip.to_string(), "-m", "0.2"]);
    assert_eq!(slow.status, 28);
    // A server that takes the connection but no part in the handshake.
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let tls = fault(&["get", &url, "--connect-timeout", "0.1", "-k"]);
    assert!(tls.status == 28 && tls.to_string().contains("--connect-timeout"), "{tls}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn redirects_are_followed_within_bounds() {
    let other = echo();
    let target = other.clone();
    let start = server(move |stream, request| {
        let path = request.split(' ').nth(1).unwrap();
        let (status, location) = match path {
            "/loop" => (302, "/loop".to_owned()),
            "/307" => (307, format!("http://{target}/x")),
            "/file" => (302, "file:///etc/passwd".to_owned()),
            _ => (302, format!("http://{target}/x y")),
        };
        let _ = write!(stream, "HTTP/1.1 {status} F\r\nLocation: {location}\r\nContent-Length: 2\r\n\r\nno");
    })
    .to_string();
    assert_eq!(body(&["get", &start]), b"no");
    let secrets =
        ["-H", "Cookie: c=secret", "-H", "X-Kept: 1", "-u", "u:secret", "-H", "Authorization: secret"];
    let seen =
        String::from_utf8(body(&[&["post", "-L", &start, "-d", "data"][..], &secrets].concat())).unwrap();
    assert!(seen.starts_with("GET /x%20y HTTP/1.1\r\n") && seen.contains("X-Kept: 1"), "{seen}");
    assert!(!seen.contains("secret") && !seen.contains("data"), "{seen}");
    let seen = String::from_utf8(body(&["put", "-L", &format!("{start}/307"), "-d", "data"])).unwrap();
    assert!(seen.starts_with("PUT /x ") && seen.ends_with("\r\n\r\ndata"), "{seen}");
    let endless = fault(&["get", "-L", &format!("{start}/loop"), "--max-redirs", "3"]);
    assert!(endless.status == 47 && endless.to_string().contains("more than 3"), "{endless}");
    assert!(fault(&["get", "-L", &format!("{start}/file")]).to_string().contains("follow"));
}

#[test]
fn requests_look_as_asked() {
    let echo = echo();
    let sent = |args: &[&str]| String::from_utf8(body(args)).unwrap();
    let get = sent(&["get", &format!("http://user:p%40ss@{echo}/a b")]);
    assert!(
        get.starts_with("GET /a%20b HTTP/1.1\r\n") && get.contains("Authorization: Basic dXNlcjpwQHNz"),
        "{get}"
    );
    assert!(!get.to_lowercase().contains("content-length"));
    let post = sent(&["post", &echo, "-d", "a=1", "-d", "b=2"]);
    assert!(
        post.contains("Content-Type: application/x-www-form-urlencoded\r\n")
            && post.ends_with("\r\n\r\na=1&b=2")
    );
    assert!(sent(&["post", &echo]).contains("Content-Length: 0\r\n"));
    assert!(sent(&[&echo, "-d", "x"]).starts_with("POST "));
    let file = Temp::new("data");
    std::fs::write(&file.0, "l1\r\nl2\n").unwrap();
    let at = format!("@{}", file.text());
    assert!(sent(&["put", &echo, "-d", &at]).ends_with("\r\n\r\nl1l2"));
    assert!(sent(&["put", &echo, "--data-binary", &at]).ends_with("\r\n\r\nl1\r\nl2\n"));
    assert_eq!(fault(&["put", &echo, "-d", "@/nonexistent"]).status, 26);
    assert_eq!(fault(&["put", &echo, "-d", "@/dev/zero"]).status, 26);
}

#[test]
fn wrong_use_is_status_2() {
    for args in [
        &["get"][..],
        &["fetch", "http://127.0.0.1/"],
        &["get", "ftp://127.0.0.1/"],
        &["get", "127.0.0.1", "-H", "x"],
        &["get", "127.0.0.1", "-u", "x"],
        &["get", "127.0.0.1", "-m", "-1"],
        &["get", "127.0.0.1", "-m", "nan"],
        &["get", "127.0.0.1", "--max-size", "1X"],
        &["get", "127.0.0.1", "--resolve", "a"],
    ] {
        assert_eq!(fault(args).status, 2, "{args:?}");
    }
}

#[test]
fn names_come_from_resolve_localhost_and_literals() {
    let echo = echo();
    let port = echo.rsplit(':').next().unwrap();
    let seen =
        body(&["get", &format!("web.test:{port}"), "--resolve", &format!("WEB.test:{port}:127.0.0.1")]);
    assert!(String::from_utf8(seen).unwrap().contains(&format!("Host: web.test:{port}\r\n")));
    body(&["get", &format!("a.localhost:{port}")]);
    assert_eq!(fault(&["get", &format!("web.test:{port}")]).status, 6);
    assert_eq!(fault(&["get", "-6", &format!("127.0.0.1:{port}")]).status, 6);
    let closed = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().local_addr().unwrap();
    let refused = fault(&["get", &closed.to_string()]);
    assert_eq!((refused.status, refused.to_string()), (7, format!("connect {closed}: connection refused")));
}

#[test]
fn ipv6_literals_are_reached() {
    let Ok(listener) = TcpListener::bind("[::1]:0".parse::<SocketAddr>().unwrap()) else {
        let skips = std::env::var_os("NSDBG_TEST_SKIPS").unwrap_or_else(|| "/dev/stderr".into());
        let mut skips = std::fs::OpenOptions::new().append(true).open(skips).unwrap();
        writeln!(skips, "skipped: ipv6_literals_are_reached: no ::1: sysctl net.ipv6.conf.lo.disable_ipv6=0")
            .unwrap();
        return;
    };
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsix").unwrap();
    });
    assert_eq!(body(&[&url]), b"six");
}

#[test]
fn unix_sockets_are_reached() {
    let path = Temp::new("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let seen = request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\n\r\n{seen}").unwrap();
    });
    let seen = body(&["get", "http://docker/info", "--unix-socket", path.text()]);
    assert!(seen.starts_with(b"GET /info HTTP/1.1\r\nHost: docker\r\n"));
    assert_eq!(fault(&["get", "http://x/", "--unix-socket", "/nonexistent"]).status, 7);
}

#[test]
fn bodies_go_to_files_but_not_through_links() {
    let big = vec![b'x'; 3 << 20];
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n".as_slice(), &big].concat();
    let file = Temp::new("file");
    std::fs::write(&file.0, "old contents").unwrap();
    assert_eq!(body(&["get", &sends(answer.clone()), "-o", file.text()]), b"");
    assert!(std::fs::read(&file.0).unwrap() == big);
    let link = Temp::new("link");
    std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
    let url = sends("HTTP/1.1 200 OK\r\n\r\nx");
    assert!(fault(&["get", &url, "-o", link.text()]).to_string().contains("symbolic link"));
    let mut cx = Context::default();
    cx.read_only = true;
    assert!(
        run_in(&mut cx, &["get", &url, "-o", file.text()]).0.unwrap_err().to_string().contains("read-only")
    );
    assert_eq!(run_in(&mut cx, &["get", &url, "-o", "/dev/null"]).0, Ok(Status::OK));
    assert_eq!(std::fs::read(&file.0).unwrap().len(), big.len());
    assert_eq!(fault(&["get", &url, "-o", "/dev/zero"]).status, 23);
}

#[test]
fn binary_bodies_stay_off_the_terminal() {
    let url = sends("HTTP/1.1 200 OK\r\nX: \x1b[2J\r\n\r\na\0b");
    let mut cx = Context::default();
    cx.tty = true;
    assert_eq!(run_in(&mut cx, &["get", &url]).0.unwrap_err().status, 23);
    assert_eq!(run_in(&mut cx, &["get", &url, "-o", "-"]).1, b"a\0b");
    assert!(!run_in(&mut cx, &["-i", &url, "-o", "-"]).1.contains(&0x1b));
}

#[test]
fn json_is_one_object() {
    let url = sends("HTTP/1.1 404 Not Found\r\nX-Odd: \u{e9}\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nhello");
    let mut cx = Context::default();
    cx.format = Format::Json;
    let (result, bytes) = run_in(&mut cx, &["get", &url]);
    assert_eq!(result, Ok(Status::OK));
    let object: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        (&object["status"], &object["reason"], &object["body_size"]),
        (&404.into(), &"Not Found".into(), &5.into())
    );
    assert_eq!(object["headers"][2], serde_json::json!(["set-cookie", "b"]));
    assert!(
        object["tls"].is_null() && object["timings"]["dns"].is_null() && object["timings"]["total"].is_f64()
    );
    cx.tty = true;
    let zeros = [b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n".to_vec(), vec![0; 2_000_000]].concat();
    let object: serde_json::Value =
        serde_json::from_slice(&run_in(&mut cx, &[&sends(zeros.clone())]).1).unwrap();
    assert_eq!(object["body_size"], 2_000_000);
    assert_eq!(run_in(&mut cx, &[&sends(&zeros[..1_000_000])]).0.unwrap_err().status, 18);
    let (result, bytes) = run_in(&mut cx, &["get", &url, "--fail"]);
    assert!(result.unwrap_err().status == 22 && bytes.starts_with(b"{\"status\":404"));
    assert!(fault(&["get", "--fail", &url]).to_string().ends_with("404 Not Found"));
}

#[test]
fn files_of_the_node_are_told_to_the_supervisor() {
    let http =
        Http::try_parse_from(["http", "get", "x", "-o", "@host:/o", "--data-binary", "@host:/d"]).unwrap();
    let files = http.host_files();
    assert_eq!(
        files.iter().map(|f| (f.path.clone(), f.write)).collect::<Vec<_>>(),
        [(OsString::from("/d"), false), (OsString::from("/o"), true)]
    );
}

mod certificates;
