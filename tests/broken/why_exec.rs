//! `why PATH exec` against execve(2) itself, by a process that becomes the target's user in the target's root.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::MsFlags;
use nix::sys::stat::Mode;
use serde_json::Value;

use super::inside::{mount_tmpfs, plain, seen};
use crate::support::{Sandbox, needs_root};

/// What came of starting a file.
#[derive(Debug, PartialEq, Eq)]
enum Started {
    /// It ran.
    Yes,
    /// The kernel took it, and it died by a signal.
    Died,
    /// execve(2) failed.
    No(i32),
}

/// Starts a file as uid 65532, with no capability, in the target's root.
fn start(target: &Sandbox, path: &str) -> Started {
    const FAILED: i32 = 200;
    // Not its root alone: capabilities of files do not count on mounts of another namespace.
    let mounts = fs::File::open(format!("/proc/{}/ns/mnt", target.pid)).unwrap();
    let path = CString::new(path).unwrap();
    let null = fs::File::options().write(true).open("/dev/null").unwrap();
    let arguments = [path.as_ptr(), std::ptr::null()];
    let mut ends = [0; 2];
    // SAFETY: two numbers are written; closed at an exec.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: system calls alone in the child; every pointer is to what lives through the call.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            for number in 1..3 {
                libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), number);
            }
            let none: [libc::rlimit; 1] = [libc::rlimit { rlim_cur: 0, rlim_max: 0 }];
            libc::setrlimit(libc::RLIMIT_CORE, none.as_ptr());
            for number in 0..64 {
                libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0);
            }
            if libc::setns(std::os::fd::AsRawFd::as_raw_fd(&mounts), libc::CLONE_NEWNS) == 0
                && libc::chdir(c"/".as_ptr()) == 0
                && libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()) == 0
                && libc::syscall(libc::SYS_setresgid, 65532, 65532, 65532) == 0
                && libc::syscall(libc::SYS_setresuid, 65532, 65532, 65532) == 0
            {
                libc::execve(path.as_ptr(), arguments.as_ptr(), [std::ptr::null()].as_ptr());
                let errno = *libc::__errno_location();
                libc::write(ends[1], (&raw const errno).cast(), 4);
            }
            libc::_exit(FAILED)
        }
    }
    let (mut status, mut errno) = (0, 0_i32);
    // SAFETY: the child's own status; then four bytes, if they are there.
    let count = unsafe {
        libc::close(ends[1]);
        libc::waitpid(child, &raw mut status, 0);
        let count = libc::read(ends[0], (&raw mut errno).cast(), 4);
        libc::close(ends[0]);
        count
    };
    match count {
        4 => Started::No(errno),
        _ if libc::WIFSIGNALED(status) => Started::Died,
        _ => {
            assert_ne!(libc::WEXITSTATUS(status), FAILED, "{path:?}: the process could not become the user");
            Started::Yes
        }
    }
}

fn program(at: &Path, content: impl AsRef<[u8]>, mode: u32) {
    fs::write(at, content).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
}

/// Part of a program of the node that has a loader, and the loader's path.
fn dynamic() -> Option<(Vec<u8>, String)> {
    let bytes = fs::read("/bin/true").ok()?;
    let at = bytes.windows(4).position(|part| part == b"/lib").filter(|at| *at < 4096)?;
    let end = bytes[at..].iter().position(|byte| *byte == 0)?;
    let loader = String::from_utf8(bytes[at..at + end].to_vec()).ok()?;
    Some((bytes, loader)).filter(|(_, loader)| loader.contains("/ld-"))
}

// Seen to fail where modes and mounts alone were asked.
#[test]
fn why_exec_says_what_execve_does() {
    needs_root!();
    let target = plain().start();
    let at = |path: &str| target.root.join(path.trim_start_matches('/'));
    let mut paths = Vec::new();
    let mut add = |name: &str, content: &[u8], mode: u32| {
        let path = format!("/app/{name}");
        program(&at(&path), content, mode);
        paths.push(path);
    };
    for (name, content) in [
        ("script", "#!/server\n"),
        ("blanks", "#! \t /server  a b \n"),
        ("no-newline", "#!/server"),
        ("relative", "#!server\n"),
        ("crlf", "#!/server\r\n"),
        ("gone", "#!/bin/none\n"),
        ("empty", ""),
        ("text", "echo\n"),
        ("mark", "\u{feff}#!/server\n"),
        ("nameless", "#!\n/server\n"),
        ("blank", "#!   "),
        ("of-directory", "#!/app\n"),
        ("of-data", "#!/app/data\n"),
        ("of-closed", "#!/closed/server\n"),
        ("of-noexec", "#!/still/server\n"),
        ("of-link", "#!/app/link\n"),
        ("of-loop", "#!/app/loop\n"),
        ("of-file-as-directory", "#!/server/x\n"),
        ("of-text", "#!/app/text\n"),
    ] {
        add(name, content.as_bytes(), 0o755);
    }
    add("long", format!("#!/{}\n", "x".repeat(300)).as_bytes(), 0o755);
    add("long-words", format!("#!/server {}\n", "x".repeat(300)).as_bytes(), 0o755);
    add("data", b"#!/server\n", 0o644);
    add("unreadable", b"#!/server\n", 0o711);
    for number in 1..=6 {
        let next = if number == 1 { "/server".to_owned() } else { format!("/app/chain{}", number - 1) };
        add(&format!("chain{number}"), format!("#!{next}\n").as_bytes(), 0o755);
    }
    let server = fs::read(at("server")).unwrap();
    for (name, size) in [("cut0", 3), ("cut1", 40), ("cut2", 64), ("cut3", 130), ("cut4", server.len() / 2)] {
        add(name, &server[..size], 0o755);
    }
    let other = if cfg!(target_arch = "x86_64") { 183_u16 } else { 62 };
    let changed = |bytes: &[u8], at: usize, value: u16| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    add("other-machine", &changed(&server, 18, other), 0o755);
    add("object", &changed(&server, 16, 1), 0o755);
    add("headers", &changed(&server, 56, 0), 0o755);
    if let Some((bytes, loader)) = dynamic() {
        let interpreter = fs::read(&loader).unwrap();
        let short = |name: &str| format!("/ld/{name}{}", "\0".repeat(loader.len() - 4 - name.len()));
        fs::create_dir(at("ld")).unwrap();
        for (name, content, mode) in [
            ("ok", interpreter.as_slice(), 0o755),
            ("empty", b"", 0o755),
            ("text", b"#!/server\n", 0o755),
            ("other", &changed(&interpreter, 18, other), 0o755),
            ("data", &interpreter, 0o644),
            ("cut", &interpreter[..interpreter.len() / 4], 0o755),
            ("gone", b"", 0),
        ] {
            let path = at("ld").join(name);
            program(&path, content, mode);
            if name == "gone" {
                fs::remove_file(path).unwrap();
            }
            let start = bytes.windows(loader.len()).position(|part| part == loader.as_bytes()).unwrap();
            let mut linked = bytes.clone();
            linked[start..start + loader.len()].copy_from_slice(short(name).as_bytes());
            add(&format!("linked-{name}"), &linked, 0o755);
        }
    }
    // cap_net_admin+ep, and +p.
    for (name, magic) in [("given", 0x0200_0001_u32), ("offered", 0x0200_0000)] {
        add(name, &server, 0o755);
        let value: Vec<u8> = [magic, 1 << 12, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        let path = CString::new(at("app").join(name).into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: strings that end in 0, and a buffer of the length that is told.
        let set = unsafe {
            let name = c"security.capability".as_ptr();
            libc::setxattr(path.as_ptr(), name, value.as_ptr().cast(), value.len(), 0)
        };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }
    fs::create_dir(at("closed")).unwrap();
    fs::copy(at("server"), at("closed/server")).unwrap();
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("/server", at("app/link")).unwrap();
    symlink("loop", at("app/loop")).unwrap();
    nix::unistd::mkfifo(&at("app/fifo"), Mode::from_bits_truncate(0o755)).unwrap();
    fs::set_permissions(at("app/fifo"), fs::Permissions::from_mode(0o755)).unwrap();
    paths.push("/app/fifo".to_owned());
    mount_tmpfs(&target, "/still", MsFlags::MS_NOEXEC, "mode=755");
    for name in ["server", "script"] {
        let from = if name == "server" { at("server") } else { at("app/script") };
        fs::copy(from, seen(&target, &format!("/still/{name}"))).unwrap();
        paths.push(format!("/still/{name}"));
    }
    paths.extend(["/server", "/app/link", "/app/loop", "/app/nothing"].map(str::to_owned));
    let lines: String = paths.iter().map(|path| format!("why {path} exec --json\necho end\n")).collect();
    let ran = crate::live::run_with_input(&mut target.nsdbg(), lines.as_bytes());
    assert_eq!(ran.err, "");
    let text = ran.text();
    let mut answers = text
        .split("end\n")
        .map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>());
    let mut seen = (0, 0, 0);
    for path in &paths {
        let (rows, started) = (answers.next().unwrap(), start(&target, path));
        let last = rows.last().unwrap();
        let by = last["by"].as_str().unwrap();
        let context = format!("{path}: {started:?}: {rows:#?}");
        assert_eq!(last["allowed"] == true, started == Started::Yes, "{context}");
        assert!(started == Started::Yes || last["fix"].is_string() || !by.is_empty(), "{context}");
        let words = match started {
            Started::No(libc::ENOEXEC) => "exec format error",
            Started::No(libc::ENOENT) => "is not there",
            Started::No(libc::ELOOP) => {
                if path.contains("chain") {
                    "symbolic links"
                } else {
                    "40th link"
                }
            }
            Started::No(libc::ELIBBAD | libc::EIO) => "shared library",
            Started::No(libc::EPERM) => "CAP_NET_ADMIN",
            Started::Died => "SIGSEGV",
            _ => "",
        };
        assert!(by.contains(words), "{words} {context}");
        match started {
            Started::Yes => seen.0 += 1,
            Started::Died => seen.1 += 1,
            Started::No(_) => seen.2 += 1,
        }
    }
    assert!(seen.0 >= 12 && seen.1 >= 1 && seen.2 >= 25, "{seen:?}");
    // The cause stands with what is started in the program's place, and with it what to do.
    let last = |path: &str| -> Value {
        let ran = target.run(&["why", path, "exec", "--json"]);
        assert_eq!(ran.status, 1, "{ran:?}");
        serde_json::from_str(ran.text().lines().last().unwrap()).unwrap()
    };
    let row = last("/app/crlf");
    assert_eq!(row["path"], "/server\r");
    assert_eq!(row["by"], "it is not there; the interpreter of /app/crlf");
    assert_eq!(
        row["fix"],
        "remove the carriage returns, which are part of the name: sed -i 's/\\r$//' /app/crlf"
    );
    let row = last("/app/other-machine");
    assert!(row["by"].as_str().unwrap().starts_with("exec format error: it is for "), "{row}");
}
