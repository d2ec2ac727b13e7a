//! Patterns of file names as fnmatch(3) has them, without its flags: `*` goes over slashes and leading dots.

/// A pattern that is ready to be matched.
#[derive(Debug, Clone)]
pub struct Fnmatch {
    elements: Vec<Element>,
    fold: bool,
}

#[derive(Debug, Clone)]
enum Element {
    Byte(u8),
    /// Any one character; one byte where it is not UTF-8.
    One,
    /// Any text, or none.
    Any,
    Class(Vec<Item>, bool),
    /// What no name has: a backslash at the end.
    Never,
}

#[derive(Debug, Clone)]
enum Item {
    Range(u32, u32),
    Named(fn(char) -> bool),
}

impl Fnmatch {
    /// Makes a pattern ready; `fold` takes letters of both cases for the same.
    pub fn new(pattern: &[u8], fold: bool) -> Self {
        let folded = if fold { folded(pattern) } else { pattern.to_vec() };
        let (mut elements, mut rest) = (Vec::new(), folded.as_slice());
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            elements.push(match byte {
                b'*' if matches!(elements.last(), Some(Element::Any)) => continue,
                b'*' => Element::Any,
                b'?' => Element::One,
                b'\\' => match rest.split_first() {
                    Some((&escaped, after)) => {
                        rest = after;
                        Element::Byte(escaped)
                    }
                    None => Element::Never,
                },
                b'[' => match class(rest) {
                    Some((element, after)) => {
                        rest = after;
                        element
                    }
                    None => Element::Byte(b'['),
                },
                byte => Element::Byte(byte),
            });
        }
        Self { elements, fold }
    }

    /// Whether all of a name matches. Only the last `*` is ever gone back to, so the time is the product of both lengths
    /// at most.
    pub fn matches(&self, name: &[u8]) -> bool {
        if !self.fold {
            return matches(&self.elements, name);
        }
        matches(&self.elements, &folded(name))
    }
}

fn folded(text: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) if !text.is_ascii() => text.to_lowercase().into_bytes(),
        _ => text.to_ascii_lowercase(),
    }
}

fn matches(elements: &[Element], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        let width = match elements.get(at) {
            Some(Element::Any) => {
                if at + 1 == elements.len() {
                    return true;
                }
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some(Element::Byte(byte)) => usize::from(*byte == name[from]),
            Some(Element::One) => first(&name[from..]).1,
            Some(Element::Class(items, negated)) => {
                let (code, width) = first(&name[from..]);
                let listed = items.iter().any(|item| match item {
                    Item::Range(low, high) => (*low..=*high).contains(&code),
                    Item::Named(is) => char::from_u32(code).is_some_and(is),
                });
                if listed == *negated { 0 } else { width }
            }
            Some(Element::Never) | None => 0,
        };
        if width > 0 {
            at += 1;
            from += width;
        } else if let Some((star_at, star_from)) = star {
            at = star_at + 1;
            from = star_from + 1;
            star = Some((star_at, star_from + 1));
        } else {
            return false;
        }
    }
    elements[at..].iter().all(|element| matches!(element, Element::Any))
}

/// The first character and its width; of what is not UTF-8 a byte, numbered beyond all characters.
fn first(bytes: &[u8]) -> (u32, usize) {
    let Some(&byte) = bytes.first() else { return (0, 0) };
    if byte < 0x80 {
        return (u32::from(byte), 1);
    }
    let head = &bytes[..bytes.len().min(4)];
    match head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()) {
        Some(character) => (u32::from(character), character.len_utf8()),
        None => (0x11_0000 + u32::from(byte), 1),
    }
}

/// A bracket expression behind its `[`, and what follows it; none where it has no end.
fn class(text: &[u8]) -> Option<(Element, &[u8])> {
    let (negated, mut rest) = match text.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, text),
    };
    let (mut items, mut is_first) = (Vec::new(), true);
    loop {
        match rest {
            [b']', after @ ..] if !is_first => return Some((Element::Class(items, negated), after)),
            [b'[', b':', inner @ ..] => {
                let end = inner.windows(2).position(|two| two == b":]")?;
                items.push(Item::Named(named(&inner[..end])?));
                rest = &inner[end + 2..];
            }
            _ => {
                let (low, after) = member(rest)?;
                rest = after;
                let mut high = low;
                if let [b'-', next, ..] = rest
                    && *next != b']'
                {
                    (high, rest) = member(&rest[1..])?;
                }
                items.push(Item::Range(low, high));
            }
        }
        is_first = false;
    }
}

/// One character of a bracket expression, by itself, behind a backslash, or as `[.x.]` or `[=x=]`.
fn member(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [] => None,
        [b'[', kind @ (b'.' | b'='), rest @ ..] => {
            let (code, width) = first(rest);
            match &rest[width..] {
                [end, b']', after @ ..] if end == kind => Some((code, after)),
                _ => None,
            }
        }
        [b'\\', rest @ ..] if !rest.is_empty() => {
            let (code, width) = first(rest);
            Some((code, &rest[width..]))
        }
        _ => {
            let (code, width) = first(text);
            Some((code, &text[width..]))
        }
    }
}

fn named(name: &[u8]) -> Option<fn(char) -> bool> {
    Some(match name {
        b"alpha" => char::is_alphabetic,
        b"alnum" => char::is_alphanumeric,
        b"upper" => char::is_uppercase,
        b"lower" => char::is_lowercase,
        b"space" => char::is_whitespace,
        b"cntrl" => char::is_control,
        b"digit" => |c| c.is_ascii_digit(),
        b"xdigit" => |c| c.is_ascii_hexdigit(),
        b"blank" => |c| matches!(c, ' ' | '\t'),
        b"punct" => |c| c.is_ascii_punctuation(),
        b"print" => |c| !c.is_control(),
        b"graph" => |c| !c.is_control() && !c.is_whitespace(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_with_glibc() {
        for (pattern, yes, no) in [
            ("*", &["", "a", ".a", "a/b"][..], &[][..]),
            ("*.c", &["a.c", ".c", "a.c.c"], &["a.cc", "c"]),
            ("a?c", &["abc", "aéc"], &["ac", "abbc"]),
            ("[ab]x", &["ax"], &["cx", "x"]),
            ("[!ab]x", &["cx", "éx"], &["ax"]),
            ("[^ab]x", &["cx"], &["bx"]),
            ("[]a]x", &["]x", "ax"], &["bx"]),
            ("[a-cé-ê]", &["b", "é"], &["d", "ë"]),
            ("[[:digit:]]*", &["1a"], &["a1"]),
            ("[a-]", &["-", "a"], &["b"]),
            ("[\\]]", &["]"], &["\\"]),
            ("[[.-.]]", &["-"], &["a"]),
            ("[a", &["[a"], &["a"]),
            ("\\*", &["*"], &["a"]),
            ("a\\", &[], &["a", "a\\"]),
            ("a**b", &["ab", "axb"], &["a"]),
            ("", &[""], &["a"]),
        ] {
            for name in yes {
                assert!(Fnmatch::new(pattern.as_bytes(), false).matches(name.as_bytes()), "{pattern} {name}");
            }
            for name in no {
                assert!(
                    !Fnmatch::new(pattern.as_bytes(), false).matches(name.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
        assert!(Fnmatch::new("*É.C".as_bytes(), true).matches("xé.c".as_bytes()));
        assert!(Fnmatch::new(b"?", false).matches(b"\xff"));
    }

    #[test]
    fn stars_do_not_explode() {
        let begin = std::time::Instant::now();
        assert!(!Fnmatch::new("a*".repeat(30).as_bytes(), false).matches(&[b'b'; 5000]));
        assert!(!Fnmatch::new(("a*".repeat(30) + "b").as_bytes(), false).matches(&[b'a'; 5000]));
        assert!(begin.elapsed().as_secs() < 5);
    }
}
