//! `-5` for `-C 5`, alone or among other letters; `--color` on its own, which is auto here and always elsewhere.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Letters that take a value.
const VALUED: &[u8] = b"ABCDdefm";

/// Long options that take a value as the next word.
const LONG: &[&[u8]] = &[
    b"--after-context",
    b"--before-context",
    b"--context",
    b"--regexp",
    b"--file",
    b"--max-count",
    b"--include",
    b"--exclude",
    b"--exclude-dir",
    b"--binary-files",
    b"--directories",
    b"--devices",
    b"--label",
];

/// Rewrites numbers among options.
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let mut rewritten = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            rewritten.push(arg);
            rewritten.extend(args);
            break;
        }
        if bytes.starts_with(b"--") || !bytes.starts_with(b"-") || bytes.len() < 2 {
            let takes_next = LONG.contains(&bytes);
            let is_color = matches!(bytes, b"--color" | b"--colour");
            rewritten.push(if is_color { "--color=auto".into() } else { arg });
            if takes_next {
                rewritten.extend(args.next());
            }
            continue;
        }
        let (letters, number, takes_next) = split(&bytes[1..]);
        if let Some(number) = number {
            rewritten.push(OsString::from_vec([b"-C", number.as_slice()].concat()));
        }
        if !letters.is_empty() {
            rewritten.push(OsString::from_vec([b"-", letters.as_slice()].concat()));
        }
        if takes_next {
            rewritten.extend(args.next());
        }
    }
    rewritten
}

/// The letters without the digits, the digits, and whether the last letter's value is the next word.
fn split(cluster: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, bool) {
    let (mut letters, mut number) = (Vec::new(), Vec::new());
    for (at, byte) in cluster.iter().enumerate() {
        if VALUED.contains(byte) {
            letters.extend_from_slice(&cluster[at..]);
            return (letters, Some(number).filter(|number| !number.is_empty()), at + 1 == cluster.len());
        }
        if byte.is_ascii_digit() { &mut number } else { &mut letters }.push(*byte);
    }
    (letters, Some(number).filter(|number| !number.is_empty()), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_context() {
        for (line, rewritten) in [
            ("-5 x", "-C5 x"),
            ("-n12 x", "-C12 -n x"),
            ("-1n2 x", "-C12 -n x"),
            ("-A3 x", "-A3 x"),
            ("-nA 3 x", "-nA 3 x"),
            ("-e -5 x", "-e -5 x"),
            ("--regexp -5 x", "--regexp -5 x"),
            ("-- -5", "-- -5"),
            ("- x", "- x"),
            ("-m1 -e3", "-m1 -e3"),
            ("--color x", "--color=auto x"),
            ("-e --color", "-e --color"),
        ] {
            let args = line.split(' ').map(OsString::from).collect();
            assert_eq!(rewrite(args).join(" ".as_ref()), rewritten, "{line}");
        }
    }
}
