//! Patterns with back-references, and those of Perl. They are tried on each line by crate fancy-regex, which goes back where
//! it went wrong: so the steps that it may take are bounded.

use std::cell::Cell;

use fancy_regex::{BytesMode, CompileError, Error, ParseError, Regex, RegexBuilder};
use memchr::memchr;

use super::matcher::{How, SIZE};
use super::pattern::{Flavour, put};

/// How often a line may be gone back in: as often as PCRE2, which GNU grep has, allows unless it is told otherwise. What is
/// remembered of the way is bounded by the crate: a million places.
const STEPS: usize = 10_000_000;
/// Instructions of one pattern.
const INSTRUCTIONS: usize = 1_000_000;

/// Patterns, any of which may match.
pub struct Backtracking {
    patterns: Vec<Regex>,
    end: u8,
    gave_up: Cell<bool>,
}

impl Backtracking {
    /// Whether crate regex can't match these; one that is wrong is refused here as there.
    pub fn is_needed(patterns: &[Vec<u8>], how: How) -> bool {
        let refers = |pattern: &Vec<u8>| {
            pattern.windows(2).any(|two| matches!(two, [b'\\', b'1'..=b'9']))
                && put(pattern, how.syntax, flavour(how)).map_or(true, |put| put.refers)
        };
        how.perl || patterns.iter().any(refers)
    }

    /// Makes patterns ready.
    ///
    /// # Errors
    /// A sentence that says what is wrong with one.
    pub fn new(patterns: &[Vec<u8>], how: How) -> Result<Self, String> {
        if how.perl && patterns.len() > 1 {
            return Err("-P takes one pattern".to_owned());
        }
        let patterns = patterns.iter().map(|pattern| build(pattern, how)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, end: how.end, gave_up: Cell::new(false) })
    }

    /// Where the first line at or after `from` that matches begins; none, too, where the search was given up.
    pub fn find(&self, block: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while at < block.len() && !self.gave_up.get() {
            let rest = block.get(at..)?;
            let length = memchr(self.end, rest).unwrap_or(rest.len());
            if self.span(rest.get(..length)?, 0).is_some() {
                return Some(at);
            }
            at += length + 1;
        }
        None
    }

    /// The first match in a line, as [`super::matcher::Matcher::span`].
    pub fn span(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = |pattern: &Regex| match pattern.find_from_pos(line, from) {
            Ok(found) => found.map(|found| (found.start(), found.end())),
            Err(_) => {
                self.gave_up.set(true);
                None
            }
        };
        let all = self.patterns.iter().filter_map(found);
        all.min_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)))
    }

    /// Whether a line took too many steps. Nothing matches from then on, until it was asked for.
    pub fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    /// Begins anew, with another file.
    pub fn begin(&self) {
        self.gave_up.set(false);
    }
}

fn flavour(how: How) -> Flavour {
    Flavour { unicode: true, end: how.end, counts_groups: true }
}

fn build(pattern: &[u8], how: How) -> Result<Regex, String> {
    let mut text = if how.perl {
        String::from_utf8(pattern.to_vec()).map_err(|_| "a pattern of Perl is UTF-8".to_owned())?
    } else {
        put(pattern, how.syntax, flavour(how))?.text
    };
    if how.line {
        text = format!("^(?:{text})$");
    } else if how.word {
        text = format!("(?<!\\w)(?:{text})(?!\\w)");
    }
    let mut builder = RegexBuilder::new(&text);
    builder
        .bytes_mode(BytesMode::UnicodeBytes)
        .case_insensitive(how.ignore_case)
        // With -z a line may hold newlines: to Perl those begin lines, to POSIX they don't.
        .multi_line(how.perl && how.end == 0)
        // POSIX wants the longest match, Perl the first.
        .leftmost_longest(!how.perl)
        .backtrack_limit(STEPS)
        .delegate_size_limit(SIZE)
        .max_prog_size(INSTRUCTIONS);
    builder.build().map_err(|error| sentence(&error))
}

/// What is wrong with a pattern, in the words of who wrote it.
fn sentence(error: &Error) -> String {
    let text = match error {
        Error::ParseError(_, cause) => match cause {
            ParseError::UnclosedOpenParen => "unmatched (".to_owned(),
            ParseError::GeneralParseError(cause) => cause.clone(),
            ParseError::TargetNotRepeatable => "nothing to repeat".to_owned(),
            cause => lower(&cause.to_string()),
        },
        Error::CompileError(cause) => match cause.as_ref() {
            CompileError::InnerError(cause) => match cause.syntax_error() {
                Some(cause) => cause.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                None => "the regular expression is too big".to_owned(),
            },
            CompileError::PatternTooComplex => "the regular expression is too big".to_owned(),
            CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature => {
                "a look-behind matches text of one length".to_owned()
            }
            CompileError::FeatureNotYetSupported(what) => format!("{what} is not supported"),
            cause => lower(&cause.to_string()),
        },
        cause => lower(&cause.to_string()),
    };
    crate::out::name::escape(text.trim_start_matches("error: ").as_bytes())
}

/// A sentence of another program as one of ours begins.
fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Syntax;
    use super::*;

    const PERL: How =
        How { syntax: Syntax::Basic, perl: true, ignore_case: false, word: false, line: false, end: b'\n' };
    const BASIC: How = How { perl: false, ..PERL };

    #[test]
    fn a_wrong_pattern_is_told_in_plain_words() {
        for (pattern, words) in [
            ("(", "unmatched ("),
            ("*a", "nothing to repeat"),
            ("[z", "invalid character class"),
            ("(?<=a+)b", "a look-behind matches text of one length"),
            ("(?<x", "could not parse group name"),
        ] {
            let said = build(pattern.as_bytes(), PERL).unwrap_err();
            assert!(said.contains(words) && !said.contains("position"), "{pattern}: {said}");
            assert!(!said.contains("Regex") && !said.contains("rror"), "{pattern}: {said}");
        }
    }

    #[test]
    fn back_references_and_patterns_of_perl_match() {
        let word = How { word: true, ..BASIC };
        let any_case = How { ignore_case: true, ..BASIC };
        for (pattern, how, line, span) in [
            ("\\(a*\\)b\\1", BASIC, &b"xaabaay"[..], Some((1, 6))),
            ("\\(a\\|ab\\)\\(c\\|bcd\\)\\(d*\\)\\1", BASIC, b"abcdab", Some((0, 6))),
            ("\\(.\\)\\10", BASIC, "éé0".as_bytes(), Some((0, 5))),
            ("\\(.\\)\\1", BASIC, b"\xff\xff\xc3\xa9", None),
            ("\\(é\\)\\1", any_case, "ÉéÉ".as_bytes(), Some((0, 4))),
            ("\\(a\\)\\1", word, b"aab aa", Some((4, 6))),
            ("(?<=a)b+(?!c)", PERL, b"xabbbc", Some((2, 4))),
            ("\\d+\\K\\w", PERL, b"-12a", Some((3, 4))),
            ("(?i)É", PERL, "é".as_bytes(), Some((0, 2))),
            ("^$", PERL, b"", Some((0, 0))),
        ] {
            let patterns = [pattern.as_bytes().to_vec()];
            assert!(Backtracking::is_needed(&patterns, how), "{pattern}");
            let matcher = Backtracking::new(&patterns, how).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!((matcher.span(line, 0), matcher.gave_up()), (span, false), "{pattern}");
        }
        for (pattern, how, said) in [
            ("\\(a\\)\\2", BASIC, "invalid back-reference"),
            ("\\(a\\1\\)", BASIC, "invalid back-reference"),
            ("(a", PERL, ""),
        ] {
            let patterns = [pattern.as_bytes().to_vec()];
            assert!(Backtracking::new(&patterns, how).is_err_and(|e| e.contains(said)), "{pattern}");
        }
    }

    #[test]
    fn a_line_that_takes_too_many_steps_is_given_up() {
        let matcher = Backtracking::new(&[b"(a*)*\\1b(?=c)".to_vec()], PERL).unwrap();
        let block = [&b"a".repeat(4000)[..], b"\nbc\n"].concat();
        assert_eq!((matcher.find(&block, 0), matcher.gave_up()), (None, true));
        matcher.begin();
        assert_eq!(matcher.find(&block, 4001), Some(4001));
    }
}
