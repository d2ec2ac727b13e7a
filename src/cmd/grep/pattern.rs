//! POSIX patterns, basic and extended with GNU's additions, put into the syntax of crate regex.
//!
//! The grammar is that of regex(7) and of GNU grep's manual; what is literal where, is as in GNU's dfa.c.

use super::bracket;
use super::interval::{MOST_REPEATS, count, interval, is_empty_interval, too_big};

/// How a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Operators with a backslash: `\(a\|b\)\{2\}`.
    Basic,
    /// As basic, with `+` and `?`, and without intervals: what find's -regex takes.
    Emacs,
    /// Operators without: `(a|b){2}`.
    Extended,
    /// No operators.
    Fixed,
}

/// For what text a pattern is put.
#[derive(Debug, Clone, Copy)]
pub struct Flavour {
    /// Characters are those of UTF-8; else each byte is one.
    pub unicode: bool,
    /// What ends a line; no pattern matches it.
    pub end: u8,
    /// Groups are counted, for back-references: in crate fancy-regex's syntax. Without, those are refused.
    pub counts_groups: bool,
}

/// Groups in one another.
const MOST_GROUPS: usize = 200;

/// A pattern in crate regex's syntax.
#[derive(Debug, PartialEq, Eq)]
pub struct Put {
    /// The pattern.
    pub text: String,
    /// Whether it means something else for bytes than for characters.
    pub depends: bool,
    /// Whether it has back-references.
    pub refers: bool,
}

/// Puts one pattern.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn put(pattern: &[u8], syntax: Syntax, flavour: Flavour) -> Result<Put, String> {
    let mut putting = Putting {
        rest: pattern,
        basic: matches!(syntax, Syntax::Basic | Syntax::Emacs),
        emacs: syntax == Syntax::Emacs,
        flavour,
        groups: vec![Group::default()],
        closed: 0,
        depends: false,
        refers: false,
    };
    if syntax == Syntax::Fixed {
        while !putting.rest.is_empty() {
            putting.literal();
        }
    } else {
        // What is meant as a bracket expression, but lacks the outer brackets.
        if let [b'[', b':', .., b':', b']'] = pattern
            && pattern.iter().filter(|byte| **byte == b']').count() == 1
        {
            return Err("character class syntax is [[:space:]], not [:space:]".to_owned());
        }
        putting.all()?;
    }
    let (depends, refers) = (putting.depends, putting.refers);
    match putting.groups.pop() {
        Some(group) if putting.groups.is_empty() => Ok(Put { text: group.whole(), depends, refers }),
        _ => Err("unmatched ( or \\(".to_owned()),
    }
}

/// One piece of a branch.
struct Piece {
    text: String,
    /// It matches a place, no text.
    is_place: bool,
    /// It is repeated without a bound already.
    is_starred: bool,
}

/// A group that is open: its branches before the last `|`, and the pieces of the one that is read.
#[derive(Default)]
struct Group {
    branches: String,
    pieces: Vec<Piece>,
}

impl Group {
    fn branch(&mut self) {
        for piece in self.pieces.drain(..) {
            self.branches.push_str(&piece.text);
        }
    }

    fn whole(mut self) -> String {
        self.branch();
        self.branches
    }
}

struct Putting<'a> {
    rest: &'a [u8],
    basic: bool,
    emacs: bool,
    flavour: Flavour,
    groups: Vec<Group>,
    /// Groups that were closed.
    closed: usize,
    depends: bool,
    refers: bool,
}

impl Putting<'_> {
    fn all(&mut self) -> Result<(), String> {
        while let Some((&byte, rest)) = self.rest.split_first() {
            match (byte, rest.first()) {
                (b'\\', None) => return Err("trailing backslash".to_owned()),
                (b'\\', Some(&escaped)) => {
                    self.rest = &rest[1..];
                    self.escaped(escaped)?;
                }
                (b'(', _) if !self.basic => self.operator(1, Self::open)?,
                (b')', _) if !self.basic && self.groups.len() > 1 => self.operator(1, Self::close)?,
                (b'|', _) if !self.basic => self.operator(1, Self::or)?,
                (b'^', _) if !self.basic || self.at_start() => {
                    self.rest = rest;
                    self.place("^");
                }
                (b'$', _) if !self.basic || matches!(rest, [] | [b'\\', b')' | b'|', ..]) => {
                    self.rest = rest;
                    self.place("$");
                }
                (b'.', _) => {
                    self.rest = rest;
                    self.depends = true;
                    let any = self.none_of("");
                    self.atom(any);
                }
                (b'[', _) => {
                    let put = bracket::put(rest, self.flavour)?;
                    self.rest = put.rest;
                    self.depends |= put.depends;
                    self.atom(put.text);
                }
                (b'*', _) if !(self.basic && self.only_places()) => self.repeat(rest, "*"),
                (b'+', _) if !self.basic || (self.emacs && !self.only_places()) => self.repeat(rest, "+"),
                (b'?', _) if !self.basic || (self.emacs && !self.only_places()) => self.repeat(rest, "?"),
                (b'{', _) if !self.basic => match interval(rest, false) {
                    Some((_, Some(most), _)) if most > MOST_REPEATS => return Err(too_big()),
                    Some((least, _, _)) if least > MOST_REPEATS => return Err(too_big()),
                    Some((least, most, rest)) => self.repeat(rest, &count(least, most)),
                    None if is_empty_interval(rest) => return Err("invalid content of \\{\\}".to_owned()),
                    None => self.literal(),
                },
                _ => self.literal(),
            }
        }
        Ok(())
    }

    /// What follows a backslash.
    fn escaped(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'(' if self.basic => self.open(),
            b')' if self.basic && self.groups.len() == 1 => Err("unmatched ) or \\)".to_owned()),
            b')' if self.basic => self.close(),
            b'|' if self.basic => self.or(),
            b'+' | b'?' if self.basic && !self.emacs && !self.only_places() => {
                let rest = self.rest;
                self.repeat(rest, if byte == b'+' { "+" } else { "?" });
                Ok(())
            }
            b'{' if self.basic && !self.emacs && !self.only_places() => {
                let rest = self.rest;
                match interval(rest, true) {
                    Some((_, Some(most), _)) if most > MOST_REPEATS => Err(too_big()),
                    Some((least, _, _)) if least > MOST_REPEATS => Err(too_big()),
                    Some((least, most, rest)) => {
                        self.repeat(rest, &count(least, most));
                        Ok(())
                    }
                    None if !rest.windows(2).any(|two| two == b"\\}") => Err("unmatched \\{".to_owned()),
                    None => Err("invalid content of \\{\\}".to_owned()),
                }
            }
            b'1'..=b'9' if !self.flavour.counts_groups => {
                Err(format!("back-references are not supported: \\{}", char::from(byte)))
            }
            b'1'..=b'9' if usize::from(byte - b'0') > self.closed => Err("invalid back-reference".to_owned()),
            b'1'..=b'9' => {
                self.refers = true;
                // A digit that follows is one of the text.
                self.atom(format!("(?:\\{})", char::from(byte)));
                Ok(())
            }
            b'<' => self.word_place("\\b{start}"),
            b'>' => self.word_place("\\b{end}"),
            b'b' => self.word_place("\\b"),
            b'B' => self.word_place("\\B"),
            b'`' => {
                self.place("^");
                Ok(())
            }
            b'\'' => {
                self.place("$");
                Ok(())
            }
            b'w' | b'W' | b's' | b'S' => {
                self.depends = true;
                let space = if self.flavour.end == b'\n' { "\\t\\x0b\\x0c\\r " } else { "\\s" };
                let word = "\\w";
                let text = match byte {
                    b'w' => format!("[{word}]"),
                    b'W' => self.none_of(word),
                    b's' if self.flavour.end == b'\n' && self.flavour.unicode => "[\\s--\\n]".to_owned(),
                    b's' => format!("[{space}]"),
                    _ => self.none_of("\\s"),
                };
                self.atom(text);
                Ok(())
            }
            other => {
                self.atom(literal_byte(other));
                Ok(())
            }
        }
    }

    /// A class of all but these, and but the end of a line.
    fn none_of(&self, items: &str) -> String {
        format!("[^{items}\\x{:02x}]", self.flavour.end)
    }

    fn operator(&mut self, length: usize, act: fn(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.rest = &self.rest[length..];
        act(self)
    }

    fn open(&mut self) -> Result<(), String> {
        if self.groups.len() > MOST_GROUPS {
            return Err(format!("more than {MOST_GROUPS} groups in one another"));
        }
        self.groups.push(Group::default());
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let group = self.groups.pop().map(Group::whole).unwrap_or_default();
        self.closed += 1;
        self.atom(format!("({}{group})", if self.flavour.counts_groups { "" } else { "?:" }));
        Ok(())
    }

    fn or(&mut self) -> Result<(), String> {
        if let Some(group) = self.groups.last_mut() {
            group.branch();
            group.branches.push('|');
        }
        Ok(())
    }

    fn add(&mut self, text: String, is_place: bool) {
        if let Some(group) = self.groups.last_mut() {
            group.pieces.push(Piece { text, is_place, is_starred: false });
        }
    }

    fn atom(&mut self, text: String) {
        self.add(text, false);
    }

    fn place(&mut self, text: &str) {
        self.add(text.to_owned(), true);
    }

    fn word_place(&mut self, text: &str) -> Result<(), String> {
        self.depends = true;
        self.place(text);
        Ok(())
    }

    /// The head of the pattern as itself: one character, or one byte that is none.
    fn literal(&mut self) {
        let length = character_length(self.rest);
        let (character, rest) = self.rest.split_at(length);
        self.rest = rest;
        match std::str::from_utf8(character) {
            // To crate fancy-regex an escape below 256 is a byte.
            Ok(text) if length > 1 && self.flavour.counts_groups => self.atom(text.to_owned()),
            Ok(text) if length > 1 && self.flavour.unicode => {
                let code = text.chars().next().map_or(0, u32::from);
                self.atom(format!("\\x{{{code:x}}}"));
            }
            _ if length > 1 => {
                let bytes: String = character.iter().map(|byte| literal_byte(*byte)).collect();
                self.atom(format!("(?:{bytes})"));
            }
            _ => {
                let text = literal_byte(character[0]);
                let is_byte = character[0] >= 0x80 && !self.flavour.counts_groups;
                self.atom(if is_byte { format!("(?-u:{text})") } else { text });
            }
        }
    }

    /// Nothing but places since the start of the branch.
    fn only_places(&self) -> bool {
        self.groups.last().is_none_or(|group| group.pieces.iter().all(|piece| piece.is_place))
    }

    fn at_start(&self) -> bool {
        self.groups.last().is_none_or(|group| group.pieces.is_empty())
    }

    /// Repeats the piece before; nothing, where there is none.
    fn repeat(&mut self, rest_from: &[u8], how: &str) {
        let used = self.rest.len() - rest_from.len();
        self.rest = &self.rest[used..];
        let Some(piece) = self.groups.last_mut().and_then(|group| group.pieces.last_mut()) else { return };
        if piece.is_starred && how.len() == 1 {
            return;
        }
        piece.text = format!("(?:{}){how}", piece.text);
        piece.is_starred = how == "*";
    }
}

/// One byte as itself.
pub fn literal_byte(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
}

/// The length of the UTF-8 character at the head; 1 where there is none.
pub fn character_length(bytes: &[u8]) -> usize {
    let head = &bytes[..bytes.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, syntax: Syntax, line: &str, unicode: bool) -> Result<bool, String> {
        let put = put(pattern.as_bytes(), syntax, Flavour { unicode, end: b'\n', counts_groups: false })?;
        let regex = regex::bytes::RegexBuilder::new(&put.text)
            .unicode(unicode)
            .multi_line(true)
            .build()
            .unwrap_or_else(|error| panic!("{pattern}: {}: {error}", put.text));
        Ok(regex.is_match(line.as_bytes()))
    }

    #[test]
    fn basic_and_extended_patterns_match_as_in_gnu_grep() {
        use Syntax::{Basic, Extended, Fixed};
        for (syntax, pattern, yes, no) in [
            (Basic, "a\\|b", &["xa", "b"][..], &["c", "|"][..]),
            (Basic, "a|b", &["a|b"], &["a", "b"]),
            (Basic, "ab\\+c", &["abbc"], &["ac", "ab+c"]),
            (Basic, "ab+c", &["ab+c"], &["abbc"]),
            (Basic, "ab\\?c", &["ac", "abc"], &["abbc"]),
            (Basic, "^a\\{2\\}$", &["aa"], &["a", "aaa", "a{2}"]),
            (Basic, "a{2}", &["a{2}"], &["aa"]),
            (Basic, "^\\(ab\\)*$", &["", "abab"], &["aba"]),
            (Basic, "*a", &["*a"], &["a"]),
            (Basic, "^*a", &["*a"], &["a", "x*a"]),
            (Basic, "\\(*a\\)", &["*a"], &["a"]),
            (Basic, "x\\|*a", &["*a", "x"], &["a"]),
            (Basic, "\\+a", &["+a"], &["a"]),
            (Basic, "a^b", &["a^b"], &["ab"]),
            (Basic, "a$b", &["a$b"], &["ab"]),
            (Basic, "\\(^a\\)", &["ab"], &["ba"]),
            (Basic, "\\(a$\\)", &["ba"], &["ab"]),
            (Basic, "a**", &["", "b"], &[]),
            (Basic, "[a-c]x", &["bx"], &["dx", "-x"]),
            (Basic, "[]x]y", &["]y", "xy"], &["y"]),
            (Basic, "[^]x]y", &["ay"], &["]y", "xy"]),
            (Basic, "[a-]", &["-", "a"], &["b"]),
            (Basic, "[\\n]x", &["\\x", "nx"], &["\nx", "ax"]),
            (Basic, "[[:alpha:]_][[:digit:]]", &["_1", "z9"], &["11", "a"]),
            (Basic, "^[^a]$", &["b"], &["a", "\n"]),
            (Basic, "[[.-.]]x", &["-x"], &["x"]),
            (Basic, "[[=a=]b]x", &["ax", "bx"], &["=x"]),
            (Basic, "\\<in\\>", &["an in it"], &["inn", "bin"]),
            (Basic, "\\bin\\b", &["in"], &["inn"]),
            (Basic, "\\Bin", &["bin"], &["in"]),
            (Basic, "a\\wb", &["a_b"], &["a b"]),
            (Basic, "a\\Wb", &["a-b"], &["axb"]),
            (Basic, "a\\sb", &["a b", "a\tb"], &["a\nb", "ab"]),
            (Basic, "a\\Sb", &["axb"], &["a b"]),
            (Basic, "a\\.b", &["a.b"], &["axb"]),
            (Basic, "\\`a\\'", &["a"], &["ba"]),
            (Basic, "a\\{1,2\\}b", &["ab", "aab"], &["b"]),
            (Basic, "xa\\{,3\\}b", &["xb", "xaaab"], &["xaaaab"]),
            (Extended, "(a|b){2}", &["ab", "bb"], &["a"]),
            (Extended, "^a{,3}$", &["", "aaa"], &["aaaa"]),
            (Extended, "^a{2,}$", &["aa", "aaaa"], &["a"]),
            (Extended, "a{1", &["a{1"], &["a"]),
            (Extended, "a{1a}", &["a{1a}"], &["a"]),
            (Extended, "{1}a", &["a"], &["b"]),
            (Extended, "*a", &["a"], &["b"]),
            (Extended, "(*a|+b)", &["a", "b"], &["c"]),
            (Extended, "a+?b", &["aab", "b"], &[]),
            (Extended, "a\\+b", &["a+b"], &["aab"]),
            (Extended, "a\\{2}", &["a{2}"], &["aa"]),
            (Extended, "()b", &["b"], &["a"]),
            (Extended, "a||b", &["", "c"], &[]),
            (Extended, "a)", &["a)"], &["a"]),
            (Extended, "a^b", &[], &["a^b", "ab"]),
            (Extended, "^*b", &["ab"], &["a"]),
            (Fixed, "a.b*", &["a.b*"], &["axb"]),
            (Fixed, "\\", &["\\"], &["/"]),
            (Basic, "é*x", &["x", "ééx"], &["é"]),
            (Basic, "", &["", "a"], &[]),
        ] {
            for unicode in [false, true] {
                for line in yes {
                    assert_eq!(matches(pattern, syntax, line, unicode), Ok(true), "{pattern} {line}");
                }
                for line in no {
                    assert_eq!(matches(pattern, syntax, line, unicode), Ok(false), "{pattern} {line}");
                }
            }
        }
    }

    #[test]
    fn characters_are_those_of_utf8_where_that_is_asked_for() {
        for (pattern, line, unicode, matched) in [
            ("^.$", "é", true, true),
            ("^.$", "é", false, false),
            ("^[é]$", "é", true, true),
            ("^[^a]$", "é", true, true),
            ("\\w", "é", true, true),
            ("\\w", "é", false, false),
            ("[à-ü]", "é", true, true),
            ("^[[:alpha:]]$", "é", true, true),
            ("[[:alpha:]]", "1", true, false),
        ] {
            assert_eq!(matches(pattern, Syntax::Basic, line, unicode), Ok(matched), "{pattern} {line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_said() {
        use Syntax::{Basic, Extended};
        for (syntax, pattern, words) in [
            (Basic, "\\(a", "unmatched ( or \\("),
            (Basic, "a\\)", "unmatched ) or \\)"),
            (Extended, "(a", "unmatched ( or \\("),
            (Basic, "a\\", "trailing backslash"),
            (Basic, "\\(a\\)\\1", "back-references are not supported: \\1"),
            (Basic, "[a", "unmatched [, [^, [:, [., or [="),
            (Basic, "[b-a]", "invalid range end"),
            (Basic, "a[1-3-5]c", "invalid range end"),
            (Basic, "[[:digit:]-z]", "invalid range end"),
            (Extended, "a{2,1}", "invalid content of \\{\\}"),
            (Extended, "a{}", "invalid content of \\{\\}"),
            (Basic, "[[:foo:]]", "invalid character class name"),
            (Basic, "[:space:]", "character class syntax is [[:space:]], not [:space:]"),
            (Basic, "a\\{1", "unmatched \\{"),
            (Basic, "a\\{x\\}", "invalid content of \\{\\}"),
            (Basic, "a\\{2,1\\}", "invalid content of \\{\\}"),
            (Extended, "a{1,99999}", "the regular expression is too big"),
        ] {
            assert_eq!(matches(pattern, syntax, "", false), Err(words.to_owned()), "{pattern}");
        }
        assert!(matches(&"(".repeat(5000), Extended, "", false).is_err());
    }
}
