//! The word at the cursor of an unfinished line, for completion.

/// What stands at the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where the word begins, in bytes; what completion replaces.
    pub start: usize,
    /// The word as far as it is typed, without its quotes.
    pub prefix: Vec<u8>,
    /// Where in the line the name of a variable begins that is being typed, behind `$` or `${`.
    pub variable: Option<usize>,
    /// The words before it in the same command, without their quotes.
    pub words: Vec<Vec<u8>>,
    /// Whether it follows a redirection, and so is a file.
    pub is_file: bool,
    /// The names of the commands before it in the same pipeline.
    pub before: Vec<Vec<u8>>,
}

/// The word at byte `position` of a line. Open quotes and unfinished escapes are taken as they stand.
pub fn word_at_cursor(line: &str, position: usize) -> Cursor {
    let bytes = line.as_bytes().get(..position).unwrap_or(line.as_bytes());
    let mut cursor = Cursor::default();
    let mut at = 0;
    let mut in_word = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' => {
                if in_word {
                    cursor.end_word();
                }
                in_word = false;
                at += 1;
                cursor.start = at;
                continue;
            }
            b'|' | b';' | b'&' => {
                // A name that stands directly before the bar is a word, too.
                if in_word {
                    cursor.end_word();
                }
                let is_pipe =
                    byte == b'|' && bytes.get(at + 1) != Some(&b'|') && !bytes[..at].ends_with(b"|");
                let mut before = if is_pipe { cursor.before } else { Vec::new() };
                before.extend(cursor.words.into_iter().next().filter(|_| is_pipe));
                at += 1;
                cursor = Cursor { start: at, before, ..Cursor::default() };
                in_word = false;
                continue;
            }
            b'<' | b'>' => {
                // A number before it belongs to the redirection.
                if in_word && !matches!(cursor.prefix.as_slice(), b"1" | b"2") {
                    cursor.end_word();
                }
                cursor.prefix.clear();
                cursor.is_file = true;
                in_word = false;
                at += 1;
                cursor.start = at;
                continue;
            }
            b'\'' => at = quoted(bytes, at + 1, b'\'', &mut cursor),
            b'"' => at = quoted(bytes, at + 1, b'"', &mut cursor),
            b'$' => {
                cursor.variable = variable(bytes, at);
                cursor.prefix.push(byte);
                at += 1;
            }
            b'\\' => {
                cursor.prefix.extend(bytes.get(at + 1));
                at += 2;
            }
            _ => {
                cursor.prefix.push(byte);
                at += 1;
            }
        }
        in_word = true;
    }
    cursor
}

/// Takes what is quoted from `at` on; returns where it goes on after the closing quote.
fn quoted(bytes: &[u8], mut at: usize, close: u8, cursor: &mut Cursor) -> usize {
    let is_double = close == b'"';
    while let Some(&byte) = bytes.get(at) {
        match byte {
            _ if byte == close => return at + 1,
            b'\\' if is_double => at += 1,
            b'$' if is_double => cursor.variable = variable(bytes, at),
            _ => {}
        }
        cursor.prefix.extend(bytes.get(at));
        at += 1;
    }
    at
}

/// Where the name of a variable begins that the `$` at `at` stands before, if the cursor is still in it.
fn variable(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at + 1..];
    let name = rest.strip_prefix(b"{").unwrap_or(rest);
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_name.then_some(bytes.len() - name.len())
}

impl Cursor {
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.prefix);
        // The file of a redirection is no argument.
        if !std::mem::take(&mut self.is_file) {
            self.words.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_and_those_before_it() {
        for (line, start, prefix, words, is_file) in [
            ("", 0, "", &[][..], false),
            ("l", 0, "l", &[], false),
            ("ls /e", 3, "/e", &["ls"], false),
            ("ls 'a b", 3, "a b", &["ls"], false),
            ("ls a\\ b", 3, "a b", &["ls"], false),
            ("ps | ca", 5, "ca", &[], false),
            ("ls; cat x ", 10, "", &["cat", "x"], false),
            ("ls > /t", 5, "/t", &["ls"], true),
            ("ls 2>/t", 5, "/t", &["ls"], true),
            ("ls > a b", 7, "b", &["ls"], false),
        ] {
            let expected = Cursor {
                variable: None,
                start,
                prefix: prefix.into(),
                words: words.iter().map(|w: &&str| w.as_bytes().to_vec()).collect(),
                is_file,
                before: Vec::new(),
            };
            let cursor = Cursor { before: Vec::new(), ..word_at_cursor(line, line.len()) };
            assert_eq!(cursor, expected, "{line}");
        }
        for (line, at) in [
            ("echo $", Some(6)),
            ("echo $HO", Some(6)),
            ("echo a${HO", Some(8)),
            ("echo \"x $HO", Some(9)),
            ("ls $A/$B", Some(7)),
            ("echo $HO/", None),
            ("echo $HO ", None),
            ("echo '$HO", None),
            ("echo \\$HO", None),
            ("echo \"\\$HO", None),
            ("echo $'a", None),
        ] {
            assert_eq!(word_at_cursor(line, line.len()).variable, at, "{line}");
        }
        for (line, before) in
            [("ps -f | where x | sel", "ps where"), ("ps|w", "ps"), ("ls; ps || x", ""), ("a && b | c", "b")]
        {
            let names: Vec<&str> = before.split(' ').filter(|name| !name.is_empty()).collect();
            let names: Vec<Vec<u8>> = names.into_iter().map(Into::into).collect();
            assert_eq!(word_at_cursor(line, line.len()).before, names, "{line}");
        }
    }
}
