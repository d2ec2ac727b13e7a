//! `http`, in what its own tests leave out.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::network::script;
use crate::support::{Sandbox, needs_root, sandbox};

/// A server in the container's network namespace that answers so many requests in these words.
fn answers(target: &Sandbox, answer: &'static str, times: usize) {
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let (sender, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let listener = TcpListener::bind("127.0.0.1:8099").unwrap();
        sender.send(()).unwrap();
        for stream in listener.incoming().take(times) {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(lines.map(Result::unwrap).any(|line| line.is_empty()));
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    ready.recv().unwrap();
}

// Seen to fail without the note: the body alone, and status 0.
#[test]
fn a_status_of_400_or_more_is_told_beside_the_body() {
    needs_root!();
    let target = sandbox().start();
    script(&target, "ip link set lo up");
    answers(&target, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbad\n", 6);
    let url = "http://127.0.0.1:8099/";
    let ran = target.run(&["http", "get", url]);
    assert_eq!((ran.status, ran.text().as_str()), (0, "bad\n"));
    assert_eq!(ran.err, "http: get http://127.0.0.1:8099/: 502 Bad Gateway (-f to fail)\n");
    let ran = target.run(&["http", "get", "-f", url]);
    assert_eq!((ran.status, ran.text().as_str()), (22, ""));
    assert_eq!(ran.err, "http: get http://127.0.0.1:8099/: 502 Bad Gateway\n");
    // Where the head is shown, nothing more is said.
    for words in [&["get", "-i", url][..], &["head", url], &["get", "--json", url]] {
        let ran = target.run(&[&["http"], words].concat());
        assert!(ran.status == 0 && ran.err.is_empty() && ran.text().contains("502"), "{ran:?}");
    }
    let ran = target.run(&["http", "get", "-v", url]);
    assert!(ran.status == 0 && !ran.err.contains("-f to fail"), "{ran:?}");
}

// Seen to fail without the note, and without the options.
#[test]
fn a_redirect_that_is_not_followed_is_told_and_curls_options_are_taken() {
    needs_root!();
    let target = sandbox().start();
    script(&target, "ip link set lo up");
    answers(&target, "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", 6);
    let url = "http://127.0.0.1:8099/";
    let told = |words: &[&str]| {
        let ran = target.run(&[&["http"], words].concat());
        assert_eq!(ran.status, 0, "{words:?}: {ran:?}");
        (ran.text(), ran.err)
    };
    let note = |method: &str| format!("http: {method} {url}: 302 Found, to /there (-L follows)\n");
    assert_eq!(told(&["get", url]), (String::new(), note("get")));
    assert_eq!(told(&["-X", "DELETE", url]), (String::new(), note("delete")));
    assert_eq!(told(&["-s", url]), (String::new(), String::new()));
    for words in [&["-I", url][..], &["--head", url], &["get", "-i", url]] {
        let (out, err) = told(words);
        assert!(out.starts_with("HTTP/1.1 302 Found\r\n") && err.is_empty(), "{words:?}: {out} {err}");
    }
    target.run(&["http", "-X", "BREW", url]).fails(2, "unknown method 'brew'");
    target.run(&["http", "-I", "get", url]).fails(2, "takes one method");
}

// Seen to fail with variables that nobody hears of.
#[test]
fn a_proxy_that_is_not_used_is_mentioned() {
    needs_root!();
    let target = sandbox()
        .variable("http_proxy", "http://user:secret@proxy.test:3128")
        .variable("no_proxy", "127.0.0.0/8,.svc")
        .file("etc/hosts", "127.0.0.2 web.test\n127.0.0.2 web.svc\n")
        .start();
    for (url, is_told) in [("web.test:1", true), ("web.svc:1", false), ("127.0.0.2:1", false)] {
        let ran = target.run(&["http", "get", url]);
        ran.fails(7, "connection refused");
        let told = "http_proxy is set in the target's environment";
        assert_eq!(ran.err.contains(told), is_told, "{ran:?}");
        assert!(!ran.err.contains("secret"), "{ran:?}");
    }
}
