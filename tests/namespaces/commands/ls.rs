//! `ls`, by GNU's on the same files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::sys::time::TimeVal;
use nix::unistd::mkfifo;

use crate::live::run;
use crate::support::{Sandbox, needs_root, sandbox, skip};

/// Files of many kinds, sizes, times and names below /data.
fn data() -> Sandbox {
    let mut builder = sandbox().user(0, 0);
    for (name, size) in [
        ("plain", 1),
        ("UPPER", 700),
        (".hidden", 3),
        ("backup~", 5),
        ("a.txt", 10),
        ("b.c", 3000),
        ("c.txt", 90_000),
        ("file2", 20),
        ("file10", 30),
        ("file1", 40),
        ("with space", 50),
        ("\u{e9}t\u{e9}", 60),
        ("ctrl\x01\t\n\x7f", 70),
        ("back\\slash\"quote", 80),
        ("sub/inner", 90),
        ("sub/deeper/last", 100),
        ("zdir/x", 1),
    ] {
        builder = builder.file(&format!("data/{name}"), "x".repeat(size));
    }
    let target = builder.start();
    let data = target.root.join("data");
    symlink("plain", data.join("link")).unwrap();
    symlink("sub", data.join("dirlink")).unwrap();
    symlink("nowhere", data.join("broken")).unwrap();
    mkfifo(&data.join("fifo"), Mode::from_bits_truncate(0o640)).unwrap();
    fs::write(data.join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
    fs::set_permissions(data.join("b.c"), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, accessed, modified) in
        [("plain", 1_000_000_000, 1_500_000_000), ("a.txt", 1_700_000_000, 1_400_000_000), ("b.c", 5, -100)]
    {
        let [accessed, modified] = [accessed, modified].map(|seconds| TimeVal::new(seconds, 5000));
        nix::sys::stat::utimes(&data.join(name), &accessed, &modified).unwrap();
    }
    target
}

/// The same output and status as GNU's ls in /data.
fn same(target: &Sandbox, lines: &[&str]) {
    for line in lines {
        let ours = target.line(&format!("cd /data; ls {line}"));
        let mut theirs = Command::new("ls");
        // Their columns are made with tabs where nothing says otherwise.
        theirs.arg("-T0").args(line.split(' ').map(|word| word.trim_matches('\'')));
        theirs.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir(target.root.join("data"));
        let theirs = run(&mut theirs);
        assert_eq!((ours.text(), ours.status), (theirs.text(), theirs.status), "ls {line}: {}", ours.err);
    }
}

#[test]
fn ls_shows_what_gnu_ls_shows() {
    needs_root!();
    let target = data();
    same(
        &target,
        &[
            "-l",
            "-la",
            "-lA",
            "-g",
            "-o",
            "-go",
            "-lG",
            "-n",
            "-lh",
            "-l --si",
            "-l --block-size=K",
            "-l --block-size=1K",
            "-ls",
            "-s",
            "-sh",
            "-s1",
            "-sk",
            "-is",
            "-lis",
            "-lk",
            "-Z",
            "-lZ",
            "--full-time",
            "-l --time-style=long-iso",
            "-l --time-style=iso",
            "-l --time-style=full-iso",
            "-l --time-style=+%Y/%m/%d-%H:%M:%S.%N",
            "-l --time-style=locale",
        ],
    );
}

#[test]
fn ls_sorts_as_gnu_ls_does() {
    needs_root!();
    let target = data();
    same(
        &target,
        &[
            "-t",
            "-u",
            "-c",
            "-lu",
            "-lc",
            "-ltu",
            "-ltc",
            "-lt --time=atime",
            "--time=ctime",
            "-S",
            "-Sr",
            "-v",
            "-vr",
            "-X",
            "-Xr",
            "--sort=width",
            "--sort=size",
            "--sort=time",
            "--sort=version",
            "--sort=extension",
            "--group-directories-first",
            "--group-directories-first -r",
            "--group-directories-first -S",
            "-l --group-directories-first",
            "-tS",
            "-St",
            "-lt --time=birth",
        ],
    );
    let unsorted = |options: &str| target.line(&format!("cd /data; ls {options}")).text();
    assert_eq!(unsorted("-f"), unsorted("-aU"));
    assert_eq!(unsorted("--sort=none"), unsorted("-U"));
}

#[test]
fn ls_lays_out_as_gnu_ls_does() {
    needs_root!();
    let target = data();
    same(
        &target,
        &[
            "-C",
            "-x",
            "-m",
            "-C -w 40",
            "-x -w 40",
            "-m -w 40",
            "-Cs",
            "-xi -w 60",
            "-mi",
            "-Cw0",
            "-xw0",
            "-mw0",
            "-Cw1",
            "-m1",
            "-1m",
            "-lC",
            "-Cl",
            "-1C",
            "-C1",
            "-l1",
            "-1l",
            "--format=across",
            "--format=commas",
            "--format=vertical",
            "--format=long",
            "--format=single-column",
            "-CF -w 50",
            "-Csh",
            "-R",
            "-Rl",
            "-RC",
            "-CZ",
        ],
    );
}

#[test]
fn ls_marks_quotes_and_leaves_out_as_gnu_ls_does() {
    needs_root!();
    let target = data();
    same(
        &target,
        &[
            "-p",
            "-F",
            "--file-type",
            "--indicator-style=slash",
            "--indicator-style=none",
            "--classify=never",
            "--classify=auto",
            "-lp",
            "-lF",
            "-pF",
            "-Fp",
            "-b",
            "-q",
            "-N",
            "-Q",
            "-bC -w 50",
            "-Nq",
            "--quoting-style=literal",
            "--quoting-style=c",
            "--quoting-style=escape",
            "-I '*.txt'",
            "-I 'f*' -I '*c'",
            "-aI '?hidden'",
            "-aI '.h*'",
            "-B",
            "--hide '*.txt'",
            "-a --hide '*.txt'",
            "-A",
            "--color=never",
            "--col=auto",
            "-1 --color=no",
        ],
    );
    let colored = "\x1b[01;34msub\x1b[0m\n";
    assert_eq!(target.line("cd /data; ls -d --color=always sub").ok(), colored);
    assert_eq!(target.line("cd /data; ls -d --color sub").ok(), colored);
}

#[test]
fn ls_follows_links_as_gnu_ls_does() {
    needs_root!();
    let target = data();
    same(
        &target,
        &[
            "dirlink",
            "-l dirlink",
            "-H dirlink",
            "-lH dirlink",
            "-F dirlink",
            "-d dirlink",
            "-dL dirlink",
            "-L link",
            "-lL link dirlink",
            "-lH link plain",
            "-lH broken",
            "-l link plain sub",
            "-li plain sub",
            "-s plain sub",
            "-C plain sub",
            "-dl sub plain link",
            "-LF",
            "-p dirlink",
        ],
    );
    // A link that leads nowhere is shown with what is known of it.
    for line in ["-L", "-1LF", "-lL --time-style=+%s"] {
        let ours = target.line(&format!("cd /data; ls {line}"));
        let mut theirs = Command::new("ls");
        theirs
            .arg("-T0")
            .args(line.split(' '))
            .current_dir(target.root.join("data"))
            .env("LC_ALL", "C.UTF-8");
        let theirs = run(&mut theirs);
        assert_eq!((ours.text(), ours.status), (theirs.text(), theirs.status), "ls {line}: {}", ours.err);
    }
    symlink("..", target.root.join("data/sub/up")).unwrap();
    let ran = target.line("ls -LR /data");
    ran.fails(2, "ls: list /data/sub/up: it leads back to a directory above it");
    assert_eq!(ran.text().matches("/data/sub:").count(), 1);
}

// Seen to fail where every mode ended in a blank.
#[test]
fn ls_marks_a_file_with_an_acl() {
    needs_root!();
    let target = sandbox().on_tmpfs().user(0, 0).file("data/plain", "").file("data/shared", "").start();
    // Version 2: the owner, user 7, the group, the mask, others.
    let entries =
        [(1_u16, 6_u16, u32::MAX), (2, 4, 7), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 4, u32::MAX)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    let path = target.root.join("data/shared");
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = c"system.posix_acl_access";
    // SAFETY: both names end in NUL, and `acl` is as long as is said.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), acl.as_ptr().cast(), acl.len(), 0) };
    if set != 0 {
        skip!("no ACLs on tmpfs");
    }
    let modes = |line: &str| -> Vec<String> {
        let text = target.line(line).ok();
        text.lines().filter(|line| !line.starts_with("total")).map(|line| line[..12].to_owned()).collect()
    };
    assert_eq!(modes("ls -l /data"), ["-rw-r--r--  ", "-rw-r--r--+ "]);
    assert_eq!(modes("ls -l /data/plain"), ["-rw-r--r-- 1"]);
    same(&target, &["-l", "-l plain", "-l shared", "-ld ."]);
}
