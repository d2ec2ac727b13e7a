//! The patterns of a search as one regular expression, run over blocks of whole lines.

use std::cell::RefCell;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::pattern::{Flavour, Syntax, put};

/// The largest program of a regular expression.
const SIZE: usize = 64 << 20;

/// What all patterns together are matched with.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// How the patterns are written.
    pub syntax: Syntax,
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
pub struct Matcher {
    /// For text that is ASCII, or not UTF-8.
    bytes: Regex,
    /// For UTF-8 beyond ASCII, where that makes a difference.
    characters: Option<Regex>,
    /// Whether there is a pattern at all.
    any: bool,
    longest: Option<Longest>,
    end: u8,
}

/// Finds where the longest match ends that begins at a place: crate regex prefers the first alternative instead.
struct Longest {
    bytes: (DFA, RefCell<Cache>),
    characters: Option<(DFA, RefCell<Cache>)>,
}

/// What a block of text is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// One regular expression serves.
    Bytes,
    /// It is UTF-8.
    Characters,
    /// Some of its lines are UTF-8: where runs of lines end, and whether they are that.
    Mixed(Vec<(usize, bool)>),
}

impl Matcher {
    /// Makes patterns ready; `spans` says that ends of matches will be asked for.
    ///
    /// # Errors
    /// A sentence that says what is wrong with a pattern.
    pub fn new(patterns: &[Vec<u8>], how: How, spans: bool) -> Result<Self, String> {
        let (text, mut depends) = whole(patterns, how, false)?;
        depends |= how.ignore_case && patterns.iter().any(|pattern| !pattern.is_ascii());
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
        Ok(Self { bytes, characters, any: !patterns.is_empty(), longest, end: how.end })
    }

    /// What a block is made of.
    pub fn text(&self, block: &[u8]) -> Text {
        if self.characters.is_none() || block.is_ascii() {
            Text::Bytes
        } else if std::str::from_utf8(block).is_ok() {
            Text::Characters
        } else {
            Text::Mixed(self.runs(block))
        }
    }

    /// A place in the first line at or after `from`, itself the start of a line, that matches.
    pub fn find(&self, block: &[u8], text: &Text, from: usize) -> Option<usize> {
        if !self.any || from >= block.len() {
            return None;
        }
        let at = match (text, &self.characters) {
            (Text::Characters, Some(characters)) => characters.shortest_match_at(block, from)?,
            (Text::Mixed(runs), Some(characters)) => return self.find_in_runs(block, from, runs, characters),
            _ => self.bytes.shortest_match_at(block, from)?,
        };
        // Behind the end of the last line there is none.
        (at < block.len()).then_some(at)
    }

    fn find_in_runs(
        &self,
        block: &[u8],
        mut from: usize,
        runs: &[(usize, bool)],
        characters: &Regex,
    ) -> Option<usize> {
        for (end, is_text) in &runs[runs.partition_point(|(end, _)| *end <= from)..] {
            let regex = if *is_text { characters } else { &self.bytes };
            match regex.shortest_match_at(block.get(..*end)?, from) {
                Some(at) if at < *end => return Some(at),
                _ => from = *end,
            }
        }
        None
    }

    /// Lines that are UTF-8 and lines that are not, in runs of as many as there are.
    fn runs(&self, block: &[u8]) -> Vec<(usize, bool)> {
        let (mut runs, mut from): (Vec<(usize, bool)>, usize) = (Vec::new(), 0);
        while from < block.len() {
            let rest = &block[from..];
            let valid = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), |_| rest.len());
            let text = if valid == rest.len() {
                valid
            } else {
                memchr::memrchr(self.end, &rest[..valid]).map_or(0, |at| at + 1)
            };
            if text > 0 {
                runs.push((from + text, true));
                from += text;
                continue;
            }
            let line = memchr::memchr(self.end, rest).map_or(rest.len(), |at| at + 1);
            from += line;
            match runs.last_mut() {
                Some((end, false)) => *end = from,
                _ => runs.push((from, false)),
            }
        }
        runs
    }

    fn regex(&self, line: &[u8]) -> &Regex {
        match &self.characters {
            Some(characters) if !line.is_ascii() && std::str::from_utf8(line).is_ok() => characters,
            _ => &self.bytes,
        }
    }

    /// The first match in a line, without its end, at or after `from`: the longest of those that begin first.
    pub fn span(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
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
    let flavour = Flavour { unicode, end: how.end };
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
        text = format!("\\b{{start-half}}(?:{text})\\b{{end-half}}");
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

    const BASIC: How =
        How { syntax: Syntax::Extended, ignore_case: false, word: false, line: false, end: b'\n' };

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
            let found = matcher.find(block.as_bytes(), &matcher.text(block.as_bytes()), 0);
            assert_eq!(found.is_some(), matched, "{pattern} {line}");
        }
    }

    #[test]
    fn lines_that_are_not_utf8_are_matched_by_bytes() {
        let block = b"\xff\n\xc3\xa9\nxx\n\xff\xff\n";
        let matcher = matcher(&["^..$"], BASIC);
        let text = matcher.text(block);
        assert_eq!(text, Text::Mixed(vec![(2, false), (8, true), (11, false)]));
        assert_eq!(matcher.find(block, &text, 0), Some(7));
        assert_eq!(matcher.find(block, &text, 8), Some(10));
        let one = self::matcher(&["^.$"], BASIC);
        assert_eq!(one.find(block, &text, 0), Some(1));
        assert_eq!(one.find(block, &text, 2), Some(4));
        assert_eq!(one.find(block, &text, 5), None);
    }
}
