//! From a line to pipelines of words.

use std::cell::Cell;
use std::fmt;

/// A line that is not of the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that mean themselves.
    Literal(Vec<u8>),
    /// `*`.
    AnyText,
    /// `?`.
    AnyByte,
    /// `[…]`: ranges, and whether it is negated by `!` or `^`.
    Class(Vec<(u8, u8)>, bool),
    /// `$NAME` or `${NAME}`.
    Variable(Vec<u8>),
    /// `$?`.
    Status,
}

/// A word before expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its parts.
    pub pieces: Vec<Piece>,
    /// Whether any of it stood in quotes: then it stays a word even when empty.
    pub quoted: bool,
    /// Where it begins, in characters from 1.
    pub column: usize,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// `< WORD`.
    Stdin(Word),
    /// `> WORD`, `>> WORD`.
    Stdout(Word, bool),
    /// `2> WORD`, `2>> WORD`.
    Stderr(Word, bool),
    /// `2>&1`.
    StderrToStdout,
}

/// A command with its arguments and redirections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simple {
    /// The command's name and arguments.
    pub words: Vec<Word>,
    /// Redirections in their order.
    pub redirects: Vec<Redirect>,
}

/// Commands joined by `|`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pipeline {
    /// First to last.
    pub stages: Vec<Simple>,
}

/// How a pipeline depends on the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// It runs in any case.
    Always,
    /// `&&`: if that succeeded.
    And,
    /// `||`: if that failed.
    Or,
}

/// A line, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Pipelines in their order.
    pub pipelines: Vec<(Joint, Pipeline)>,
}

/// Parses a line.
///
/// # Errors
/// What is not of the grammar, with its column.
pub fn parse(line: &[u8]) -> Result<Line, Syntax> {
    Parser { line, at: 0, counted: (0, 1).into() }.line()
}

struct Parser<'a> {
    line: &'a [u8],
    at: usize,
    /// The byte whose column was asked for last, and its column: so that counting stays linear.
    counted: Cell<(usize, usize)>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn looks_at(&self, text: &[u8]) -> bool {
        self.line[self.at..].starts_with(text)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let there = self.looks_at(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    fn column(&self, at: usize) -> usize {
        let (from, column) = match self.counted.get() {
            last if last.0 <= at => last,
            _ => (0, 1),
        };
        let column = column + String::from_utf8_lossy(&self.line[from..at]).chars().count();
        self.counted.set((at, column));
        column
    }

    fn wrong<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Syntax> {
        Err(Syntax { column: self.column(at), message: message.into() })
    }

    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                // The line goes on.
                Some(b'\\') if self.take(b"\\\n") => {}
                _ => break,
            }
        }
        if self.peek() == Some(b'#') {
            self.at = self.line.len();
        }
    }

    fn line(mut self) -> Result<Line, Syntax> {
        let mut line = Line::default();
        let mut joint = Joint::Always;
        loop {
            self.blanks();
            let start = self.at;
            let Some(pipeline) = self.pipeline()? else {
                return match (joint, self.peek()) {
                    (_, Some(other)) => {
                        self.wrong(start, format!("a command is missing before {}", char::from(other)))
                    }
                    (Joint::Always, None) => Ok(line),
                    (_, None) => self.wrong(start, "a command is missing at the end"),
                };
            };
            line.pipelines.push((joint, pipeline));
            self.blanks();
            joint = match self.peek() {
                None => return Ok(line),
                Some(_) if self.take(b"&&") => Joint::And,
                Some(_) if self.take(b"||") => Joint::Or,
                Some(b';') => {
                    self.at += 1;
                    if self.peek() == Some(b';') {
                        return self.wrong(self.at, ";; is not supported");
                    }
                    Joint::Always
                }
                Some(b'&') => return self.wrong(self.at, "& (in the background) is not supported"),
                Some(other) => {
                    return self.wrong(self.at, format!("{} is not expected here", char::from(other)));
                }
            };
        }
    }

    /// A pipeline, or nothing where no command begins.
    fn pipeline(&mut self) -> Result<Option<Pipeline>, Syntax> {
        let mut pipeline = Pipeline::default();
        loop {
            self.blanks();
            let start = self.at;
            let simple = self.simple()?;
            if simple.words.is_empty() {
                if !simple.redirects.is_empty() {
                    return self.wrong(start, "a redirection needs a command");
                }
                if pipeline.stages.is_empty() {
                    return Ok(None);
                }
                return self.wrong(start, "a command is missing after |");
            }
            pipeline.stages.push(simple);
            if self.looks_at(b"||") || !self.looks_at(b"|") {
                return Ok(Some(pipeline));
            }
            self.at += 1;
            if self.peek() == Some(b'&') {
                return self.wrong(self.at - 1, "|& is not supported: write 2>&1 |");
            }
        }
    }

    fn simple(&mut self) -> Result<Simple, Syntax> {
        let mut simple = Simple::default();
        loop {
            self.blanks();
            let start = self.at;
            match self.peek() {
                None | Some(b'|' | b';' | b'&') => return Ok(simple),
                Some(b'(' | b')') => return self.wrong(start, "( ) is not supported"),
                Some(b'<') => {
                    self.at += 1;
                    if matches!(self.peek(), Some(b'<' | b'(' | b'&' | b'>')) {
                        return self.wrong(start, "of redirections from, only < FILE is supported");
                    }
                    simple.redirects.push(Redirect::Stdin(self.file(start)?));
                }
                Some(b'>') => {
                    let append = self.output(1)?;
                    simple.redirects.push(Redirect::Stdout(self.file(start)?, append));
                }
                Some(b'1') if self.looks_at(b"1>") => {
                    let append = self.output(2)?;
                    simple.redirects.push(Redirect::Stdout(self.file(start)?, append));
                }
                Some(b'2') if self.take(b"2>&1") => simple.redirects.push(Redirect::StderrToStdout),
                Some(b'2') if self.looks_at(b"2>") => {
                    let append = self.output(2)?;
                    simple.redirects.push(Redirect::Stderr(self.file(start)?, append));
                }
                Some(_) => simple.words.push(self.word()?),
            }
        }
    }

    /// Passes over `>` or `>>`, `length` bytes up to the first one's end; says whether it appends.
    fn output(&mut self, length: usize) -> Result<bool, Syntax> {
        let start = self.at;
        self.at += length;
        let append = self.take(b">");
        if matches!(self.peek(), Some(b'&' | b'(' | b'|' | b'>' | b'<')) {
            return self.wrong(start, "of redirections to, only >, >>, 2>, 2>> and 2>&1 are supported");
        }
        Ok(append)
    }

    fn file(&mut self, redirect: usize) -> Result<Word, Syntax> {
        self.blanks();
        match self.peek() {
            None | Some(b'|' | b';' | b'&' | b'<' | b'>' | b'(' | b')') => {
                self.wrong(redirect, "a file is missing after the redirection")
            }
            Some(_) => self.word(),
        }
    }

    fn word(&mut self) -> Result<Word, Syntax> {
        let start = self.at;
        let mut word = Word { pieces: Vec::new(), quoted: false, column: 0 };
        if self.peek() == Some(b'~') {
            return self.wrong(start, "~ is not supported: write $HOME or the path");
        }
        while let Some(byte) = self.peek() {
            let at = self.at;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b'|' | b';' | b'&' | b'<' | b'>' => break,
                b'(' if matches!(word.pieces.last(), Some(Piece::AnyText | Piece::AnyByte)) => {
                    return self
                        .wrong(at - 1, format!("{}( is not supported", char::from(self.line[at - 1])));
                }
                b'(' if at > start && matches!(self.line[at - 1], b'@' | b'+' | b'!') => {
                    return self
                        .wrong(at - 1, format!("{}( is not supported", char::from(self.line[at - 1])));
                }
                b'(' | b')' => return self.wrong(at, "( ) is not supported: put it in quotes"),
                b'`' => return self.wrong(at, "` (command substitution) is not supported"),
                b'\'' => {
                    self.at += 1;
                    let Some(length) = self.line[self.at..].iter().position(|b| *b == b'\'') else {
                        return self.wrong(at, "the quote ' is not closed");
                    };
                    word.literal(&self.line[self.at..self.at + length]);
                    word.quoted = true;
                    self.at += length + 1;
                }
                b'"' => self.double_quotes(&mut word)?,
                b'\\' if self.take(b"\\\n") => {}
                b'\\' => {
                    let Some(next) = self.line.get(at + 1) else {
                        return self.wrong(at, "nothing follows the backslash");
                    };
                    word.literal(&[*next]);
                    word.quoted = true;
                    self.at += 2;
                }
                b'$' if self.looks_at(b"$'") => self.dollar_quotes(&mut word)?,
                b'$' if self.looks_at(b"$\"") => return self.wrong(at, "$\" is not supported"),
                b'$' => self.dollar(&mut word)?,
                b'*' => {
                    self.at += 1;
                    if word.pieces.last() != Some(&Piece::AnyText) {
                        word.pieces.push(Piece::AnyText);
                    }
                }
                b'?' => {
                    self.at += 1;
                    word.pieces.push(Piece::AnyByte);
                }
                b'[' => self.class(&mut word),
                _ => {
                    let rest = &self.line[at..];
                    let length = rest
                        .iter()
                        .position(|b| b" \t\n\r|;&<>()`'\"\\$*?[".contains(b))
                        .unwrap_or(rest.len());
                    word.literal(&rest[..length]);
                    self.at += length;
                }
            }
        }
        word.column = self.column(start);
        Ok(word)
    }

    fn double_quotes(&mut self, word: &mut Word) -> Result<(), Syntax> {
        let start = self.at;
        self.at += 1;
        word.quoted = true;
        loop {
            match self.peek() {
                None => return self.wrong(start, "the quote \" is not closed"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'`') => return self.wrong(self.at, "` (command substitution) is not supported"),
                Some(b'$') => self.dollar(word)?,
                Some(b'\\') => {
                    // Within double quotes a backslash means itself but before these.
                    match self.line.get(self.at + 1) {
                        Some(next @ (b'"' | b'\\' | b'$' | b'`')) => word.literal(&[*next]),
                        Some(b'\n') => {}
                        Some(next) => word.literal(&[b'\\', *next]),
                        None => return self.wrong(start, "the quote \" is not closed"),
                    }
                    self.at += 2;
                }
                Some(_) => {
                    let rest = &self.line[self.at..];
                    let length = rest.iter().position(|b| b"\"`$\\".contains(b)).unwrap_or(rest.len());
                    word.literal(&rest[..length]);
                    self.at += length;
                }
            }
        }
    }

    /// `$'…'`, with C's escapes: any byte can be written.
    fn dollar_quotes(&mut self, word: &mut Word) -> Result<(), Syntax> {
        let start = self.at;
        self.at += 2;
        word.quoted = true;
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else { return self.wrong(start, "the quote $' is not closed") };
            self.at += 1;
            match byte {
                b'\'' => break,
                b'\\' => {
                    let Some(kind) = self.peek() else {
                        return self.wrong(start, "the quote $' is not closed");
                    };
                    self.at += 1;
                    match kind {
                        b'n' => bytes.push(b'\n'),
                        b't' => bytes.push(b'\t'),
                        b'r' => bytes.push(b'\r'),
                        b'a' => bytes.push(7),
                        b'b' => bytes.push(8),
                        b'e' | b'E' => bytes.push(0x1b),
                        b'f' => bytes.push(0x0c),
                        b'v' => bytes.push(0x0b),
                        b'\\' | b'\'' | b'"' | b'?' => bytes.push(kind),
                        b'x' => bytes.push(self.number(16, 2, start)? as u8),
                        b'0'..=b'7' => {
                            self.at -= 1;
                            bytes.push(self.number(8, 3, start)? as u8);
                        }
                        b'u' | b'U' => {
                            let code = self.number(16, if kind == b'u' { 4 } else { 8 }, start)?;
                            let Some(ch) = char::from_u32(code) else {
                                return self.wrong(start, format!("no character has the number {code:x}"));
                            };
                            bytes.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        other => {
                            return self.wrong(
                                self.at - 2,
                                format!("\\{} is not supported in $''", char::from(other)),
                            );
                        }
                    }
                }
                _ => bytes.push(byte),
            }
        }
        if bytes.contains(&0) {
            return self.wrong(start, "no word can hold a NUL");
        }
        word.literal(&bytes);
        Ok(())
    }

    fn number(&mut self, radix: u32, most: usize, start: usize) -> Result<u32, Syntax> {
        let mut value = 0u32;
        let mut count = 0;
        while count < most
            && let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(radix))
        {
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
            count += 1;
        }
        if count == 0 { self.wrong(start, "digits are missing after the escape in $''") } else { Ok(value) }
    }

    fn dollar(&mut self, word: &mut Word) -> Result<(), Syntax> {
        let start = self.at;
        self.at += 1;
        let name = |bytes: &[u8]| {
            let length = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            if bytes.first().is_some_and(u8::is_ascii_digit) { 0 } else { length }
        };
        match self.peek() {
            Some(b'(') => self.wrong(start, "$( (command substitution) is not supported"),
            Some(b'?') => {
                self.at += 1;
                word.pieces.push(Piece::Status);
                Ok(())
            }
            Some(b'{') => {
                let rest = &self.line[self.at + 1..];
                let length = name(rest);
                if length == 0 || rest.get(length) != Some(&b'}') {
                    return self.wrong(start, "of ${ only ${NAME} is supported");
                }
                word.pieces.push(Piece::Variable(rest[..length].to_vec()));
                self.at += length + 2;
                Ok(())
            }
            Some(other @ (b'0'..=b'9' | b'#' | b'@' | b'*' | b'!' | b'$' | b'-')) => {
                self.wrong(start, format!("${} is not supported", char::from(other)))
            }
            _ => {
                let rest = &self.line[self.at..];
                let length = name(rest);
                if length == 0 {
                    word.literal(b"$");
                } else {
                    word.pieces.push(Piece::Variable(rest[..length].to_vec()));
                    self.at += length;
                }
                Ok(())
            }
        }
    }

    /// `[…]`, or the bracket itself where it is not closed in the word.
    fn class(&mut self, word: &mut Word) {
        match class(&self.line[self.at..]) {
            Some((ranges, negated, length)) => {
                word.pieces.push(Piece::Class(ranges, negated));
                self.at += length;
            }
            None => {
                word.literal(b"[");
                self.at += 1;
            }
        }
    }
}

/// Ranges of bytes, both ends included.
type Ranges = Vec<(u8, u8)>;

/// A bracket expression at the head of `bytes`: its ranges, whether it is negated, and its length.
fn class(bytes: &[u8]) -> Option<(Ranges, bool, usize)> {
    let mut at = 1;
    let negated = matches!(bytes.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let first = at;
    let mut ranges = Vec::new();
    loop {
        let low = match *bytes.get(at)? {
            b']' if at > first => return Some((ranges, negated, at + 1)),
            b' ' | b'\t' | b'\'' | b'"' | b'|' | b';' | b'&' | b'<' | b'>' | b'$' | b'`' | b'/' => {
                return None;
            }
            b'\\' => {
                at += 1;
                *bytes.get(at)?
            }
            byte => byte,
        };
        at += 1;
        if bytes.get(at) == Some(&b'-') && bytes.get(at + 1).is_some_and(|b| *b != b']') {
            ranges.push((low, *bytes.get(at + 1)?));
            at += 2;
        } else {
            ranges.push((low, low));
        }
    }
}

impl Word {
    fn literal(&mut self, bytes: &[u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(last)) => last.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Literal(bytes.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests;
