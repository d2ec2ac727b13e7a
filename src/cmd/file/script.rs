//! What a text is written in: scripts by `#!`, JSON, XML, HTML, SVG, YAML.

use serde::de::IgnoredAny;

use crate::out::name::escape;

/// What a text is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A document of some format.
    Document(String),
    /// A program.
    Script(String),
    /// Data whose encoding is always the same.
    Data(String),
}

/// Interpreters that have names of their own.
const INTERPRETERS: [(&str, &str, &str); 16] = [
    ("sh", "POSIX shell", "text/x-shellscript"),
    ("dash", "POSIX shell", "text/x-shellscript"),
    ("ash", "Neil Brown's ash", "text/x-shellscript"),
    ("bash", "Bourne-Again shell", "text/x-shellscript"),
    ("zsh", "Paul Falstad's zsh", "text/x-shellscript"),
    ("ksh", "Korn shell", "text/x-shellscript"),
    ("tcsh", "Tenex C shell", "text/x-shellscript"),
    ("csh", "C shell", "text/x-shellscript"),
    ("python", "Python", "text/x-script.python"),
    ("perl", "Perl", "text/x-perl"),
    ("ruby", "Ruby", "text/x-ruby"),
    ("node", "Node.js", "application/javascript"),
    ("php", "PHP", "text/x-php"),
    ("awk", "awk", "text/x-awk"),
    ("lua", "Lua", "text/x-lua"),
    ("tclsh", "Tcl/Tk", "text/x-tcl"),
];

/// What it is written in, and its MIME type.
pub fn written_in(text: &[u8], is_whole: bool) -> (Option<Kind>, &'static str) {
    if let Some(rest) = text.strip_prefix(b"#!") {
        return script(rest);
    }
    let begin = text.trim_ascii_start();
    let begin = begin.get(..begin.len().min(4096)).unwrap_or_default().to_ascii_lowercase();
    let has = |words: &[u8]| begin.windows(words.len()).any(|window| window == words);
    if begin.starts_with(b"<?xml") || begin.starts_with(b"<svg") {
        if has(b"<svg") {
            return (Some(Kind::Document("SVG Scalable Vector Graphics image".into())), "image/svg+xml");
        }
        if has(b"<!doctype html") || has(b"<html") {
            return (Some(Kind::Document("XHTML document".into())), "text/html");
        }
        let version = if has(b"version=\"1.1\"") { "1.1" } else { "1.0" };
        return (Some(Kind::Document(format!("XML {version} document"))), "text/xml");
    }
    if begin.starts_with(b"<!doctype html") || begin.starts_with(b"<html") || begin.starts_with(b"<head") {
        return (Some(Kind::Document("HTML document".into())), "text/html");
    }
    if let Some((name, mime)) = json(text, is_whole) {
        return (Some(Kind::Data(name.to_owned())), mime);
    }
    if begin.starts_with(b"%yaml")
        || (begin.starts_with(b"---\n") && is_key(begin.get(4..).unwrap_or_default()))
    {
        return (Some(Kind::Document("YAML document".into())), "application/yaml");
    }
    (None, "text/plain")
}

/// Whether a line begins as a mapping or a list of YAML does.
fn is_key(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first =
        lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(b"#")).unwrap_or_default();
    first.starts_with(b"- ") || first.ends_with(b":") || first.windows(2).any(|pair| pair == b": ")
}

/// JSON, or one value of JSON a line.
fn json(text: &[u8], is_whole: bool) -> Option<(&'static str, &'static str)> {
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
        return None;
    }
    let mut values = 0;
    for value in serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>() {
        match value {
            Ok(_) => values += 1,
            // The rest of it was not read.
            Err(error) if error.is_eof() && !is_whole => values += 1,
            Err(_) => return None,
        }
    }
    match values {
        0 => None,
        1 => Some(("JSON text data", "application/json")),
        _ => Some(("New Line Delimited JSON text data", "application/x-ndjson")),
    }
}

fn script(line: &[u8]) -> (Option<Kind>, &'static str) {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let line = line.get(..line.len().min(200)).unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let interpreter = words.next().unwrap_or_default();
    let base = |path: &[u8]| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    let mut name = base(interpreter);
    if name == "env" {
        let program = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
        name = base(program.unwrap_or_default());
    }
    // python3.11 is a python, gawk is an awk.
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let plain = if matches!(plain, "gawk" | "mawk" | "nawk") { "awk" } else { plain };
    let line = escape(line);
    match INTERPRETERS.iter().find(|(known, ..)| *known == plain) {
        Some((_, language, mime)) => (Some(Kind::Script(format!("{language} script ({line})"))), mime),
        None => (Some(Kind::Script(format!("a {line} script"))), "text/plain"),
    }
}
