//! `tail`.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::text::{
    data, ends_with_its_reader, make_vast, names_what_it_can_not_read, peak, same, same_of_input,
};
use crate::live::wait;
use crate::support::{LIMIT, Sandbox, needs_root, sandbox};

// Seen to fail where the end of the last line was taken for the begin of another.
#[test]
fn tail_prints_what_gnu_tail_prints() {
    needs_root!();
    let target = data();
    let mut lines = Vec::new();
    for options in [
        "",
        "-n 0",
        "-n 1",
        "-n 2",
        "-n3",
        "-n 2999",
        "-n 9999",
        "-n +1",
        "-n +0",
        "-n +2",
        "-n +2999",
        "-n +9999",
        "-c 0",
        "-c 5",
        "-c 1K",
        "-c +3",
        "-c +1",
        "-c +9999999",
        "-c 9999999",
        "-q -n 1",
        "-v -n 1",
        "-z -n 1",
        "-z -n +2",
        "-n 1 -c 3",
        "-n -2",
        "-c -4",
    ] {
        for files in ["many", "long", "cut few", "nul", "bytes", "empty newline few"] {
            lines.push(format!("tail {options} {files}").replace("  ", " "));
        }
    }
    for line in ["tail -2 few", "tail +2 few", "tail -3c few", "tail -1l cut"] {
        lines.push(line.to_owned());
    }
    same(&target, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "C");
}

#[test]
fn tail_of_standard_input_is_as_gnus() {
    needs_root!();
    let target = data();
    let many: String = (1..=50_000).map(|n| format!("line {n}\n")).collect();
    let lines = [
        "tail",
        "tail -n 3",
        "tail -n 20000",
        "tail -n +49990",
        "tail -c 200000",
        "tail -c +400000",
        "tail -c 9",
        "tail -n 0",
        "tail -v -n 1 - few",
        "tail -f -n 2",
    ];
    for input in [many.as_bytes(), b"no newline", b"a\nb", b"\n\n", b""] {
        same_of_input(&target, &lines, input);
    }
}

#[test]
fn tail_says_what_it_can_not_do() {
    needs_root!();
    let target = data();
    names_what_it_can_not_read(&target, "tail", 1);
    target.line("tail -n x /data/few").fails(2, "invalid value 'x'");
    target.line("tail -f /data/none").fails(1, "tail: no files remaining");
    ends_with_its_reader(&target, "tail -n +1 /data/many | head -n 1");
    ends_with_its_reader(&target, "tail -f /data/few | head -n 3");
}

// Seen to fail where the length of the file was not asked for.
#[test]
fn tail_reads_a_vast_file_from_its_end() {
    needs_root!();
    let target = data();
    make_vast(&target, b"\nlast\nlines\n");
    for (args, wanted) in [
        (&["tail", "-n", "2", "/data/vast"][..], "last\nlines\n"),
        (&["tail", "-c", "6", "/data/vast"], "lines\n"),
        (&["tail", "-c", "+10737418242", "/data/vast"], "last\nlines\n"),
    ] {
        let (ran, peak) = peak(&target, args);
        assert!(peak < 64 << 10, "{args:?} {peak}");
        assert_eq!(ran.ok(), wanted, "{args:?}");
    }
}

/// A `tail` that follows, and what it says.
struct Following {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Following {
    fn start(target: &Sandbox, args: &[&str]) -> Self {
        let mut command = target.nsdbg();
        command.args(["--", "tail", "-s", "0.05"]).args(args);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines_of(child.stdout.take().unwrap()), lines_of(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    fn prints(&self, line: &str) {
        assert_eq!(self.out.recv_timeout(LIMIT).as_deref(), Ok(line));
    }

    fn says(&self, line: &str) {
        assert_eq!(self.err.recv_timeout(LIMIT).as_deref(), Ok(line));
    }

    fn is_quiet(&self) {
        let quiet = Duration::from_millis(200);
        assert!(self.out.recv_timeout(quiet).is_err() && self.err.recv_timeout(quiet).is_err());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

// Seen to fail where the name was not looked at again.
#[test]
fn tail_follows_a_name_over_rotation_truncation_and_removal() {
    needs_root!();
    let target = data();
    let log = target.root.join("data/log");
    append(&log, "one\ntwo\n");
    let tail = Following::start(&target, &["-F", "-n", "1", "/data/log"]);
    tail.prints("two");
    append(&log, "three\n");
    tail.prints("three");
    // Rotated, with a line that is written to the old file afterwards.
    let old = target.root.join("data/log.1");
    let new = target.root.join("data/log.new");
    append(&new, "new\n");
    append(&log, "rest\n");
    fs::rename(&log, &old).unwrap();
    fs::rename(&new, &log).unwrap();
    tail.prints("rest");
    loop {
        let said = tail.err.recv_timeout(LIMIT).unwrap();
        if said == "tail: /data/log has been replaced; following new file"
            || said == "tail: /data/log has appeared; following new file"
        {
            break;
        }
        assert_eq!(said, "tail: /data/log has become inaccessible: no such file or directory");
    }
    tail.prints("new");
    fs::write(&log, "").unwrap();
    tail.says("tail: /data/log: file truncated");
    append(&log, "again\n");
    tail.prints("again");
    fs::remove_file(&log).unwrap();
    tail.says("tail: /data/log has become inaccessible: no such file or directory");
    append(&new, "made\n");
    fs::rename(&new, &log).unwrap();
    tail.says("tail: /data/log has appeared; following new file");
    tail.prints("made");
    tail.is_quiet();
}

#[test]
fn tail_follows_several_files_with_headers() {
    needs_root!();
    let target = data();
    let (one, other) = (target.root.join("data/one"), target.root.join("data/other"));
    append(&one, "a\n");
    let tail = Following::start(&target, &["-F", "/data/one", "/data/other"]);
    tail.says("tail: open /data/other: no such file or directory");
    tail.prints("==> /data/one <==");
    tail.prints("a");
    append(&one, "b\n");
    tail.prints("b");
    append(&other, "c\n");
    tail.says("tail: /data/other has appeared; following new file");
    for line in ["", "==> /data/other <==", "c"] {
        tail.prints(line);
    }
    append(&one, "d\n");
    for line in ["", "==> /data/one <==", "d"] {
        tail.prints(line);
    }
}

// Seen to fail where -f looked at the name.
#[test]
fn tail_f_follows_the_file_and_not_its_name() {
    needs_root!();
    let target = data();
    let log = target.root.join("data/log");
    append(&log, "one\n");
    let mut tail = Following::start(&target, &["-f", "/data/log"]);
    tail.prints("one");
    let moved = target.root.join("data/moved");
    fs::rename(&log, &moved).unwrap();
    append(&log, "other\n");
    append(&moved, "two\n");
    tail.prints("two");
    tail.is_quiet();
    // By name, without --retry: it ends with its file.
    let mut by_name = Following::start(&target, &["--follow=name", "/data/log"]);
    by_name.prints("other");
    fs::remove_file(&log).unwrap();
    by_name.says("tail: /data/log has become inaccessible: no such file or directory");
    by_name.says("tail: no files remaining");
    assert_eq!(wait(&mut by_name.child, LIMIT), Some(1));
    assert_eq!(tail.child.try_wait().unwrap(), None);
}

// Seen to fail without the question whether stdout has a reader.
#[test]
fn tail_f_ends_when_nobody_reads() {
    needs_root!();
    let target = data();
    let begin = std::time::Instant::now();
    let ran = target.line("tail -f /data/few | head -n 1; tail -f /data/few | head -c 1");
    assert!(ran.status == 0 && begin.elapsed() < Duration::from_secs(5), "{ran:?}");
}

#[test]
fn tail_f_reads_a_fifo_on() {
    needs_root!();
    let target = data();
    let fifo = target.root.join("data/fifo");
    fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let tail = Following::start(&target, &["-f", "--force", "/data/fifo"]);
    for line in ["one", "two"] {
        // Opening waits for the reader.
        OpenOptions::new()
            .write(true)
            .open(&fifo)
            .unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        tail.prints(line);
    }
}

// Seen to fail where the process was not looked at.
#[test]
fn tail_ends_with_a_process() {
    needs_root!();
    let target = super::family(sandbox(), &["child=a"]);
    let args = ["tail", "-n", "1", "-f", "/etc/group", "--pid"];
    assert_eq!(target.run(&[&args[..], &["99999"]].concat()).ok(), "logs:x:2000:web\n");
    let pid = target.run(&["ps", "-o", "pid=", "-C", "a"]).ok();
    let pid = pid.trim();
    let mut command = target.nsdbg();
    command.arg("--").args(args).arg(pid);
    let mut tail = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(wait(&mut tail, Duration::from_millis(500)), None);
    target.run(&["kill", "-KILL", pid]).ok();
    assert_eq!(wait(&mut tail, LIMIT), Some(0));
}
