//! Globs: patterns, and the names that they match.

use std::fmt;
use std::io;
use std::ops::ControlFlow;

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// This byte.
    Byte(u8),
    /// Any bytes, or none.
    AnyText,
    /// Any one character (one byte where the name is not UTF-8).
    AnyByte,
    /// One byte of these ranges, or of none of them.
    Class(Vec<(u8, u8)>, bool),
}

/// A glob whose variables have their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Element>);

impl Pattern {
    /// From its elements.
    pub fn new(elements: Vec<Element>) -> Self {
        Self(elements)
    }

    /// Whether a name matches the last component: the name of what is copied by this glob.
    pub fn takes_name(&self, name: &[u8]) -> bool {
        let mut components = self.0.split(|element| *element == Element::Byte(b'/'));
        let Some(last) = components.rfind(|component| !component.is_empty()) else { return false };
        let hidden = last.first() == Some(&Element::Byte(b'.'));
        (hidden || !name.starts_with(b".")) && matches(last, name)
    }

    /// For a message between processes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for element in &self.0 {
            match element {
                Element::Byte(byte) => bytes.extend([0, *byte]),
                Element::AnyText => bytes.push(1),
                Element::AnyByte => bytes.push(2),
                Element::Class(ranges, negated) => {
                    // The parser reads at most a line's worth of ranges; what is beyond 65,535 can't match anew.
                    let count = ranges.len().min(usize::from(u16::MAX));
                    bytes.extend([3, u8::from(*negated)]);
                    bytes.extend((count as u16).to_le_bytes());
                    ranges.iter().take(count).for_each(|range| bytes.extend([range.0, range.1]));
                }
            }
        }
        bytes
    }

    /// From such a message; `None` if it is none.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut elements = Vec::new();
        while let Some((kind, rest)) = bytes.split_first() {
            bytes = rest;
            elements.push(match kind {
                0 => {
                    let (byte, rest) = bytes.split_first()?;
                    bytes = rest;
                    Element::Byte(*byte)
                }
                1 => Element::AnyText,
                2 => Element::AnyByte,
                3 => {
                    let ([negated, low, high], rest) = bytes.split_first_chunk::<3>()?;
                    let length = usize::from(u16::from_le_bytes([*low, *high])) * 2;
                    let (ranges, rest) = rest.split_at_checked(length)?;
                    bytes = rest;
                    Element::Class(ranges.chunks_exact(2).map(|r| (r[0], r[1])).collect(), *negated != 0)
                }
                _ => return None,
            });
        }
        Some(Self(elements))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        for element in &self.0 {
            match element {
                Element::Byte(byte) => bytes.push(*byte),
                Element::AnyText => bytes.push(b'*'),
                Element::AnyByte => bytes.push(b'?'),
                Element::Class(..) => bytes.extend_from_slice("[…]".as_bytes()),
            }
        }
        f.write_str(&crate::out::name::escape(&bytes))
    }
}

/// The directories in which a glob looks.
pub trait Directory {
    /// Takes the names in a directory, one after the other, until `take` breaks; the empty path is the working
    /// directory.
    ///
    /// # Errors
    /// Where it can't be listed.
    fn entries(&self, directory: &[u8], take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()>;
    /// Whether there is something by this path.
    fn exists(&self, path: &[u8]) -> bool;
    /// Whether it is a directory, links followed.
    fn is_dir(&self, path: &[u8]) -> bool;
}

/// Why a glob gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum GlobError {
    /// Nothing matches.
    NoMatch(String),
    /// More than so many names match.
    TooMany(String, usize),
    /// Names match that are longer together than [`BYTES`].
    TooLong(String),
}

/// Most bytes of all paths that match.
const BYTES: usize = 16 << 20;

/// The paths that match so far.
struct Found {
    paths: Vec<Vec<u8>>,
    bytes: usize,
    limit: usize,
}

impl Found {
    fn add(&mut self, path: Vec<u8>) -> ControlFlow<()> {
        self.bytes += path.len();
        self.paths.push(path);
        if self.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_full(&self) -> bool {
        self.paths.len() > self.limit || self.bytes > BYTES
    }
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatch(pattern) => write!(f, "no match: {pattern}"),
            Self::TooMany(pattern, limit) => write!(f, "more than {limit} names match {pattern}"),
            Self::TooLong(pattern) => {
                write!(f, "the names that match {pattern} are longer than {BYTES} bytes")
            }
        }
    }
}

/// The paths that match, in the order of their bytes. Hidden names match only where the pattern begins with a dot.
///
/// # Errors
/// Where nothing matches, or more than `limit`.
pub fn glob(pattern: &Pattern, files: &dyn Directory, limit: usize) -> Result<Vec<Vec<u8>>, GlobError> {
    let components: Vec<&[Element]> = pattern.0.split(|element| *element == Element::Byte(b'/')).collect();
    let mut paths = vec![Vec::new()];
    for (at, component) in components.iter().enumerate() {
        let last = at + 1 == components.len();
        let mut next = Found { paths: Vec::new(), bytes: 0, limit };
        for path in paths {
            step(component, &path, last, files, &mut next);
            match next.is_full() {
                true if next.bytes > BYTES => return Err(GlobError::TooLong(pattern.to_string())),
                true => return Err(GlobError::TooMany(pattern.to_string(), limit)),
                false => {}
            }
        }
        paths = next.paths;
    }
    paths.sort_unstable();
    if paths.is_empty() { Err(GlobError::NoMatch(pattern.to_string())) } else { Ok(paths) }
}

/// Continues one path by one component.
fn step(component: &[Element], path: &[u8], last: bool, files: &dyn Directory, next: &mut Found) {
    let join = |name: &[u8]| {
        let mut joined = [path, name].concat();
        if !last {
            joined.push(b'/');
        }
        joined
    };
    let literal: Option<Vec<u8>> =
        component.iter().map(|e| if let Element::Byte(byte) = e { Some(*byte) } else { None }).collect();
    if let Some(name) = literal {
        let joined = join(&name);
        // A leading or doubled slash, and what exists.
        if name.is_empty() || files.exists(&joined) {
            let _ = next.add(joined);
        }
        return;
    }
    let hidden = component.first() == Some(&Element::Byte(b'.'));
    let before = next.paths.len();
    let listed = files.entries(path, &mut |name| {
        if (hidden || !name.starts_with(b".")) && matches(component, name) {
            let joined = join(name);
            if last || files.is_dir(&joined) {
                return next.add(joined);
            }
        }
        ControlFlow::Continue(())
    });
    // A directory that can't be listed matches nothing.
    if listed.is_err() {
        next.paths.truncate(before);
    }
}

/// Whether a name matches. Only the last `*` is ever gone back to, so the time is the product of both lengths at most.
fn matches(pattern: &[Element], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let width = match pattern.get(p) {
            Some(Element::AnyText) => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(Element::Byte(byte)) if *byte == name[n] => 1,
            Some(Element::AnyByte) => character_length(&name[n..]),
            Some(Element::Class(ranges, negated)) => {
                let listed = ranges.iter().any(|(low, high)| (*low..=*high).contains(&name[n]));
                if listed == *negated {
                    0
                } else if *negated {
                    character_length(&name[n..])
                } else {
                    1
                }
            }
            _ => 0,
        };
        if width > 0 {
            p += 1;
            n += width;
        } else if let Some((at, from)) = star {
            p = at + 1;
            n = from + 1;
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|element| *element == Element::AnyText)
}

/// The length of the UTF-8 character at the head, or 1.
fn character_length(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{Expanded, Variables, expand, parse};

    struct None_;

    impl Variables for None_ {
        fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn status(&self) -> u8 {
            0
        }
    }

    fn pattern(text: &str) -> Pattern {
        let line = parse(text.as_bytes()).unwrap();
        match expand(&line.pipelines[0].1.stages[0].words[0], &None_) {
            Some(Expanded::Pattern(pattern)) => pattern,
            other => panic!("{other:?}"),
        }
    }

    /// A tree of two levels.
    struct Tree(&'static [&'static str]);

    impl Directory for Tree {
        fn entries(
            &self,
            directory: &[u8],
            take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
        ) -> io::Result<()> {
            let mut names: Vec<Vec<u8>> = self
                .0
                .iter()
                .filter_map(|path| path.as_bytes().strip_prefix(directory))
                .filter_map(|rest| rest.split(|b| *b == b'/').next().map(<[u8]>::to_vec))
                .collect();
            names.dedup();
            let _ = names.iter().try_for_each(|name| take(name));
            Ok(())
        }

        fn exists(&self, path: &[u8]) -> bool {
            let path = path.strip_suffix(b"/").unwrap_or(path);
            self.0.iter().any(|p| p.as_bytes() == path || p.as_bytes().starts_with(&[path, b"/"].concat()))
        }

        fn is_dir(&self, path: &[u8]) -> bool {
            let path = path.strip_suffix(b"/").unwrap_or(path);
            self.0.iter().any(|p| p.as_bytes().starts_with(&[path, b"/"].concat()))
        }
    }

    #[test]
    fn names_match() {
        for (glob, yes, no) in [
            ("*", &["a", "abc"][..], &["nothing else"][..0]),
            ("a*c", &["ac", "abc", "abcbc"], &["acb", "a"]),
            ("?", &["a", "é"], &["ab", ""]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[!a]*", &["b", "éx"], &["a", "ab"]),
            ("[]]", &["]"], &["["]),
            ("*.tx[t]", &["a.txt"], &["a.txx"]),
        ] {
            let pattern = pattern(glob);
            yes.iter().for_each(|name| assert!(matches(&pattern.0, name.as_bytes()), "{glob} {name}"));
            no.iter().for_each(|name| assert!(!matches(&pattern.0, name.as_bytes()), "{glob} {name}"));
            assert_eq!(Pattern::from_bytes(&pattern.to_bytes()), Some(pattern));
        }
    }

    #[test]
    fn stars_do_not_explode() {
        let text = "a*".repeat(30) + "b";
        let begin = std::time::Instant::now();
        assert!(!matches(&pattern(&text).0, &[b'a'; 5000]));
        assert!(begin.elapsed().as_secs() < 5);
    }

    #[test]
    fn paths_match_component_by_component() {
        let tree = Tree(&["etc/hosts", "etc/passwd", "home/x/.rc", "home/x/a", "init", ".hidden"]);
        let find = |glob_text: &str| {
            glob(&pattern(glob_text), &tree, 10)
                .map(|paths| paths.into_iter().map(|p| String::from_utf8(p).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(find("*").unwrap(), ["etc", "home", "init"]);
        assert_eq!(find("e*/h*").unwrap(), ["etc/hosts"]);
        assert_eq!(find("*/*/a").unwrap(), ["home/x/a"]);
        assert_eq!(find("home/x/.*").unwrap(), ["home/x/.rc"]);
        assert_eq!(find("*/").unwrap(), ["etc/", "home/"]);
        assert_eq!(find("nope*"), Err(GlobError::NoMatch("nope*".into())));
        assert_eq!(glob(&pattern("*"), &tree, 2), Err(GlobError::TooMany("*".into(), 2)));
    }

    #[test]
    fn no_message_makes_it_panic() {
        for length in 0..4u32 {
            for value in 0..(5u32.pow(length)) {
                let bytes: Vec<u8> = (0..length).map(|i| (value / 5u32.pow(i) % 5) as u8).collect();
                let _ = Pattern::from_bytes(&bytes);
            }
        }
    }
}
