//! Old forms of arguments: words that begin with `+`, and `-i` whose value may be left out.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::address::Address;

/// Letters that take no value and may stand before `i` in one word: `-nPi`.
const FLAGS: &[u8] = b"anPtUlo";

/// Rewrites them into options.
pub fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::with_capacity(args.len());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        let plus = [(&b"+D"[..], "--under"), (b"+d", "--in"), (b"+L", "--links-below")]
            .into_iter()
            .find_map(|(word, option)| bytes.strip_prefix(word).map(|rest| (rest, option)));
        if let Some((rest, option)) = plus {
            out.push(option.into());
            if !rest.is_empty() {
                out.push(OsString::from_vec(rest.to_vec()));
            }
            continue;
        }
        let cluster = bytes.strip_prefix(b"-").and_then(|letters| {
            let at = letters.iter().position(|letter| !FLAGS.contains(letter))?;
            (letters.get(at) == Some(&b'i')).then(|| letters.split_at(at))
        });
        let Some((flags, inet)) = cluster else {
            out.push(arg);
            continue;
        };
        if !flags.is_empty() {
            out.push(OsString::from_vec([b"-", flags].concat()));
        }
        let mut value = inet.get(1..).unwrap_or_default().to_vec();
        // The next word is its value where it can be one; a file's path is none.
        let next = |word: &OsString| {
            word.to_str().is_some_and(|word| Address::parse(word).is_ok() && !word.is_empty())
        };
        let looks_so = |word: &OsString| matches!(word.as_bytes().first(), Some(b':' | b'@'));
        if value.is_empty()
            && let Some(word) = args.next_if(|word| next(word) || looks_so(word))
        {
            value = word.into_vec();
        }
        out.push(OsString::from_vec([b"--inet=", value.as_slice()].concat()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_fingers_know() {
        for (typed, rewritten) in [
            ("-i", "--inet="),
            ("-i :8080", "--inet=:8080"),
            ("-i:8080 -t", "--inet=:8080 -t"),
            ("-nPi tcp:80 -a", "-nP --inet=tcp:80 -a"),
            ("-nP -iTCP -sTCP:LISTEN", "-nP --inet=TCP -sTCP:LISTEN"),
            ("-i /var/log/x", "--inet= /var/log/x"),
            ("-i :http", "--inet=:http"),
            ("-i@10.0.0.1", "--inet=@10.0.0.1"),
            ("+D /var", "--under /var"),
            ("+L1 +d/tmp", "--links-below 1 --in /tmp"),
            ("-p 7 -d cwd", "-p 7 -d cwd"),
            ("-ti :80", "-t --inet=:80"),
            ("-- +D -i", "-- +D -i"),
        ] {
            let words = typed.split(' ').map(Into::into).collect();
            let shown: Vec<String> = rewrite(words).into_iter().map(|w| w.into_string().unwrap()).collect();
            assert_eq!(shown.join(" "), rewritten);
        }
    }
}
