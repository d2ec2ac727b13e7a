//! Bracket expressions of POSIX patterns.

use super::pattern::{Flavour, character_length};

/// A bracket expression in crate regex's syntax.
pub struct Put<'a> {
    /// The class.
    pub text: String,
    /// What follows it in the pattern.
    pub rest: &'a [u8],
    /// Whether it means something else for bytes than for characters.
    pub depends: bool,
}

/// One end of a range, or a class of its own.
enum Item {
    Code(u32),
    /// A byte that is no character: in brackets it matches nothing.
    Nothing,
    Class(&'static str),
}

/// Puts what follows a `[`.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn put(after: &[u8], flavour: Flavour) -> Result<Put<'_>, String> {
    let (negated, mut rest) = match after.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, after),
    };
    let (mut items, mut depends, mut first) = (String::new(), negated, true);
    loop {
        match rest.split_first() {
            None => return Err("unmatched [, [^, [:, [., or [=".to_owned()),
            Some((b']', after)) if !first => {
                rest = after;
                break;
            }
            Some((b'-', [next, ..])) if !first && *next != b']' => return Err("invalid range end".to_owned()),
            Some(_) => {}
        }
        first = false;
        let (item, after) = item(rest, flavour)?;
        rest = after;
        let low = match item {
            Item::Class(class) => {
                depends = true;
                items.push_str(class);
                continue;
            }
            Item::Nothing => continue,
            Item::Code(code) => code,
        };
        depends |= low >= 0x80;
        let high = match rest {
            [b'-', next, ..] if *next != b']' => {
                let (item, after) = self::item(&rest[1..], flavour)?;
                rest = after;
                match item {
                    Item::Code(high) => high,
                    Item::Class(_) | Item::Nothing => return Err("invalid range end".to_owned()),
                }
            }
            _ => low,
        };
        if high < low {
            return Err("invalid range end".to_owned());
        }
        depends |= high >= 0x80;
        items.push_str(&range(low, high, flavour));
    }
    let end = format!("\\x{:02x}", flavour.end);
    let text = match (negated, items.is_empty()) {
        (true, _) => format!("[^{items}{end}]"),
        (false, true) => "[^\\x00-\\x{10ffff}]".to_owned(),
        (false, false) => format!("[[{items}]--[{end}]]"),
    };
    Ok(Put { text, rest, depends })
}

fn range(low: u32, high: u32, flavour: Flavour) -> String {
    let code = |code: u32| {
        if flavour.unicode { format!("\\x{{{code:x}}}") } else { format!("\\x{:02x}", code.min(0xff)) }
    };
    if flavour.unicode && (0xd800..0xe000).contains(&low) {
        return String::new();
    }
    if low == high { code(low) } else { format!("{}-{}", code(low), code(high)) }
}

/// The item at the head: a character, `[:class:]`, `[.x.]` or `[=x=]`.
fn item(text: &[u8], flavour: Flavour) -> Result<(Item, &[u8]), String> {
    let unmatched = || "unmatched [, [^, [:, [., or [=".to_owned();
    if let [b'[', kind @ (b':' | b'.' | b'='), inner @ ..] = text {
        let close = [*kind, b']'];
        let length = inner.windows(2).position(|two| two == close).ok_or_else(unmatched)?;
        let (name, rest) = (&inner[..length], &inner[length + 2..]);
        if *kind == b':' {
            let class = class(name, flavour).ok_or_else(|| "invalid character class name".to_owned())?;
            return Ok((Item::Class(class), rest));
        }
        if name.is_empty() || character(name, flavour).1 != name.len() {
            return Err("invalid collation character".to_owned());
        }
        return Ok((character(name, flavour).0.map_or(Item::Nothing, Item::Code), rest));
    }
    if text.is_empty() {
        return Err(unmatched());
    }
    let (code, length) = character(text, flavour);
    Ok((code.map_or(Item::Nothing, Item::Code), &text[length..]))
}

/// The first character, none for a byte that is not UTF-8, and its length.
fn character(text: &[u8], flavour: Flavour) -> (Option<u32>, usize) {
    if !flavour.unicode {
        return (Some(u32::from(text[0])), 1);
    }
    let length = character_length(text);
    let character = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.chars().next());
    (character.map(u32::from), length)
}

/// A class by its name. Beyond ASCII, letters are what `\w` has but for digits; upper and lower case are not told apart.
fn class(name: &[u8], flavour: Flavour) -> Option<&'static str> {
    Some(match (name, flavour.unicode) {
        (b"alpha", true) => "[\\w--[\\d_]]",
        (b"alnum", true) => "[\\w--_]",
        (b"space", true) => "\\s",
        (b"punct", true) => "[:punct:]",
        (b"print", true) => "[^\\x00-\\x1f\\x7f-\\x{9f}]",
        (b"graph", true) => "[[^\\x00-\\x20\\x7f-\\x{9f}]--\\s]",
        (b"alpha", _) => "[:alpha:]",
        (b"alnum", _) => "[:alnum:]",
        (b"space", _) => "[:space:]",
        (b"digit", _) => "0-9",
        (b"upper", _) => "A-Z",
        (b"lower", _) => "a-z",
        (b"blank", _) => " \\t",
        (b"cntrl", _) => "[:cntrl:]",
        (b"punct", _) => "[:punct:]",
        (b"print", _) => "[:print:]",
        (b"graph", _) => "[:graph:]",
        (b"xdigit", _) => "0-9A-Fa-f",
        _ => return None,
    })
}
