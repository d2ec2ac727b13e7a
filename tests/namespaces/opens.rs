//! Which files nsdbg opens, programs it starts and peers it connects to, in a container that is full of bait.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;

use crate::live::{run, wait};
use crate::prompt::Prompt;
use crate::support::{LIMIT, NSDBG, Sandbox, helper, needs_root, new_directory, sandbox, skip};

const CALLS: &str = "trace=open,openat,openat2,creat,execve,execveat,connect,uselib,setns,chroot,clone,clone3,fork,\
                     vfork,open_by_handle_at,open_tree";
const PORT: u16 = 8443;
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What any run does on the node.
const OUTSIDE: [&str; 16] = [
    concat!("execve ", env!("CARGO_BIN_EXE_nsdbg")),
    "execveat /",
    "open_tree PROGRAM",
    "open /dev/null",
    "open /proc/self",
    "open /proc/self/exe",
    "open /proc/self/fd/N",
    "open /proc/self/attr/current",
    "open /proc/N",
    "open /proc/N/stat",
    "open /proc/N/status",
    "open /proc/N/attr/current",
    "open /proc/N/environ",
    "open /proc/N/root",
    "open /proc/N/cwd",
    "open /proc/N/ns/pid",
];

/// Variables that have libraries read files.
const VARIABLES: [(&str, &str); 11] = [
    ("RUST_BACKTRACE", "full"),
    ("TZ", ":/etc/localtime"),
    ("TERM", "xterm"),
    ("TERMINFO", "/etc/terminfo"),
    ("INPUTRC", "/etc/inputrc"),
    ("OPENSSL_CONF", "/etc/ssl/openssl.cnf"),
    ("HOSTALIASES", "/etc/host.conf"),
    ("LOCPATH", "/usr/lib/locale"),
    ("LC_ALL", "de_DE.UTF-8"),
    ("GCONV_PATH", "/usr/lib/x86_64-linux-gnu/gconv"),
    ("LD_PRELOAD", "/lib/x86_64-linux-gnu/libnss_evil.so.2"),
];

/// What one traced run did, inside the container and outside of it: `open PATH`, `connect PEER`, `execve …`.
struct Seen {
    inside: BTreeSet<String>,
    outside: BTreeSet<String>,
}

/// Traces every process of nsdbg.
fn strace(to: &Path, target: &Sandbox) -> Command {
    strace_by(Command::new("strace"), to, target)
}

fn strace_by(mut command: Command, to: &Path, target: &Sandbox) -> Command {
    command.args([
        "-ff",
        "-qq",
        "-y",
        "--decode-pids=pidns",
        "-s",
        "4096",
        "-e",
        CALLS,
        "-e",
        "signal=none",
        "-o",
    ]);
    command.arg(to.join("trace"));
    for (name, value) in VARIABLES {
        command.arg("-E").arg(format!("{name}={value}"));
    }
    command.arg(NSDBG).args(["--pid", &target.pid.to_string()]);
    command
}

impl Seen {
    /// Reads what strace wrote: a file for each process. Inside is who has joined or changed its root, and whom it made
    /// after that.
    fn read(from: &Path) -> Self {
        let mut processes: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let pid = path.extension().unwrap().to_str().unwrap().parse().unwrap();
            processes.insert(pid, fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect());
        }
        let mut inside_from_birth = BTreeSet::new();
        let mut seen = Self { inside: BTreeSet::new(), outside: BTreeSet::new() };
        let children: BTreeSet<i32> = processes.values().flatten().filter_map(|line| child(line)).collect();
        // Whoever was killed in clone(2) did not tell of its child, which may have done nothing by then.
        let did = |pid: &i32| !processes[pid].is_empty();
        let roots: Vec<i32> =
            processes.keys().copied().filter(|pid| !children.contains(pid)).filter(did).collect();
        assert_eq!(roots.len(), 1, "one process that nobody made: {processes:#?}");
        let mut left = roots;
        while let Some(pid) = left.pop() {
            let mut inside = inside_from_birth.contains(&pid);
            for line in &processes[&pid] {
                if let Some(child) = child(line) {
                    if inside {
                        inside_from_birth.insert(child);
                    }
                    left.push(child);
                } else if line.starts_with("setns(") || line.starts_with("chroot(") {
                    inside |= line.ends_with(" = 0");
                } else if let Some(what) = told(line) {
                    (if inside { &mut seen.inside } else { &mut seen.outside }).insert(what);
                }
            }
        }
        assert!(!inside_from_birth.is_empty() || seen.inside.is_empty());
        seen
    }

    /// Asserts that nothing was done but what these allow, and that all of `inside` was.
    fn only(&self, what: &str, inside: &[&str], outside: &[&str]) {
        for (place, seen, allowed) in
            [("inside", &self.inside, inside), ("outside", &self.outside, &[outside, &OUTSIDE].concat()[..])]
        {
            for call in seen {
                assert!(allowed.contains(&call.as_str()), "{what}: {place}: {call}\n{seen:#?}");
            }
        }
        for call in inside {
            assert!(
                self.inside.contains(*call),
                "{what}: it is not traced as wanted: no {call}: {:#?}",
                self.inside
            );
        }
    }
}

/// The PID on the node that a call has returned, where it makes processes or threads.
fn child(line: &str) -> Option<i32> {
    let makes = ["clone(", "clone3(", "fork(", "vfork("].iter().any(|call| line.starts_with(call));
    let returned = line.rsplit_once(" = ")?.1;
    // Another one than in the caller's PID namespace: `4 /* 1234 in strace's PID NS */`.
    let pid = returned.split_once("/* ").map_or(returned, |(_, pid)| pid).split(' ').next()?.parse().ok()?;
    (makes && pid > 0).then_some(pid)
}

/// `openat(4</proc/7>, "stat", …` as `open /proc/N/stat`: below its directory, numbers that are PIDs as N.
fn told(line: &str) -> Option<String> {
    let (call, rest) = line.split_once('(')?;
    // A process that was killed between two calls; a thread's start, which libc then asks for by clone(2).
    if call == "???" || (call == "clone3" && line.contains(" = -1 ENOSYS ")) {
        return None;
    }
    if call == "connect" {
        return Some(format!("connect {}", rest.split_once(", ")?.1.rsplit_once(", ")?.0));
    }
    let path = rest.split('"').nth(1).unwrap_or(rest);
    let before = rest.split('"').next()?;
    let below = before.split_once('<').and_then(|(_, fd)| fd.split_once('>')).map_or("", |two| two.0);
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{below}/{path}") };
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = whole.split('/').map(|part| if number(part) { "N" } else { part }).collect();
    let call = if call.starts_with("open") && call != "open_tree" { "open" } else { call };
    let whole = parts.join("/").replace("//", "/");
    let whole = if call == "open_tree" && below == NSDBG { "PROGRAM" } else { &whole };
    Some(format!("{call} {whole}"))
}

/// A container whose root has filled it with bait, with a name server and a web server.
fn baited() -> Sandbox {
    let mut builder = sandbox()
        .user(0, 0)
        .mode(&["plant"])
        .file("etc/resolv.conf", "nameserver 127.0.0.1\n")
        .file("etc/hosts", "127.0.0.9 other.test\n")
        .file("data/file", "x");
    for (name, value) in VARIABLES {
        builder = builder.variable(name, value);
    }
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut target = builder.file(&BUNDLE[1..], issuer.pem()).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("planted"));
    serve(&target, &issuer);
    target
}

/// Asserts that the planter was told of nobody who took the bait, and that it would have been.
fn assert_untouched(target: &mut Sandbox) {
    target.run(&["cat", "/etc/localtime"]).ok();
    assert_eq!(target.lines(Duration::from_millis(300)), ["opened /etc/localtime"]);
}

/// Answers `web.test` and serves it, in the target's network namespace.
fn serve(target: &Sandbox, issuer: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["web.test".to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let config = Arc::new(config);
    let namespace = fs::File::open(format!("/proc/{}/ns/net", target.pid)).unwrap();
    let sockets = std::thread::spawn(move || {
        // SAFETY: no pointers. This thread alone moves.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind(("127.0.0.1", PORT)).unwrap())
    });
    let (names, web) = sockets.join().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = names.recv_from(&mut packet) {
            let question_end = 12 + packet[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = packet[question_end - 4..question_end - 2] == [0, 1];
            let mut answer = packet[..question_end.min(length)].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _ = names.send_to(&answer, peer);
        }
    });
    std::thread::spawn(move || {
        for stream in web.incoming().flatten() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            let _ = tls.read(&mut request);
            let _ =
                tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
}

/// Where the doctor's first look looks for programs.
const SEARCH_PATH: [&str; 6] = [
    "open /usr/local/sbin",
    "open /usr/local/bin",
    "open /usr/sbin",
    "open /usr/bin",
    "open /sbin",
    "open /bin",
];

/// What it reads outside: of the container's processes, by their own procfs, and of the node's root, where the cgroups are.
const CHECKED: [&str; 18] = [
    "open /proc/N/maps",
    "open /",
    "open /N",
    "open /proc",
    "open /proc/.",
    "open /proc/N/cgroup",
    "open /proc/N/exe",
    "open /proc/N/fd",
    "open /proc/N/fdinfo",
    "open /proc/N/gid_map",
    "open /proc/N/limits",
    "open /proc/N/mountinfo",
    "open /proc/N/ns/ipc",
    "open /proc/N/ns/mnt",
    "open /proc/N/ns/net",
    "open /proc/N/ns/user",
    "open /proc/N/uid_map",
    "open /proc/N/fdinfo/N",
];

const USERS: [&str; 2] = ["open /etc/passwd", "open /etc/group"];

// Seen to fail with getaddrinfo(3) in `http` (nscd's socket), and with localtime_r(3) in every command.
#[test]
fn r19_no_file_of_the_container_is_configuration() {
    needs_root!();
    if Command::new("strace").arg("-V").output().is_err() {
        skip!("no strace: apt-get install strace");
    }
    let mut target = baited();
    let url = format!("https://web.test:{PORT}/");
    let bundle = format!("open {BUNDLE}");
    let [names, web] = [53, PORT].map(|port| {
        format!("connect {{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")}}")
    });
    let peers =
        ["open /etc/resolv.conf", "open /etc/hosts", "open /etc/nsswitch.conf", &bundle, &names, &web];
    let listing = [&USERS[..], &["open /data"]].concat();
    let watched = [
        "open /.",
        "open /N",
        "open /N/stat",
        "open /N/cmdline",
        "open /stat",
        "open /uptime",
        "open /meminfo",
        "open /N/uid_map",
        "open /N/gid_map",
    ];
    let sockets = ["open /N", "open /N/uid_map", "open /N/net/raw", "open /N/net/raw6"];
    // Either of the two procfs, and what the node says of the mount of the target's own.
    let both = |names: &[&str]| {
        let own = names.iter().map(|name| name.replace("open /", "open /proc/"));
        let found = ["open /proc", "open /proc/.", "open /proc/N/fdinfo/N", "open /proc/N/mountinfo"]
            .map(str::to_owned);
        names.iter().map(|name| (*name).to_owned()).chain(own).chain(found).collect::<Vec<_>>()
    };
    let (watched, sockets) = (both(&watched), both(&sockets));
    let [watched, sockets] =
        [&watched, &sockets].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
    for (words, expected, inside, outside) in [
        (&["http", "get", &url][..], "hello\n", &peers[..], &[][..]),
        (&["ls", "-l", "/data"], "file", &listing, &[]),
        (&["ps", "-ef"], "-- plant", &USERS, &watched),
        (&["netstat", "-a"], "Active", &USERS, &[&sockets[..], &["open /"]].concat()),
    ] {
        let to = new_directory("strace");
        let mut command = strace(&to, &target);
        let ran = run(command.arg("--").args(words));
        assert!(ran.status == 0 && ran.text().contains(expected), "{words:?}: {ran:?}");
        Seen::read(&to).only(&words.join(" "), inside, outside);
        fs::remove_dir_all(to).unwrap();
    }
    assert_untouched(&mut target);
}

// Seen to fail with localtime_r(3) in every command, and with a look at the node's /etc/inputrc.
#[test]
fn r19_nor_at_the_prompt() {
    needs_root!();
    if Command::new("strace").arg("-V").output().is_err() {
        skip!("no strace: apt-get install strace");
    }
    let mut target = baited();
    let to = new_directory("strace");
    let mut prompt = Prompt::with_doctor(strace(&to, &target));
    prompt.sees("root");
    prompt.type_in(b"cat /etc/pa\t");
    prompt.sees("/etc/passwd");
    prompt.type_in(b"\r");
    prompt.sees("web:x:65532");
    prompt.type_in(b"cd /data\r");
    prompt.sees("root:/data# ");
    prompt.type_in(b"ls -l\r");
    prompt.sees("file");
    let left = (0..30).any(|_| {
        prompt.type_in(b"exit\r");
        wait(&mut prompt.nsdbg, Duration::from_millis(500)).is_some()
    });
    assert!(left, "exit leaves");
    let history = format!("open {}/nsdbg/history", prompt.state.display());
    let bundle = format!("open {BUNDLE}");
    // Of the program, which is none of its files, whatever its checks look for; and where programs are looked for.
    let program = format!("open {}", helper().display());
    let checked = ["open /etc/resolv.conf", "open /etc/hosts", &bundle, &program];
    let inside = [&USERS[..], &["open /etc/", "open /data", "open /data/."], &checked, &SEARCH_PATH].concat();
    let mut seen = Seen::read(&to);
    // Which there are, the machine decides.
    seen.outside.retain(|call| !call.starts_with("open /sys/fs/cgroup/"));
    seen.only("the prompt", &inside, &[&["open /dev/tty", &history][..], &CHECKED].concat());
    fs::remove_dir_all(to).unwrap();
    assert_untouched(&mut target);
}

// Seen to fail without the hook in outside_main, with RUST_BACKTRACE set there. Inside: see `inject`.
#[test]
fn r20_a_panic_outside_opens_nothing() {
    needs_root!();
    if Command::new("strace").arg("-V").output().is_err() {
        skip!("no strace: apt-get install strace");
    }
    let target = baited();
    let to = new_directory("strace");
    // A clock_nanosleep(2) that answers EINVAL has std panic.
    let mut filtered = Command::new(helper());
    filtered.args(["filter", "230:22", "--", "strace"]);
    let ran = run(strace_by(filtered, &to, &target).args(["--", "sleep", "0.1"]));
    Seen::read(&to).only("a panic", &[], &[]);
    assert_eq!(ran.status, 125, "{ran:?}");
    assert!(ran.err.starts_with("nsdbg: internal error at ") && ran.err.lines().count() == 1, "{ran:?}");
    fs::remove_dir_all(to).unwrap();
}
