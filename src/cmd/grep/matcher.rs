//! The patterns of a search as one regular expression, run over blocks of whole lines.

use std::cell::RefCell;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::backtrack::Backtracking;
use super::pattern::{Flavour, Syntax, put};

/// The largest program of a regular expression.
pub const SIZE: usize = 64 << 20;

/// What all patterns together are matched with.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// How the patterns are written.
    pub syntax: Syntax,
    /// They are written as in Perl instead.
    pub perl: bool,
    /// Letters of both cases are the same.
    pub ignore_case: bool,
    /// A match is whole words.
    pub word: bool,
    /// A match is a whole line.
    pub line: bool,
    /// What ends a line.
    pub end: u8,
}

/// Patterns that are ready to be searched for.
pub enum Matcher {
    /// In time linear in the text.
    Linear(Box<Linear>),
    /// Those that can't be matched so.
    Backtracking(Backtracking),
}

/// Patterns for crate regex.
pub struct Linear {
    /// For text that is ASCII.
    bytes: Regex,
    /// For other text, where that makes a difference. Bytes that are not UTF-8 match nothing but themselves.
    characters: Option<Regex>,
    /// Whether there is a pattern at all.
    any: bool,
    longest: Option<Longest>,
}

/// Finds where the longest match ends that begins at a place: crate regex prefers the first alternative instead.
struct Longest {
    bytes: (DFA, RefCell<Cache>),
    characters: Option<(DFA, RefCell<Cache>)>,
}

/// Searches one block of whole lines.
pub enum Block<'a> {
    /// By this one, if there is a pattern.
    Linear(Option<&'a Regex>),
    /// Line by line.
    Backtracking(&'a Backtracking),
}

impl Block<'_> {
    /// A place in the first line at or after `from`, itself the start of a line, that matches.
    pub fn find(&self, block: &[u8], from: usize) -> Option<usize> {
        let regex = match self {
            Self::Linear(regex) => regex.filter(|_| from < block.len())?,
            Self::Backtracking(patterns) => return patterns.find(block, from),
        };
        let at = regex.shortest_match_at(block, from)?;
        // Behind the end of the last line there is none.
        (at < block.len()).then_some(at)
    }
}

impl Matcher {
    /// Makes patterns ready; `spans` says that ends of matches will be asked for.
    ///
    /// # Errors
    /// A sentence that says what is wrong with a pattern.
    pub fn new(patterns: &[Vec<u8>], how: How, spans: bool) -> Result<Self, String> {
        if Backtracking::is_needed(patterns, how) {
            return Backtracking::new(patterns, how).map(Self::Backtracking);
        }
        Linear::new(patterns, how, spans).map(|linear| Self::Linear(Box::new(linear)))
    }

    /// Readies the search of a block of whole lines.
    pub fn block(&self, block: &[u8]) -> Block<'_> {
        match self {
            Self::Linear(linear) => Block::Linear(linear.any.then(|| linear.regex(block))),
            Self::Backtracking(patterns) => Block::Backtracking(patterns),
        }
    }

    /// The first match in a line, without its end, at or after `from`: the longest of those that begin first.
    pub fn span(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Self::Linear(linear) => linear.span(line, from),
            Self::Backtracking(patterns) => patterns.span(line, from),
        }
    }

    /// Begins a file.
    pub fn begin(&self) {
        if let Self::Backtracking(patterns) = self {
            patterns.begin();
        }
    }

    /// Whether a line of the file took too many steps: it is searched no further.
    pub fn gave_up(&self) -> bool {
        matches!(self, Self::Backtracking(patterns) if patterns.gave_up())
    }
}

impl Linear {
    fn new(patterns: &[Vec<u8>], how: How, spans: bool) -> Result<Self, String> {
        let (text, mut depends) = whole(patterns, how, false)?;
        // The long s is a case variant of an ASCII letter.
        depends |= how.ignore_case
            && !patterns.iter().flatten().all(|byte| byte.is_ascii() && !b"sS".contains(byte));
        let bytes = build(&text, how, false)?;
        let mut longest =
            if spans { Some(Longest { bytes: dfa(&text, how, false)?, characters: None }) } else { None };
        let mut characters = None;
        if depends {
            let (text, _) = whole(patterns, how, true)?;
            characters = Some(build(&text, how, true)?);
            if let Some(longest) = &mut longest {
                longest.characters = Some(dfa(&text, how, true)?);
            }
        }
        Ok(Self { bytes, characters, any: !patterns.is_empty(), longest })
    }

    /// The expression for this text: the one for bytes serves ASCII alone, and is faster there.
    fn regex(&self, text: &[u8]) -> &Regex {
        match &self.characters {
            Some(characters) if !text.is_ascii() => characters,
            _ => &self.bytes,
        }
    }

    fn span(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        if !self.any {
            return None;
        }
        let found = self.regex(line).find_at(line, from)?;
        let (start, end) = (found.start(), found.end());
        let Some(longest) = &self.longest else { return Some((start, end)) };
        let (dfa, cache) = match (&self.characters, &longest.characters) {
            (Some(characters), Some(longest)) if std::ptr::eq(characters, self.regex(line)) => longest,
            _ => &longest.bytes,
        };
        let input = Input::new(line).range(start..).anchored(Anchored::Yes);
        // It gives up only on word boundaries beyond ASCII.
        match dfa.try_search_fwd(&mut cache.borrow_mut(), &input) {
            Ok(Some(half)) => Some((start, half.offset().max(end))),
            _ => Some((start, end)),
        }
    }
}

/// All patterns as one, and whether it depends on what a character is.
fn whole(patterns: &[Vec<u8>], how: How, unicode: bool) -> Result<(String, bool), String> {
    let flavour = Flavour { unicode, end: how.end, counts_groups: false };
    let (mut text, mut depends) = (String::new(), how.word);
    for (at, pattern) in patterns.iter().enumerate() {
        let put = put(pattern, how.syntax, flavour)?;
        if at > 0 {
            text.push('|');
        }
        text.push_str(&put.text);
        depends |= put.depends;
    }
    if how.line {
        text = format!("^(?:{text})$");
    } else if how.word {
        // The halves match nowhere beside a byte that is not UTF-8, the others do.
        text = if unicode {
            format!("(?:\\b{{start-half}}|\\b{{start}})(?:{text})(?:\\b{{end-half}}|\\b{{end}})")
        } else {
            format!("\\b{{start-half}}(?:{text})\\b{{end-half}}")
        };
    }
    Ok((text, depends))
}

fn build(text: &str, how: How, unicode: bool) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .unicode(unicode)
        .case_insensitive(how.ignore_case)
        .multi_line(true)
        .line_terminator(how.end)
        .size_limit(SIZE)
        .dfa_size_limit(SIZE)
        .nest_limit(1000)
        .build()
        .map_err(|error| sentence(&error))
}

fn sentence(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too big".to_owned(),
        other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
    }
}

fn dfa(text: &str, how: How, unicode: bool) -> Result<(DFA, RefCell<Cache>), String> {
    let syntax = syntax::Config::new()
        .unicode(unicode)
        .utf8(false)
        .case_insensitive(how.ignore_case)
        .multi_line(true)
        .line_terminator(how.end)
        .nest_limit(1000);
    let dfa = DFA::builder()
        .syntax(syntax)
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE)))
        .configure(
            DFA::config()
                .match_kind(MatchKind::All)
                .unicode_word_boundary(true)
                .skip_cache_capacity_check(true)
                .cache_capacity(8 << 20),
        )
        .build(text)
        .map_err(|_| "the regular expression is too big".to_owned())?;
    let cache = RefCell::new(dfa.create_cache());
    Ok((dfa, cache))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(patterns: &[&str], how: How) -> Matcher {
        let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
        Matcher::new(&patterns, how, true).unwrap()
    }

    const BASIC: How = How {
        syntax: Syntax::Extended,
        perl: false,
        ignore_case: false,
        word: false,
        line: false,
        end: b'\n',
    };

    #[test]
    fn the_longest_match_is_found() {
        for (patterns, line, from, span) in [
            (&["ab|abcd"][..], "xabcde", 0, Some((1, 5))),
            (&["a?(ab)?"], "ab", 0, Some((0, 2))),
            (&["ab", "abcd"], "abcd", 0, Some((0, 4))),
            (&["b*"], "abb", 1, Some((1, 3))),
            (&["x"], "abb", 0, None),
            (&["^a|b"], "aab", 1, Some((2, 3))),
            (&["é|éé."], "ééx", 0, Some((0, 5))),
        ] {
            assert_eq!(matcher(patterns, BASIC).span(line.as_bytes(), from), span, "{patterns:?} {line}");
        }
    }

    #[test]
    fn words_are_whole() {
        let word = How { word: true, ..BASIC };
        for (pattern, line, matched) in [
            ("in", "an in", true),
            ("in", "inn", false),
            ("a|ab", "x ab", true),
            ("-x", "a -x", true),
            ("in", "éin", false),
            ("in", "in\u{e9}", false),
            ("", "a", false),
            ("", " ", true),
        ] {
            let matcher = matcher(&[pattern], word);
            let block = format!("{line}\n");
            let found = matcher.block(block.as_bytes()).find(block.as_bytes(), 0);
            assert_eq!(found.is_some(), matched, "{pattern} {line}");
        }
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_no_character_and_spoils_no_other() {
        let find =
            |patterns: &[&str], how: How, block: &[u8]| matcher(patterns, how).block(block).find(block, 0);
        assert_eq!(find(&["^.$"], BASIC, b"\xff\n\xc3\xa9\n"), Some(4));
        assert_eq!(find(&["^[^a]$"], BASIC, b"\xff\n"), None);
        assert_eq!(find(&["caf. bar"], BASIC, b"caf\xc3\x89 bar\xff\n"), Some(9));
        let any_case = How { ignore_case: true, ..BASIC };
        for (pattern, block) in [("é", &b"\xc3\x89\xff\n"[..]), ("s", "\u{17f}\n".as_bytes())] {
            assert!(find(&[pattern], any_case, block).is_some(), "{pattern}");
        }
        assert_eq!(matcher(&["."], BASIC).span(b"\xff\xc3\x89", 0), Some((1, 3)));
    }
}
