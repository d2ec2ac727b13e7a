//! `dns --explain` beside the real resolvers: a program with glibc and one with musl, both in the container's network
//! namespace, with its files mounted over the node's in a mount namespace of their own.

use std::fs;
use std::net::SocketAddrV6;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{serve, serve_at};
use crate::commands::network::script;
use crate::live::run;
use crate::support::{Sandbox, needs_root, new_directory, sandbox, skip};

const PROGRAM: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int count, char **words) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(words[1], 0, &hints, &found)) return 1;
    for (; found; found = found->ai_next) {
        char text[64];
        void *ip = found->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
                                               : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        puts(inet_ntop(found->ai_family, ip, text, sizeof text));
    }
}
"#;

const FILES: [&str; 3] = ["etc/resolv.conf", "etc/hosts", "etc/nsswitch.conf"];

/// The program, built by a compiler; none where there is no such compiler.
fn built(directory: &Path, compiler: &str) -> Option<PathBuf> {
    let (source, program) = (directory.join("program.c"), directory.join(compiler));
    fs::write(&source, PROGRAM).unwrap();
    let mut command = Command::new(compiler);
    command.arg(&source).arg("-o").arg(&program);
    if compiler == "musl-gcc" {
        command.arg("-static");
    }
    command.output().ok()?.status.success().then_some(program)
}

/// What the program finds, sorted.
fn finds(target: &Sandbox, program: &Path, name: &str) -> Vec<String> {
    let mounts: String = FILES
        .iter()
        .map(|file| format!("mount --bind {} $(readlink -f /{file}) && ", target.root.join(file).display()))
        .collect();
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", target.pid)).args(["unshare", "-m", "sh", "-c"]);
    let ran = run(command.arg(format!("{mounts} exec {} {name}", program.display())));
    let mut found: Vec<String> = ran.text().lines().map(str::to_owned).collect();
    found.sort();
    found
}

const SOON: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
const USUAL: &str = "hosts: files dns\n";

// Seen to fail with a search that goes on after REFUSED and ends at silence, with nameserver lines that blanks or a
// carriage return hide, with localhost that is never asked for, with a dot that hosts passes over, and with actions that
// count only where they are written as [NOTFOUND=return].
#[test]
fn explain_finds_what_glibc_finds_and_names_what_musl_does_not() {
    needs_root!();
    let directory = new_directory("resolvers");
    let (Some(glibc), musl) = (built(&directory, "cc"), built(&directory, "musl-gcc")) else {
        skip!("cc is missing: apt install gcc");
    };
    let target =
        sandbox().file("etc/resolv.conf", "").file("etc/hosts", "").file("etc/nsswitch.conf", "").start();
    serve(&target);
    let search = |domains: &str| format!("{SOON}search {domains}\n");
    for (resolv, hosts, switch, name, words) in [
        (search("nx.list good.list"), "", USUAL, "bare", ""),
        (
            search("nodata.list good.list"),
            "",
            USUAL,
            "bare",
            "musl does not find it: it stops at bare.nodata.list",
        ),
        (
            search("servfail.list good.list"),
            "",
            USUAL,
            "bare",
            "musl does not find it: it stops at SERVFAIL for",
        ),
        (search("refused.list good.list"), "", USUAL, "bare", "Go asks for bare.good.list too"),
        (search("refused.list good.list"), "", USUAL, "x", "Go asks for x.good.list too"),
        (search("notimp.list good.list"), "", USUAL, "x", "Go asks for x.good.list too"),
        (
            search("dead.list good.list"),
            "",
            USUAL,
            "bare",
            "musl does not find it: it stops at no answer for",
        ),
        (search("nx.list # good.list"), "", USUAL, "x", ""),
        (SOON.into(), "", USUAL, "nx6.good.list", "musl does not find it: NXDOMAIN for nx6.good.list AAAA"),
        (SOON.into(), "", USUAL, "fail6.good.list", "musl does not find it: it stops at SERVFAIL"),
        (SOON.into(), "", USUAL, "drop6.good.list", "glibc waits 3 s for AAAA"),
        (
            " nameserver 127.0.0.2\n".into(),
            "",
            USUAL,
            "bare",
            "begins with blanks: glibc and musl pass it over",
        ),
        (
            "nameserver 127.0.0.2\r\noptions timeout:1 attempts:1\n".into(),
            "",
            USUAL,
            "bare",
            "ends with a carriage return: glibc takes",
        ),
        (SOON.into(), "", USUAL, "localhost", "curl, browsers and nsdbg's own http take loopback"),
        (SOON.into(), "", "hosts: dns\n", "localhost", "curl, browsers"),
        (SOON.into(), "10.3.3.3 b.test\n", USUAL, "b.test.", "Go finds 10.3.3.3 in /etc/hosts"),
        (SOON.into(), "10.3.3.3 b.test\n", USUAL, "b.test", ""),
        (SOON.into(), "10.3.3.3 b.test\n", "hosts: dns\n", "b.test", "musl finds 10.3.3.3 in /etc/hosts"),
        (
            SOON.into(),
            "10.3.3.3 nx.list\n",
            "hosts: dns [ NOTFOUND=return ] files\n",
            "nx.list",
            "musl finds 10.3.3.3",
        ),
        (
            SOON.into(),
            "10.3.3.3 nx.list\n",
            "hosts: dns [!UNAVAIL=return] files\n",
            "nx.list",
            "musl finds 10.3.3.3",
        ),
        (SOON.into(), "10.3.3.3 nx.list\n", "hosts: dns files\n", "nx.list", ""),
        (SOON.into(), "10.3.3.3 refused.list\n", "hosts: dns [NOTFOUND=return] files\n", "refused.list", ""),
        (
            SOON.into(),
            "10.3.3.3 refused.list\n",
            "hosts: dns [UNAVAIL=return] files\n",
            "refused.list",
            "musl finds",
        ),
        (
            SOON.into(),
            "10.3.3.3 x\n",
            "hosts: files [NOTFOUND=return] dns\n",
            "bare",
            "musl asks the name servers",
        ),
    ] {
        for (file, text) in FILES.into_iter().zip([resolv.as_str(), hosts, switch]) {
            fs::write(target.root.join(file), text).unwrap();
        }
        let case = format!("{resolv:?} {hosts:?} {switch:?} {name}");
        let theirs = finds(&target, &glibc, name);
        let said = target.run(&["dns", "--explain", "--json", name]).text();
        let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let mut ours: Vec<String> =
            last["addresses"].as_array().unwrap().iter().map(|ip| ip.as_str().unwrap().to_owned()).collect();
        ours.sort();
        assert_eq!(ours, theirs, "{case}: {said}");
        // Lines that are passed over stand above the table.
        let told = if said.contains(words) { said } else { target.run(&["dns", "--explain", name]).text() };
        assert!(told.contains(words), "{case}: no {words}: {told}");
        if let Some(musl) = &musl {
            let differs = finds(&target, musl, name) != theirs;
            let is_told = told.contains("; musl ") || told.contains("musl and Go do not");
            assert!(!differs || is_told, "{case}: musl differs: {told}");
        }
    }
    let _ = fs::remove_dir_all(&directory);
}

// Seen to fail with a zone that has to be a number.
#[test]
fn a_server_may_have_an_interface_in_its_address() {
    needs_root!();
    let target = sandbox()
        .file("etc/resolv.conf", "nameserver fe80::53%lo\n")
        .file("etc/hosts", "127.0.0.1 localhost\n")
        .start();
    script(&target, "ip addr add fe80::53/64 dev lo nodad");
    // The first interface of a network namespace is lo.
    serve_at(&target, SocketAddrV6::new("fe80::53".parse().unwrap(), 53, 0, 1).into());
    let shown = target.run(&["dns", "all.test", "+time=1", "+tries=1"]);
    assert!(shown.text().contains(";; fe80::53%lo#53 (udp), "), "{shown:?}");
    assert!(target.run(&["dns", "all.test", "+short", "@fe80::53%lo"]).ok().contains("10.0.0.1"));
    assert!(target.run(&["dns", "--explain", "all.test"]).ok().contains("servers fe80::53%lo#53;"));
}
