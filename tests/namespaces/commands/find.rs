//! `find`, against GNU find where there is one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::live::run;
use crate::support::{Sandbox, needs_root, sandbox, skip};

/// The same files for both, of several types, sizes, modes and times.
fn files() -> Sandbox {
    let target = sandbox()
        .file("data/plain", "x")
        .file("data/.hidden", "")
        .file("data/Upper.TXT", "some bytes")
        .file("data/a b", "12345")
        .file("data/sub/inner.txt", "1234567890")
        .file("data/sub/deep/er/file.c", vec![b'x'; 5000])
        .file("data/sub/deep/other.c", vec![b'x'; 1025])
        .file("data/large", vec![b'x'; 3 << 20])
        .file("data/old", "old")
        .file("data/new\nline", "")
        .file("data/skip/me", "")
        .start();
    let data = target.root.join("data");
    fs::create_dir(data.join("void")).unwrap();
    symlink("plain", data.join("link")).unwrap();
    symlink("sub", data.join("to-sub")).unwrap();
    symlink("/nowhere", data.join("broken")).unwrap();
    nix::unistd::mkfifo(&data.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    fs::hard_link(data.join("plain"), data.join("hard")).unwrap();
    fs::write(data.join(OsStr::from_bytes(b"not\xffutf8")), "").unwrap();
    for (name, mode) in [("plain", 0o644), ("large", 0o4755), ("old", 0o600), ("sub/inner.txt", 0o666)] {
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let day = Duration::from_secs(86_400);
    let hour = Duration::from_secs(3600);
    for (name, age) in
        [("old", day * 10), ("large", day + hour), ("sub/inner.txt", hour * 2), ("a b", day * 400)]
    {
        let file = fs::File::options().append(true).open(data.join(name)).unwrap();
        let at = SystemTime::now() - age;
        file.set_times(fs::FileTimes::new().set_modified(at).set_accessed(at)).unwrap();
    }
    nix::unistd::chown(&data.join("old"), Some(4242.into()), Some(4343.into())).unwrap();
    target
}

// Each line of this table is run by GNU find too: the same bytes, the same status.
#[test]
fn it_prints_what_gnu_find_prints() {
    needs_root!();
    if Command::new("find").arg("--version").output().is_err() {
        skip!("no find: apt-get install findutils");
    }
    let target = files();
    let data = target.root.join("data");
    let mut wrong = Vec::new();
    for line in [
        "",
        ".",
        "sub",
        "sub/",
        "./sub//",
        "sub plain",
        "plain",
        "link",
        "to-sub",
        "to-sub/",
        "-H to-sub",
        "-P to-sub",
        "broken",
        "missing",
        "missing sub",
        "-name '*.c'",
        "-name '.*'",
        "-name '*'",
        "-iname '*.txt'",
        "-name '[a-o]*'",
        "-name '[!a-o]*'",
        "-name 'a b'",
        "-name 'a\\ b'",
        "-name sub",
        "sub/ -name sub",
        "-name '?lain'",
        "-path '*/deep/*'",
        "-ipath '*DEEP*'",
        "-wholename './sub*'",
        "-lname 'p*'",
        "-ilname '*SUB'",
        "-type f",
        "-type d",
        "-type l",
        "-type p",
        "-type f,l",
        "-xtype f",
        "-xtype l",
        "-H to-sub -maxdepth 0 -xtype l",
        "-xtype d",
        "-size 1",
        "-size -2",
        "-size +1k",
        "-size 5000c",
        "-size +3M",
        "-size 3M",
        "-size -1M",
        "-size 2k",
        "-size +100w",
        "-size 1G",
        "-size 10b",
        "-empty",
        "-empty -type d",
        "-mtime 0",
        "-mtime 1",
        "-mtime +1",
        "-mtime -1",
        "-mtime 10",
        "-mtime +9",
        "-mtime -11",
        "-mmin -60",
        "-mmin +60",
        "-mmin -121",
        "-mmin 121",
        "-amin +100",
        "-atime +5",
        "-ctime 0",
        "-cmin -5",
        "-newer large",
        "-newer plain",
        "! -newer large",
        "-anewer old",
        "-newer broken",
        "-newer link",
        "-H . -newer link",
        "-H . -newer broken",
        "-samefile link",
        "-H . -samefile link",
        "-samefile broken",
        "-H broken",
        "-H broken link to-sub",
        "-H broken -xtype l",
        "-daystart -mtime 0",
        "-daystart -mtime -2",
        "-daystart -mtime 1",
        "-daystart -mtime 10",
        "-daystart -mmin -1500",
        "-mtime -1 -daystart -mtime -1",
        "-newermt '1 hour ago'",
        "-newermt '3 hours ago'",
        "-newermt yesterday",
        "-newermt 'last week'",
        "-newermt '2 months ago'",
        "-newermt '-2 days'",
        "-perm -u+X",
        "-perm /a+X",
        "-perm -u+x,g+X",
        "sub/ -maxdepth 0 -printf '%h|'",
        "./sub/ -maxdepth 0 -printf '%h|'",
        "sub// -maxdepth 1 -printf '%h|'",
        "-newermt 2020-01-01",
        "-newermt '2100-01-01 00:00'",
        "-newermm large",
        "-neweram old",
        "-perm 644",
        "-perm -600",
        "-perm /4000",
        "-perm -u+s",
        "-perm u=rw",
        "-perm -o=w",
        "-perm /a+x",
        "-perm -222",
        "-uid 4242",
        "-uid +4000",
        "-gid 4343",
        "-gid -1",
        "-user 0",
        "-nouser -name old",
        "-nogroup -name old",
        "-links 2",
        "-links +2",
        "-samefile plain",
        "-maxdepth 1",
        "-maxdepth 0",
        "-mindepth 1",
        "-mindepth 2 -maxdepth 2",
        "-depth",
        "sub -depth -name 'd*'",
        "-depth -maxdepth 1",
        "-xdev",
        "-mount -name '*.c'",
        "-name skip -prune",
        "-name skip -prune -o -print",
        "-name sub -prune -o -type f -print",
        "-depth -name sub -prune -o -print",
        "-print0",
        "-name '*.c' -print0",
        "-quit",
        "-name plain -print -quit",
        "-true",
        "-false",
        "! -false",
        "-not -type d",
        "-type f -name '*.c'",
        "-type f -a -name '*.c'",
        "-name plain -o -name large",
        "-name plain -or -name large -print",
        "\\( -name plain -o -name large \\) -print",
        "-type d -o -type f -name 'p*'",
        "! -type d ! -type f",
        "! \\( -type d -o -type f \\)",
        "! ! -type l",
        "-name plain -print , -name large -print",
        "-name plain , -name large",
        "-print -print",
        "-print -o -print",
        "-type f -printf '%p\\n'",
        "sub -printf '%P|%f|%h|%H|%d|%y\\n'",
        "-printf '%s %b %k %m %M %n\\n'",
        "-printf '%U %G %i %D\\n'",
        "-name old -printf '%u %g\\n'",
        "-printf '%y %Y %l\\n'",
        "-printf '%-20f|%10s|%.3f|%5d|\\n'",
        "-name old -printf '%T@ %TY-%Tm-%Td %TH:%TM:%TS %T+\\n'",
        "-name old -printf '%t|%Ta|%Tb|%Tj|%Te\\n'",
        "large -printf '%t %a\\n%TA %TB %TI %Tp %Tk %Tl %TD %TF %TT %Tr %TR %TU %TW %Tw %Ty %TC %Tc %Ts\\n'",
        "-printf '%%\\t\\0\\060\\\\\\n'",
        "plain -printf 'a\\cb'",
        "-name plain -printf '%#m %05m %5m|\\n'",
        "large -printf '%S\\n'",
        "./ -maxdepth 1 -printf '%P %h %f\\n'",
        "sub/deep/ -printf '%P %h %f\\n'",
        "-regex '.*/[a-f]*'",
        "-regex './sub/.*c'",
        "-regex '.*\\(plain\\|large\\)'",
        "-iregex '.*/PLAIN'",
        "-regextype posix-extended -regex '.*/(plain|large)'",
        "-regextype posix-extended -regex '.*/.{4}'",
        "-regextype posix-basic -regex '.*/.\\{4\\}'",
        "-regex '.*o+.*'",
        "-readable -name plain",
        "-executable -name large",
        "-inum 1",
        "-name nothing",
        "-type d -empty -print",
        "-mindepth 1 -name sub -prune",
        "-noleaf -name plain",
        "-type f -newer old -size -2",
        "sub -name '*.c' -o -name deep",
        "-nam x",
        "-type q",
        "-name",
        "-size 1q",
        "\\( -name x",
        "-name x \\)",
        "-a",
        "-not",
        "-o",
        "-name x -o",
        "-newer nofile",
        "-perm 9",
        "-user nobodyatall",
        "-maxdepth x",
        "\\( \\)",
        "-name x plain",
        "-mtime x",
        "-links",
        "!",
        "-type",
    ] {
        wrong.extend(differs(&target, &data, line));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where nsdbg's output or status is not GNU find's: both.
fn differs(target: &Sandbox, data: &std::path::Path, line: &str) -> Option<String> {
    let ours = target.line(&format!("cd /data; find {line}"));
    let theirs = run(Command::new("sh")
        .args(["-c", &format!("exec find {line}")])
        .current_dir(data)
        .env("LC_ALL", "C")
        .env("TZ", "UTC"));
    // Wrong words have status 2, as with all commands.
    let status = if ours.status == 2 { 1 } else { ours.status };
    let is_same =
        (status, &ours.out) == (theirs.status, &theirs.out) && ours.err.is_empty() == theirs.err.is_empty();
    (!is_same).then(|| {
        format!(
            "find {line}\n  ours   {} {:?} {:?}\n  theirs {} {:?} {:?}",
            ours.status,
            ours.text(),
            ours.err,
            theirs.status,
            theirs.text(),
            theirs.err
        )
    })
}

#[test]
fn ls_lines_are_those_of_gnu_find() {
    needs_root!();
    if Command::new("find").arg("--version").output().is_err() {
        skip!("no find: apt-get install findutils");
    }
    let target = files();
    let data = target.root.join("data");
    // The node has names for ids that the container has none for.
    let ours = target.line("cd /data; find . -user 0 -ls").ok();
    let theirs = run(Command::new("sh")
        .args(["-c", "exec find . -user 0 -ls"])
        .current_dir(&data)
        .env("LC_ALL", "C")
        .env("TZ", "UTC"));
    let words = |text: &str| {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(words(&ours), words(&theirs.text()));
}

#[test]
fn rows_are_json_and_go_to_row_filters() {
    needs_root!();
    let target = files();
    let ran = target.run(&["find", "/data/sub", "-name", "*.txt", "--json"]);
    let row: Value = serde_json::from_str(&ran.ok()).unwrap();
    for (name, value) in [
        ("path", Value::from("/data/sub/inner.txt")),
        ("name", "inner.txt".into()),
        ("type", "file".into()),
        ("size", 10.into()),
        ("mode", "0666".into()),
        ("user", "root".into()),
        ("depth", 1.into()),
        ("target", Value::Null),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert_eq!(
        target.line("find /data -name '*' | where size gt 1M | select path").ok(),
        "PATH\n/data/large\n"
    );
    assert_eq!(target.line("find /data/link | select target --json").ok(), "{\"target\":\"plain\"}\n");
    let strange = target.line("find /data -name 'not*' | select name --json").ok();
    assert_eq!(strange, "{\"name\":\"$'not\\\\xffutf8'\"}\n");
    target.line("find /data -printf '%p' --json").fails(2, "-printf prints no rows");
    let help = target.run(&["help", "find", "--json"]).ok();
    let help: Value = serde_json::from_str(help.lines().next().unwrap()).unwrap();
    let known: Vec<&str> =
        help["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    for name in row.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "the field {name} is not documented");
    }
}

#[test]
fn links_are_followed_where_that_is_asked_for() {
    needs_root!();
    if Command::new("find").arg("--version").output().is_err() {
        skip!("no find: apt-get install findutils");
    }
    let target = sandbox().file("data/a/b/file", "text").file("data/c/other", "").start();
    let data = target.root.join("data");
    for (to, name) in [
        ("../..", "a/b/up"),
        ("../c", "a/c"),
        ("nowhere", "a/dangling"),
        ("self", "a/self"),
        ("b/file", "a/text"),
        ("a", "start"),
        ("file/x", "a/b/not-a-directory"),
    ] {
        symlink(to, data.join(name)).unwrap();
    }
    let mut wrong = Vec::new();
    for line in [
        "-L .",
        "-L a",
        "-L start",
        "-L start -type l",
        "-L . -type f",
        "-L . -xtype l",
        "-L . -lname '*'",
        "-L . -maxdepth 1 -printf '%p %y %Y %l\\n'",
        "-L a -newer c",
        "-L a -size -1",
        "-L . -samefile a/text",
        "-L . -depth -name '*e*'",
        "-L a -name c -prune -o -print",
        "-L a -xdev",
        "a -follow",
        "-L -P a",
        "-P -L a/b",
        "-H start",
        "-L -H start",
        "-L a/dangling",
        "-L missing",
        "-L . -empty",
    ] {
        wrong.extend(differs(&target, &data, line));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    target
        .line("find -L /data/a/b")
        .fails(1, "open /data/a/b/up/a/b: a loop: it is a directory above itself");
    target.line("du -sL /data/a").fails(1, "stat /data/a/dangling: no such file");
}

#[test]
fn what_is_wrong_is_said() {
    needs_root!();
    let target = files();
    for (line, said) in [
        ("-exec rm x", "-exec is not supported yet"),
        ("-ok x", "-ok is not supported yet"),
        ("/data -delete", "-delete is not supported yet"),
        ("-nam x", "unknown predicate '-nam' (did you mean -name?)"),
        ("-mxdepth 1", "unknown predicate '-mxdepth' (did you mean -maxdepth?)"),
        ("-name", "missing argument to '-name'"),
        ("-type q", "unknown type 'q'"),
        ("-size 1q", "invalid -size type 'q'"),
        ("'(' -name x", "a ')' is missing"),
        ("-name x ')'", "there is a ')' without a '('"),
        ("-o -name x", "you have used a binary operator '-o' with nothing before it"),
        ("-not", "expected an expression after '-not'"),
        ("-newer /none", "stat /none: no such file or directory"),
        ("-user nobodyatall", "'nobodyatall' is not the name of a known user"),
        ("-name x plain", "paths must precede expression: 'plain'"),
        ("-printf '%q'", "unknown directive '%q' of -printf"),
        ("-mtime x", "invalid argument 'x' to '-mtime'"),
        ("-perm 9", "invalid mode '9'"),
        ("-regex '['", "unmatched ["),
        ("-newermt soon", "'soon' is no time that is known"),
    ] {
        target.line(&format!("find {line}")).fails(2, said);
    }
    let many = ["("; 5000].join(" ");
    target.run(&[&["find"][..], &many.split(' ').collect::<Vec<_>>()].concat()).fails(2, "in one another");
}

#[test]
fn what_can_not_be_read_is_named_and_the_rest_found() {
    needs_root!();
    let target = files();
    let data = target.root.join("data");
    fs::create_dir(data.join("closed")).unwrap();
    fs::set_permissions(data.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("loop", data.join("loop")).unwrap();
    let ran = target.line("find /data -name 'closed' -o -name file.c");
    ran.fails(
        1,
        "find: open /data/closed: permission denied (why /data/closed, or --cap-add DAC_OVERRIDE)\n",
    );
    let mut found: Vec<&str> = std::str::from_utf8(&ran.out).unwrap().lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["/data/closed", "/data/sub/deep/er/file.c"]);
    target.line("find -H /data/loop /data/plain").fails(1, "stat /data/loop: too many symbolic links");
    target.line("find /data/none /data/plain").fails(1, "stat /data/none: no such file or directory");
    assert_eq!(target.line("find /data/loop /data/sub/up").out, b"/data/loop\n");
    // What a name may hold.
    let ran = target.run(&["find", "/data", "-name", "new*", "-print0"]);
    assert_eq!(ran.out, b"/data/new\nline\0");
}

#[test]
fn a_tree_of_1900_levels_is_walked() {
    needs_root!();
    let target = sandbox().start();
    let mut at = nix::fcntl::open(
        &target.root.join("tmp"),
        nix::fcntl::OFlag::O_DIRECTORY,
        nix::sys::stat::Mode::empty(),
    )
    .unwrap();
    for _ in 0..2100 {
        nix::sys::stat::mkdirat(&at, "d", nix::sys::stat::Mode::from_bits_truncate(0o755)).unwrap();
        at = nix::fcntl::openat(&at, "d", nix::fcntl::OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty())
            .unwrap();
    }
    let ran = target.run(&["find", "/tmp", "-type", "d"]);
    assert!(ran.text().lines().count() >= 1900, "{} {}", ran.text().lines().count(), ran.err);
    ran.fails(1, "too many directories in one another: it is not gone into");
    assert!(run(Command::new("rm").arg("-rf").arg(target.root.join("tmp/d"))).status == 0);
}

// Seen to fail where each entry is kept.
#[test]
fn a_directory_of_200_000_entries_takes_little_memory() {
    needs_root!();
    let target = sandbox().on_tmpfs().start();
    let many = target.root.join("many");
    fs::create_dir(&many).unwrap();
    let first = many.join(format!("{:064}", 0));
    fs::write(&first, "").unwrap();
    for number in 1..200_000 {
        fs::hard_link(&first, many.join(format!("{number:064}"))).unwrap();
    }
    let mut command = Command::new(crate::support::helper());
    command.arg("peak").arg(crate::support::NSDBG).args(["--pid", &target.pid.to_string(), "--"]);
    let begin = std::time::Instant::now();
    let ran = run(command.args(["find", "/many", "-name", "*7"]));
    let took = begin.elapsed();
    let peak: u64 = ran.err.trim_end().rsplit_once("peak ").expect("the peak").1.parse().unwrap();
    assert_eq!(ran.text().lines().count(), 20_000);
    println!("{peak} KiB, {took:?}");
    assert!(peak < 24 << 10, "{peak} KiB");
}
