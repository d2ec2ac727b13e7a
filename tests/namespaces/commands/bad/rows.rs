//! A line of ten megabytes, for all that read lines or rows.

use super::*;
use crate::live::run_with_input;

const LONG: usize = 10 << 20;

/// Status, and the length of what is printed of two lines, one of them long.
const TEXT: &[(&str, i32, usize)] = &[
    ("cat /data/huge", 0, LONG + 5),
    ("head -n 1 /data/huge", 0, LONG + 1),
    ("tail -n 1 /data/huge", 0, 4),
    ("tail -n 2 /data/huge", 0, LONG + 5),
    ("wc -lL /data/huge", 0, "       2 10485760 /data/huge\n".len()),
    ("sort /data/huge", 0, LONG + 5),
    ("uniq /data/huge", 0, LONG + 5),
    ("grep z /data/huge", 0, LONG + 1),
    ("grep -c z /data/huge", 0, 2),
    ("sha1sum /data/huge", 0, 40 + 13),
    ("sha256sum /data/huge", 0, 64 + 13),
    ("sha512sum /data/huge", 0, 128 + 13),
    ("sha256sum --check /data/huge", 1, 0),
    ("file -b /data/huge", 0, "ASCII text, with very long lines (524288)\n".len()),
    ("get /data/huge -", 0, 10_488_832),
];

/// The same of two rows, of which one has a long field.
const OF_ROWS: &[(&str, usize)] = &[
    ("where a eq b", 10),
    ("where a ne b", LONG + 9),
    ("select a", LONG + 19),
    ("sort-by a", LONG + 19),
    ("first", LONG + 9),
    ("last", 10),
    ("count", 12),
    ("count a", LONG + 39),
];

const OTHERS: &[(&str, &str)] = &[
    ("a bundle of more than 8 MiB is refused", "certs"),
    ("bytes go through it, whatever lines they are", "http nc put"),
    (
        "reads neither text nor rows",
        "cgroup df dns doctor du echo env false find free help history info ip kill ldd ls lsof mounts",
    ),
    (
        "reads neither text nor rows",
        "netstat ping proc ps pstree pwd readlink sleep stat targets tcp tls true users who why",
    ),
];

// Seen to fail with a limit of 1 MiB for a row.
#[test]
fn a_line_of_ten_megabytes_is_a_line() {
    needs_root!();
    let huge = [b"z".repeat(LONG), b"\nend\n".to_vec()].concat();
    let target = spoiled(sandbox().file("data/huge", &huge));
    covers(&target, TEXT.iter().map(|row| row.0).chain(OF_ROWS.iter().map(|row| row.0)), OTHERS);
    for (line, status, length) in TEXT {
        let ran = target.run(&words(line));
        let out = ran.out.len();
        assert_eq!((ran.status, out), (*status, *length), "{line}: {}", ran.err);
        let said = if *status == 0 {
            ""
        } else {
            "sha256sum: read /data/huge: there is no line of a list of digests in it\n"
        };
        assert_eq!(ran.err, said, "{line}");
    }
    let rows = [b"{\"a\":\"".to_vec(), b"z".repeat(LONG), b"\"}\n{\"a\":\"b\"}\n".to_vec()].concat();
    for (line, length) in OF_ROWS {
        let ran = run_with_input(target.nsdbg().args(["--json", "--"]).args(words(line)), &rows);
        assert_eq!((ran.status, ran.out.len(), ran.err.as_str()), (0, *length, ""), "{line}");
        let ran = run_with_input(target.nsdbg().arg("--").args(words(line)), &huge);
        is(line, &ran, 1, &format!("{}: read line 1: the row is not JSON\n", command(line)));
    }
    // A line of the session is no such thing, and nothing after it is run.
    let ran = run_with_input(&mut target.nsdbg(), &[&huge[..], b"echo on\n"].concat());
    is("a line", &ran, 2, "nsdbg: a line has at most 1048576 bytes\n");
    assert_eq!(ran.text(), "");
}
