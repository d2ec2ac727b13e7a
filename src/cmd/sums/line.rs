//! Lines of lists of digests: `DIGEST  NAME`, `DIGEST *NAME`, `SHA256 (NAME) = DIGEST`; names with a newline or a
//! backslash are escaped, and the line begins with a backslash then.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A line, with its end.
pub fn spelled(path: &OsStr, digest: &str, tag: Option<&str>, is_binary: bool, zero: bool) -> Vec<u8> {
    let name = if zero { None } else { escaped(path.as_bytes()) };
    let mut line = if name.is_some() { b"\\".to_vec() } else { Vec::new() };
    let name = name.as_deref().unwrap_or(path.as_bytes());
    match tag {
        Some(tag) => {
            line.extend_from_slice(format!("{tag} (").as_bytes());
            line.extend_from_slice(name);
            line.extend_from_slice(format!(") = {digest}").as_bytes());
        }
        None => {
            line.extend_from_slice(digest.as_bytes());
            line.extend_from_slice(if is_binary { b" *" } else { b"  " });
            line.extend_from_slice(name);
        }
    }
    line.push(if zero { 0 } else { b'\n' });
    line
}

/// The name where it has to be escaped.
pub fn escaped(name: &[u8]) -> Option<Vec<u8>> {
    if !name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
        return None;
    }
    let mut text = Vec::with_capacity(name.len() + 8);
    for &byte in name {
        match byte {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            _ => text.push(byte),
        }
    }
    Some(text)
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            0 => return None,
            _ => byte,
        });
    }
    Some(text)
}

/// The name and the digest, in lower case, of a line without its end; none where it is no line of such a list.
///
/// `one_blank` says whether lines are `DIGEST NAME`, as some tools write them. The first line decides, as in coreutils:
/// else a file whose name begins with a blank could pass for another.
pub fn parsed(
    line: &[u8],
    tag: &str,
    digits: usize,
    one_blank: &mut Option<bool>,
) -> Option<(OsString, String)> {
    let blanks = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let line = line.get(blanks..)?;
    let (is_escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (name, digest) = match line.strip_prefix(tag.as_bytes()) {
        Some(rest) => {
            let rest = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"(")?;
            let close = rest.iter().rposition(|&byte| byte == b')')?;
            let (name, rest) = rest.split_at(close);
            let rest: &[u8] = rest.get(1..)?.trim_ascii_start().strip_prefix(b"=")?;
            (name, rest.trim_ascii_start())
        }
        None => {
            let (digest, rest) = line.split_at_checked(digits)?;
            let rest = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"\t"))?;
            let marked = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"*"));
            match marked.filter(|name| !name.is_empty()) {
                _ if *one_blank == Some(true) => (rest, digest),
                Some(name) => {
                    *one_blank = Some(false);
                    (name, digest)
                }
                None if *one_blank == Some(false) => return None,
                None => {
                    *one_blank = Some(true);
                    (rest, digest)
                }
            }
        }
    };
    let is_digest = digest.len() == digits && digest.iter().all(u8::is_ascii_hexdigit);
    if !is_digest || name.is_empty() || name.contains(&0) {
        return None;
    }
    let name = if is_escaped { unescaped(name)? } else { name.to_vec() };
    let digest = String::from_utf8(digest.to_ascii_lowercase()).ok()?;
    Some((OsString::from_vec(name), digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back() {
        let digest = "0123456789abcdef";
        for name in ["plain", "two\nlines", "back\\slash", " *x", "a) = b", "\r"] {
            for (tag, is_binary) in [(None, false), (None, true), (Some("SHA256"), false)] {
                let line = spelled(OsStr::new(name), digest, tag, is_binary, false);
                let line = line.strip_suffix(b"\n").unwrap();
                assert!(!line.contains(&b'\n'));
                let read = parsed(line, "SHA256", 16, &mut None);
                assert_eq!(read, Some((name.into(), digest.to_owned())), "{name:?}");
            }
        }
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            &b""[..],
            b"0123456789abcdef",
            b"0123456789abcdef ",
            b"0123456789abcdeg  x",
            b"0123456789abcde  x",
            b"0123456789abcdefx",
            b"\\0123456789abcdef  x\\y",
            b"SHA256 (x = 0123456789abcdef",
            b"SHA256 (x) 0123456789abcdef",
            b"0123456789abcdef  x\0y",
        ] {
            assert_eq!(parsed(line, "SHA256", 16, &mut None), None, "{line:?}");
        }
    }
}
