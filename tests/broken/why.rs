//! `why`: against what the kernel says to a process that becomes the same user in the same root.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use nix::mount::MsFlags;
use serde_json::Value;

use super::inside::{bind, mount_tmpfs, plain};
use crate::live::{Ran, run_with_input};
use crate::support::{Builder, Sandbox, needs_root};

/// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
const OVERRIDE: u64 = 1 << 1;
const READ_SEARCH: u64 = 1 << 2;

/// Who asks.
#[derive(Debug, Clone, Copy)]
struct Who {
    uid: u32,
    gid: u32,
    groups: &'static [u32],
    caps: u64,
}

impl Who {
    fn target(self, builder: Builder) -> Builder {
        let groups: Vec<String> = self.groups.iter().map(u32::to_string).collect();
        builder.user(self.uid, self.gid).set("groups", groups.join(",")).caps(self.caps)
    }
}

/// What a process that becomes a user is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// faccessat2(2) with effective ids: R_OK, W_OK, X_OK, F_OK.
    May(String, i32),
    /// Whether a file that is there can be opened with these flags.
    Open(String, i32),
    /// Whether one can be made.
    Make(String),
}

/// Errors by question, none where it is allowed; asked of the kernel by a process of its own.
fn ask(target: &Sandbox, who: Who, questions: &[Question]) -> BTreeMap<Question, Option<i32>> {
    let path = |text: &str| CString::new(text).unwrap();
    let asked: Vec<(CString, &Question)> = questions
        .iter()
        .map(|question| match question {
            Question::May(at, _) | Question::Open(at, _) | Question::Make(at) => (path(at), question),
        })
        .collect();
    let root = path(&format!("/proc/{}/root", target.pid));
    let (answers, told) = nix::unistd::pipe().unwrap();
    // SAFETY: system calls alone in the child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above; every pointer is to what lives through the call.
        unsafe { answer(&root, who, &asked, &told) };
    }
    assert!(child > 0);
    drop(told);
    let mut bytes = Vec::new();
    File::from(answers).read_to_end(&mut bytes).unwrap();
    // SAFETY: no status is wanted.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(bytes.len(), 4 * questions.len(), "the process could not become {who:?}");
    let numbers = bytes.chunks(4).map(|four| i32::from_ne_bytes(four.try_into().unwrap()));
    questions.iter().cloned().zip(numbers.map(|number| Some(number).filter(|number| *number != 0))).collect()
}

unsafe fn answer(root: &CString, who: Who, asked: &[(CString, &Question)], told: &OwnedFd) -> ! {
    // SAFETY: as the caller promises.
    unsafe {
        let half = |at: u32| [(who.caps >> at) as u32, (who.caps >> at) as u32, 0];
        let (header, data) = ([0x2008_0522_u32, 0], [half(0), half(32)]);
        let is_so = libc::chroot(root.as_ptr()) == 0
            && libc::chdir(c"/".as_ptr()) == 0
            && libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
            && libc::syscall(libc::SYS_setgroups, who.groups.len(), who.groups.as_ptr()) == 0
            && libc::syscall(libc::SYS_setresgid, who.gid, who.gid, who.gid) == 0
            && libc::syscall(libc::SYS_setresuid, who.uid, who.uid, who.uid) == 0
            && libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) == 0;
        if !is_so {
            libc::_exit(1);
        }
        for (path, question) in asked {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let result = match question {
                Question::May(_, how) => {
                    libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), *how, libc::AT_EACCESS)
                        as i32
                }
                Question::Open(_, how) => libc::open(path.as_ptr(), how | flags),
                Question::Make(_) => {
                    let made =
                        libc::open(path.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o600);
                    if made >= 0 {
                        libc::unlink(path.as_ptr());
                    }
                    made
                }
            };
            let errno: i32 = if result < 0 { *libc::__errno_location() } else { 0 };
            if result > 2 {
                libc::close(result);
            }
            libc::write(told.as_raw_fd(), (&raw const errno).cast(), 4);
        }
        libc::_exit(0)
    }
}

/// A sequence that is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % count
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Gives a file an ACL: tags, permissions, ids; linux/posix_acl_xattr.h.
fn set_acl(path: &Path, lines: &[(u16, u16, u32)]) -> bool {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in lines {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = c"system.posix_acl_access".as_ptr();
    // SAFETY: strings that end in 0, and a buffer of the length that is told.
    unsafe { libc::setxattr(path.as_ptr(), name, value.as_ptr().cast(), value.len(), 0) == 0 }
}

const NOBODY: u32 = u32::MAX;
const UIDS: [u32; 4] = [0, 65532, 1001, 70000];
const GIDS: [u32; 5] = [0, 65532, 1001, 2000, 2001];
const MODES: [u32; 12] =
    [0o755, 0o755, 0o755, 0o750, 0o700, 0o711, 0o770, 0o775, 0o077, 0o1777, 0o555, 0o000];
const FILE_MODES: [u32; 9] = [0o644, 0o755, 0o640, 0o600, 0o060, 0o006, 0o111, 0o000, 0o4750];

/// A directory full of what may be in the way.
fn grow(root: &Path, random: &mut Random) -> Vec<String> {
    let mut directories = vec!["/t".to_owned()];
    fs::create_dir(root.join("t")).unwrap();
    let (mut all, mut owned) = (Vec::new(), vec![("/t".to_owned(), true)]);
    for number in 0..120 {
        let parent = random.of(&(0..directories.len()).collect::<Vec<_>>());
        let path = format!("{}/n{number}", directories[parent]);
        let on_node = root.join(&path[1..]);
        match random.below(8) {
            0..=3 => {
                fs::create_dir(&on_node).unwrap();
                directories.push(path.clone());
                owned.push((path.clone(), true));
            }
            4..=5 => {
                fs::write(&on_node, "#!/server\n").unwrap();
                owned.push((path.clone(), false));
            }
            _ => {
                let other = all.get(random.below(all.len().max(1))).cloned().unwrap_or("/none".to_owned());
                let up = "../".repeat(path.matches('/').count() - 1);
                let to = match random.below(6) {
                    0 | 1 => other,
                    2 | 3 => format!("{up}{}", &other[1..]),
                    4 => format!("n{number}"),
                    _ => "missing/none".to_owned(),
                };
                symlink(to, &on_node).unwrap();
            }
        }
        all.push(path);
    }
    for (path, is_directory) in owned.iter().rev() {
        let on_node = root.join(&path[1..]);
        chown(&on_node, Some(random.of(&UIDS)), Some(random.of(&GIDS))).unwrap();
        let mode = if *is_directory { random.of(&MODES) } else { random.of(&FILE_MODES) };
        fs::set_permissions(&on_node, fs::Permissions::from_mode(mode)).unwrap();
        if random.below(4) == 0 {
            let mut bits = || random.below(8) as u16;
            let (user, group, mask) = (bits(), bits(), bits());
            let lines = [
                (1, 7, NOBODY),
                (2, user, 1001),
                (2, group, 65532),
                (4, bits(), NOBODY),
                (8, group, 2000),
                (8, user, 2001),
                (0x10, mask, NOBODY),
                (0x20, bits(), NOBODY),
            ];
            assert!(set_acl(&on_node, &lines), "{path}");
        }
    }
    // The first one lets most in, or little below would ever be asked.
    fs::set_permissions(root.join("t"), fs::Permissions::from_mode(0o755)).unwrap();
    all
}

/// 200 paths of it, and what is wanted of them.
fn wishes(all: &[String], random: &mut Random) -> Vec<(String, &'static str)> {
    (0..200)
        .map(|_| {
            let base = random.of(&(0..all.len()).collect::<Vec<_>>());
            let path = match random.below(10) {
                0 => format!("{}/missing", all[base]),
                1 => format!("{}/missing/further", all[base]),
                2 => format!("{}/.", all[base]),
                3 => format!("{}/../{}", all[base], all[base].rsplit('/').next().unwrap()),
                _ => all[base].clone(),
            };
            (path, random.of(&["read", "write", "exec"]))
        })
        .collect()
}

/// Runs `why` for each, in one session; rows and status of each.
fn all_whys(target: &Sandbox, wishes: &[(String, &str)]) -> Vec<(Vec<Value>, i32)> {
    let lines: String =
        wishes.iter().map(|(path, what)| format!("why {path} {what} --json\necho end $?\n")).collect();
    let ran = run_with_input(&mut target.nsdbg(), lines.as_bytes());
    assert_eq!(ran.err, "");
    let mut found = Vec::new();
    let mut rows = Vec::new();
    for line in ran.text().lines() {
        match line.strip_prefix("end ") {
            Some(status) => found.push((std::mem::take(&mut rows), status.parse().unwrap())),
            None => rows.push(serde_json::from_str(line).unwrap()),
        }
    }
    assert_eq!(found.len(), wishes.len());
    found
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn flag(what: &str) -> i32 {
    match what {
        "read" => libc::R_OK,
        "write" => libc::W_OK,
        "exec" => libc::X_OK,
        _ => libc::F_OK,
    }
}

/// What a row claims, as a question to the kernel, and whether it must be allowed.
fn claim(row: &Value) -> Option<(Question, bool)> {
    let (path, needs, allowed) = (text(row, "path").to_owned(), text(row, "needs"), row["allowed"] == true);
    match needs {
        // One that leads on: where it leads is asked next.
        "follow" => None,
        "to be there" => Some((Question::May(path, libc::F_OK), false)),
        "create" => Some((Question::Make(path), allowed)),
        // Of what is no directory nothing is to be had.
        "search" => Some((Question::May(format!("{path}/."), libc::X_OK), allowed)),
        _ => Some((Question::May(path, flag(needs)), allowed)),
    }
}

// Seen to fail with a mask that counts for the owning group's line not at all, and with capabilities that let root start
// what nobody may.
#[test]
fn why_and_the_kernel_are_of_one_mind() {
    needs_root!();
    let (mut asked, mut refused, mut links) = (0, 0, 0);
    for (at, who) in [
        Who { uid: 65532, gid: 65532, groups: &[2000], caps: 0 },
        Who { uid: 1001, gid: 1001, groups: &[2001, 65532], caps: 0 },
        Who { uid: 0, gid: 0, groups: &[], caps: 0 },
        Who { uid: 0, gid: 0, groups: &[], caps: OVERRIDE },
        Who { uid: 0, gid: 0, groups: &[], caps: READ_SEARCH },
        Who { uid: 70000, gid: 1001, groups: &[], caps: OVERRIDE | READ_SEARCH },
    ]
    .into_iter()
    .enumerate()
    {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 + at as u64);
        let target = who.target(plain()).start();
        let mut all = grow(&target.root, &mut random);
        // Some of it is mounted again, to be read alone and so that nothing can be started.
        let part = target.root.join("t");
        bind(&target, &part, "/read-only");
        super::inside::remount(&target, "/read-only", MsFlags::MS_RDONLY);
        bind(&target, &part, "/noexec");
        super::inside::remount(&target, "/noexec", MsFlags::MS_NOEXEC);
        for (mount, every) in [("read-only", 4), ("noexec", 5)] {
            let more: Vec<String> =
                all.iter().step_by(every).map(|path| path.replacen("/t", &format!("/{mount}"), 1)).collect();
            all.extend(more);
        }
        let wishes = wishes(&all, &mut random);
        let found = all_whys(&target, &wishes);
        let mut questions = Vec::new();
        for ((path, what), (rows, _)) in wishes.iter().zip(&found) {
            questions.push(Question::May(path.clone(), flag(what)));
            questions.push(Question::Make(path.clone()));
            questions.extend([libc::O_RDONLY, libc::O_WRONLY].map(|how| Question::Open(path.clone(), how)));
            questions.extend(rows.iter().filter_map(claim).map(|(question, _)| question));
        }
        questions.sort();
        questions.dedup();
        let answers = ask(&target, who, &questions);
        for ((path, what), (rows, status)) in wishes.iter().zip(&found) {
            let last = rows.last().unwrap();
            let context = format!("{who:?}: why {path} {what}: {rows:#?}");
            assert_eq!(*status, i32::from(last["allowed"] == false), "{context}");
            // All lead on but the last.
            assert!(rows.iter().rev().skip(1).all(|row| row["allowed"] == true), "{context}");
            let may = answers[&Question::May(path.clone(), flag(what))];
            if text(last, "needs") == "create" {
                let made = answers[&Question::Make(path.clone())];
                assert_eq!(last["allowed"] == true, made.is_none(), "{made:?} {context}");
            } else {
                assert_eq!(last["allowed"] == true, may.is_none(), "{may:?} {context}");
            }
            // What access(2) says of a file, open(2) does.
            if last["type"].as_str().is_some_and(|kind| kind.starts_with("regular")) && *what != "exec" {
                let how = if *what == "read" { libc::O_RDONLY } else { libc::O_WRONLY };
                let opened = answers[&Question::Open(path.clone(), how)];
                assert_eq!(last["allowed"] == true, opened.is_none(), "{opened:?} {context}");
            }
            for row in rows {
                // Modes, ACLs, capabilities and mounts alone explain it: the kernel had to put nothing right.
                assert!(!text(row, "by").contains("the kernel"), "{context}");
                if let Some((question, is_allowed)) = claim(row) {
                    let answer = answers[&question];
                    assert_eq!(is_allowed, answer.is_none(), "{question:?} {answer:?} {context}");
                }
                links += usize::from(text(row, "needs") == "follow");
            }
            asked += 1;
            refused += usize::from(*status != 0);
        }
    }
    println!("{asked} asked, {refused} refused, {links} links");
    assert!(asked == 1200 && (300..900).contains(&refused) && links > 200, "{asked} {refused} {links}");
}

/// The last row, and what was said beside it.
fn last(target: &Sandbox, words: &[&str]) -> (Value, Ran) {
    let ran = target.run(&[&["why", "--json"], words].concat());
    let row = ran.text().lines().last().map(|line| serde_json::from_str(line).unwrap());
    (row.unwrap_or(Value::Null), ran)
}

fn set(path: &Path, mode: u32, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

// Seen to fail with a mount's flags that are not looked at.
#[test]
fn each_cause_has_its_sentence() {
    needs_root!();
    let who = Who { uid: 65532, gid: 65532, groups: &[2000], caps: 0 };
    let target = who.target(plain()).program("app/run").start();
    let at = |path: &str| target.root.join(path);
    for name in ["own", "group", "others", "acl", "masked", "many", "fixed", "plain"] {
        fs::write(at("app").join(name), "x").unwrap();
        set(&at("app").join(name), 0o644, 0, 0);
    }
    set(&at("app/own"), 0o066, 65532, 0);
    set(&at("app/group"), 0o606, 0, 2000);
    set(&at("app/others"), 0o660, 0, 0);
    assert!(set_acl(
        &at("app/acl"),
        &[(1, 7, NOBODY), (2, 0, 65532), (4, 7, NOBODY), (0x10, 7, NOBODY), (0x20, 7, NOBODY)]
    ));
    assert!(set_acl(
        &at("app/masked"),
        &[(1, 7, NOBODY), (4, 0, NOBODY), (8, 6, 2000), (0x10, 2, NOBODY), (0x20, 7, NOBODY)]
    ));
    fs::create_dir(at("closed")).unwrap();
    fs::write(at("closed/in"), "").unwrap();
    set(&at("closed"), 0o700, 0, 0);
    symlink("loop", at("app/loop")).unwrap();
    symlink("/closed/in", at("app/to")).unwrap();
    symlink("gone", at("app/dangling")).unwrap();
    // namei's own options.
    let rows = target.run(&["namei", "-l", "/app/own"]).text();
    assert_eq!(rows, target.run(&["why", "/app/own"]).text());
    assert!(rows.contains("/app/own"), "{rows}");
    assert_eq!(target.run(&["namei", "-mov", "/app/own"]).text(), rows);
    mount_tmpfs(&target, "/still", MsFlags::MS_NOEXEC, "mode=1777");
    fs::copy(at("server"), super::inside::seen(&target, "/still/run")).unwrap();
    mount_tmpfs(&target, "/fast", MsFlags::empty(), "mode=1777");
    fs::write(super::inside::seen(&target, "/fast/file"), "").unwrap();
    set(&super::inside::seen(&target, "/fast/file"), 0o666, 0, 0);
    super::inside::remount(&target, "/fast", MsFlags::MS_RDONLY);
    for (words, path, allowed, by, fix) in [
        (&["/app/own"][..], "/app/own", false, "mode 0066, as its owner", "chmod u+r /app/own"),
        (&["/app/group"], "/app/group", false, "as one of its group logs", "chmod g+r /app/group"),
        (
            &["/app/others"],
            "/app/others",
            false,
            "as neither its owner nor of its group",
            "chmod o+r /app/others",
        ),
        (&["/app/plain"], "/app/plain", true, "as neither its owner", ""),
        (&["/app/acl"], "/app/acl", false, "ACL, the line of user web", "setfacl -m u:65532:r /app/acl"),
        (&["/app/masked"], "/app/masked", false, "ACL, whose mask", "setfacl -m m::rwx /app/masked"),
        (&["/app/masked", "write"], "/app/masked", true, "ACL, the line of group logs", ""),
        (&["/closed/in"], "/closed", false, "mode 0700", "chmod o+x /closed"),
        (&["/app/to"], "/closed", false, "mode 0700", "chmod o+x /closed"),
        (&["/app/loop"], "/app/loop", false, "it is more than the 40th link", ""),
        (&["/app/dangling"], "/app/gone", false, "it is not there", ""),
        (&["/none/further", "write"], "/none", false, "it is not there", ""),
        (&["/app/plain/further"], "/app/plain", false, "it is no directory, but a regular file", ""),
        (&["/tmp/new", "write"], "/tmp/new", true, "it is not there; of its directory: mode 1777", ""),
        (
            &["/app/new", "write"],
            "/app/new",
            false,
            "it is not there; of its directory: mode 0755",
            "chmod o+w /app",
        ),
        (
            &["/app/run", "exec"],
            "/app/run",
            true,
            "mode 0755, as neither its owner nor of its group; a static",
            "",
        ),
        (&["/app/plain", "exec"], "/app/plain", false, "mode 0644", "chmod a+x /app/plain"),
        (&["/still/run", "exec"], "/still/run", false, "its mount has noexec", "mount it without noexec"),
        (&["/still/run", "read"], "/still/run", true, "mode 0755", ""),
        (&["/fast/file", "write"], "/fast/file", false, "it is on a read-only file system", "mount a volume"),
        (
            &["/fast/new", "write"],
            "/fast/new",
            false,
            "its directory is on a read-only file system",
            "mount a volume",
        ),
        (&["/"], "/", true, "mode 0755", ""),
    ] {
        let (row, ran) = last(&target, words);
        assert_eq!(text(&row, "path"), path, "{words:?}: {ran:?}");
        assert_eq!(
            (&row["allowed"], ran.status),
            (&allowed.into(), i32::from(!allowed)),
            "{words:?}: {ran:?}"
        );
        assert!(text(&row, "by").contains(by), "{words:?}: {row}");
        assert!(row["fix"].as_str().unwrap_or("").starts_with(fix), "{words:?}: {row}");
        assert_eq!(row["fix"].is_string(), !fix.is_empty(), "{words:?}: {row}");
    }
    // What neither mode nor ACL says: the kernel has the last word.
    set(&at("app/fixed"), 0o666, 0, 0);
    let chattr = |how: &str| Command::new("chattr").arg(how).arg(at("app/fixed")).output();
    if chattr("+i").is_ok_and(|done| done.status.success()) {
        let (row, ran) = last(&target, &["/app/fixed", "write"]);
        let _ = chattr("-i");
        assert_eq!(ran.status, 1);
        assert_eq!(text(&row, "by"), "operation not permitted: it is immutable");
    } else {
        crate::support::count_skip("this file system has no immutable files");
    }
    // As others, and as root, with and without capabilities.
    let root = Who { uid: 0, gid: 0, groups: &[], caps: OVERRIDE }.target(plain()).start();
    for (path, mode) in [("app/secret", 0o000), ("app/nobodys", 0o666)] {
        fs::write(root.root.join(path), "").unwrap();
        set(&root.root.join(path), mode, 1001, 1001);
    }
    let (row, ran) = last(&root, &["/app/secret", "write"]);
    assert_eq!((text(&row, "by"), ran.status), ("CAP_DAC_OVERRIDE, whatever its mode", 0));
    let (row, ran) = last(&root, &["/app/nobodys", "exec"]);
    assert_eq!((row["allowed"] == true, ran.status), (false, 1), "{row}");
    // For a person, the fix stands below.
    let ran = target.run(&["why", "/app/own"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.err.is_empty()
            && ran.text().lines().rev().nth(1).is_some_and(|last| last.starts_with("NO "))
            && ran.text().ends_with("\nfix: chmod u+r /app/own\n"),
        "{ran:?}"
    );
    target.run(&["why", "/app/own", "eat"]).fails(2, "it is one of read, write, exec");
    target.run(&["why", ""]).fails(1, "walk '': no such file or directory");
    assert_eq!(
        target.line("cd /app; why plain | where needs eq read | select path").ok(),
        "PATH\n/app/plain\n"
    );
}
