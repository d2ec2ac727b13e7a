//! A text of several lines, as it is pasted or given to `-c`, in its lines.

/// Splits a text where a newline ends a command: not within quotes, nor behind a backslash. Lines come without their
/// newlines; empty ones are left out.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = end_of_line(rest);
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.trim_ascii().is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// Where the newline is that ends the first command; the length where there is none.
fn end_of_line(text: &[u8]) -> usize {
    let mut at = 0;
    let mut is_word = false;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\n' => return at,
            b'#' if !is_word => at = skip(text, at, |byte| byte == b'\n', false).saturating_sub(1),
            b'\'' if at > 0 && is_word && text.get(at - 1) == Some(&b'$') => {
                at = skip(text, at + 1, |byte| byte == b'\'', true);
            }
            b'\'' => at = skip(text, at + 1, |byte| byte == b'\'', false),
            b'"' => at = skip(text, at + 1, |byte| byte == b'"', true),
            b'\\' => at += 1,
            _ => {}
        }
        is_word = !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'|' | b';' | b'&' | b'<' | b'>');
        at += 1;
    }
    text.len()
}

/// The place of the first byte from here on that ends something; the length where there is none.
fn skip(text: &[u8], from: usize, ends: impl Fn(u8) -> bool, escapes: bool) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if escapes => at += 1,
            byte if ends(*byte) => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_ends_a_command_but_within_quotes_and_behind_a_backslash() {
        for (text, wanted) in [
            ("a", &["a"][..]),
            ("a\nb\n", &["a", "b"]),
            ("a\r\nb", &["a", "b"]),
            ("a\n\n  \nb", &["a", "b"]),
            ("echo a # it's\necho b", &["echo a # it's", "echo b"]),
            ("echo a#'\n'\nb", &["echo a#'\n'", "b"]),
            ("# c\nb", &["# c", "b"]),
            ("echo 'a\nb'\nc", &["echo 'a\nb'", "c"]),
            ("echo \"a\\\"\nb\"\nc", &["echo \"a\\\"\nb\"", "c"]),
            ("echo $'a\\'\nb'\nc", &["echo $'a\\'\nb'", "c"]),
            ("echo a \\\n b\nc", &["echo a \\\n b", "c"]),
            ("echo 'open\nb", &["echo 'open\nb"]),
            ("", &[]),
            ("\n", &[]),
            ("\\", &["\\"]),
        ] {
            let got: Vec<&str> =
                lines(text.as_bytes()).into_iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
            assert_eq!(got, wanted, "{text:?}");
        }
    }
}
