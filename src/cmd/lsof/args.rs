//! Old forms of arguments: words that begin with `+`, and `-i`, `-F` and `-r`, whose values may be left out.

use std::ffi::OsString;
use std::iter::Peekable;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Repeat;
use super::address::Address;
use super::fields::Fields;

/// Letters that take no value and may stand before one of those in one word: `-nPi`.
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
        if let Some(value) = bytes.strip_prefix(b"+r") {
            out.push(optional("--repeat-while", value, &mut args, |word| word.parse::<Repeat>().is_ok()));
            continue;
        }
        let cluster = bytes.strip_prefix(b"-").and_then(|letters| {
            let at = letters.iter().position(|letter| !FLAGS.contains(letter))?;
            matches!(letters.get(at), Some(b'i' | b'F' | b'r')).then(|| letters.split_at(at))
        });
        let Some((flags, valued)) = cluster else {
            out.push(arg);
            continue;
        };
        if !flags.is_empty() {
            out.push(OsString::from_vec([b"-", flags].concat()));
        }
        let value = valued.get(1..).unwrap_or_default();
        out.push(match valued.first() {
            Some(b'F') => optional("--fields", value, &mut args, |word| word.parse::<Fields>().is_ok()),
            Some(b'r') => optional("--repeat", value, &mut args, |word| word.parse::<Repeat>().is_ok()),
            _ => optional("--inet", value, &mut args, |word| {
                Address::parse(word).is_ok() || word.starts_with([':', '@'])
            }),
        });
    }
    out
}

/// An option with its value: what follows it in its word, else the next word where that can be one. A file's path is none.
fn optional(
    option: &str,
    value: &[u8],
    args: &mut Peekable<impl Iterator<Item = OsString>>,
    can_be: impl Fn(&str) -> bool,
) -> OsString {
    let mut value = value.to_vec();
    if value.is_empty()
        && let Some(word) =
            args.next_if(|word| word.to_str().is_some_and(|word| !word.is_empty() && can_be(word)))
    {
        value = word.into_vec();
    }
    OsString::from_vec([option.as_bytes(), b"=", &value].concat())
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
            ("-F", "--fields="),
            ("-Fpn -p 1", "--fields=pn -p 1"),
            ("-F pcfn /tmp", "--fields=pcfn /tmp"),
            ("-nPF0 /tmp", "-nP --fields=0 /tmp"),
            ("-r 2 -i", "--repeat=2 --inet="),
            ("-r1c3", "--repeat=1c3"),
            ("-r /tmp", "--repeat= /tmp"),
            ("+r5", "--repeat-while=5"),
            ("-- +D -i", "-- +D -i"),
        ] {
            let words = typed.split(' ').map(Into::into).collect();
            let shown: Vec<String> = rewrite(words).into_iter().map(|w| w.into_string().unwrap()).collect();
            assert_eq!(shown.join(" "), rewritten);
        }
    }
}
