//! The words of `find`: options, paths, and an expression with its own grammar.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::arguments::{self, Lookup};
use super::expression::{Clock, Expression, Test, Until};
use super::format::Format;
use crate::cmd::{Takes, nearest_of};
use crate::sys::fnmatch::Fnmatch;
use crate::takes::owned;

/// Parentheses and negations in one another.
const DEEPEST: usize = 200;

/// A number as `+N` more than, `-N` less than, `N` equal to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numeric<T> {
    /// How it is compared.
    pub sign: std::cmp::Ordering,
    /// The number.
    pub value: T,
}

impl<T: PartialOrd> Numeric<T> {
    /// Whether a number compares so.
    pub fn holds(&self, value: T) -> bool {
        value.partial_cmp(&self.value) == Some(self.sign)
    }
}

/// What the words ask for.
#[derive(Debug)]
pub struct Search {
    /// Where it begins.
    pub paths: Vec<OsString>,
    /// A link that is named is followed.
    pub follow: bool,
    /// Every link is.
    pub follow_all: bool,
    /// What is evaluated.
    pub expression: Expression,
    /// Not above this depth.
    pub min_depth: usize,
    /// Not below this depth.
    pub max_depth: usize,
    /// A directory after what is in it.
    pub depth_first: bool,
    /// In one file system.
    pub one_file_system: bool,
}

/// Predicates without an argument.
const PLAIN: &[&str] = &[
    "-empty",
    "-nouser",
    "-nogroup",
    "-readable",
    "-writable",
    "-executable",
    "-true",
    "-false",
    "-follow",
    "-print",
    "-print0",
    "-ls",
    "-prune",
    "-quit",
    "-daystart",
    "-depth",
    "-d",
    "-xdev",
    "-mount",
    "-noleaf",
    "-warn",
    "-nowarn",
];

/// Predicates with one.
const VALUED: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-lname",
    "-ilname",
    "-regex",
    "-iregex",
    "-regextype",
    "-type",
    "-xtype",
    "-size",
    "-mtime",
    "-mmin",
    "-atime",
    "-amin",
    "-ctime",
    "-cmin",
    "-newer",
    "-anewer",
    "-cnewer",
    "-newermt",
    "-newerat",
    "-newerct",
    "-newermm",
    "-perm",
    "-user",
    "-uid",
    "-group",
    "-gid",
    "-links",
    "-inum",
    "-samefile",
    "-maxdepth",
    "-mindepth",
    "-printf",
];

const OPERATORS: &[&str] = &["-a", "-and", "-o", "-or", "-not"];

/// Whether a word takes the next one as its argument.
pub fn takes_value(word: &[u8]) -> bool {
    VALUED.iter().any(|name| name.as_bytes() == word) || is_newer(word).is_some()
}

/// What a word is that comes after others, for completion.
pub fn takes(before: &[String], word: &str) -> Takes {
    let expression = || owned(PLAIN.iter().chain(VALUED).chain(OPERATORS).copied());
    match before.last().map(String::as_str) {
        Some("-user") => return Takes::User,
        Some("-group") => return Takes::Group,
        Some("-newer" | "-anewer" | "-cnewer" | "-samefile") => return Takes::Path,
        Some("-type" | "-xtype") => return Takes::Words(|| owned(["f", "d", "l", "p", "s", "b", "c"])),
        Some(last) if takes_value(last.as_bytes()) => return Takes::Nothing,
        _ => {}
    }
    let begins = |word: &str| {
        word.starts_with('-') && !matches!(word, "-H" | "-P" | "-L") || matches!(word, "(" | "!")
    };
    if word.starts_with('-') || before.iter().any(|word| begins(word)) {
        Takes::Words(expression)
    } else {
        Takes::Path
    }
}

/// The clocks of `-newerXY`; none where there is no such predicate. `t` for the second is a time by itself.
fn is_newer(word: &[u8]) -> Option<(Clock, Option<Clock>)> {
    let clock = |letter: u8| match letter {
        b'a' => Some(Clock::Access),
        b'c' => Some(Clock::Change),
        b'm' => Some(Clock::Modification),
        b'B' => Some(Clock::Birth),
        _ => None,
    };
    match word.strip_prefix(b"-newer")? {
        [of, b't'] => Some((clock(*of)?, None)),
        [of, than] => Some((clock(*of)?, Some(clock(*than)?))),
        _ => None,
    }
}

/// Reads all words.
///
/// # Errors
/// A sentence that says what is wrong with them.
pub fn parse(words: &[OsString], lookup: &dyn Lookup) -> Result<Search, String> {
    let mut at = 0;
    let (mut follow, mut follow_all) = (false, false);
    while let Some(word) = words.get(at) {
        match word.as_bytes() {
            b"-H" => (follow, follow_all) = (true, false),
            b"-P" => (follow, follow_all) = (false, false),
            b"-L" => (follow, follow_all) = (true, true),
            _ => break,
        }
        at += 1;
    }
    if words.get(at).is_some_and(|word| word == "--") {
        at += 1;
    }
    let begins = |word: &OsString| {
        let bytes = word.as_bytes();
        (bytes.first() == Some(&b'-') && bytes.len() > 1) || matches!(bytes, b"(" | b"!" | b")" | b",")
    };
    let end = words.iter().skip(at).position(begins).map_or(words.len(), |found| at + found);
    let mut paths = words.get(at..end).unwrap_or_default().to_vec();
    if paths.is_empty() {
        paths.push(".".into());
    }
    let mut parser = Parser {
        words,
        at: end,
        lookup,
        depth: 0,
        search: Search {
            paths,
            follow,
            follow_all,
            expression: Expression::And(Vec::new()),
            min_depth: 0,
            max_depth: usize::MAX,
            depth_first: false,
            one_file_system: false,
        },
        regex_type: "emacs".to_owned(),
        until: Until::Now,
    };
    if parser.peek().is_some() {
        parser.search.expression = parser.list()?;
    }
    if parser.peek().is_some() {
        return Err("there is a ')' without a '('".to_owned());
    }
    Ok(parser.search)
}

struct Parser<'a> {
    words: &'a [OsString],
    at: usize,
    lookup: &'a dyn Lookup,
    depth: usize,
    search: Search,
    regex_type: String,
    /// Until when the ages of the tests that follow are counted.
    until: Until,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.words.get(self.at).map(|word| word.as_bytes())
    }

    fn list(&mut self) -> Result<Expression, String> {
        self.joined(&[b","], Self::or, Expression::List)
    }

    fn or(&mut self) -> Result<Expression, String> {
        self.joined(&[b"-o", b"-or"], Self::and, Expression::Or)
    }

    fn joined(
        &mut self,
        operators: &[&[u8]],
        part: fn(&mut Self) -> Result<Expression, String>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, String> {
        let first = part(self)?;
        let mut parts = vec![first];
        while let Some(word) = self.peek().filter(|word| operators.contains(word)) {
            self.at += 1;
            self.wants_operand(word)?;
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn and(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.factor()?];
        while let Some(word) = self.peek() {
            match word {
                b"," | b"-o" | b"-or" | b")" => break,
                b"-a" | b"-and" => {
                    self.at += 1;
                    self.wants_operand(word)?;
                }
                _ => {}
            }
            parts.push(self.factor()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::And(parts) })
    }

    fn wants_operand(&self, after: &[u8]) -> Result<(), String> {
        match self.peek() {
            None | Some(b")") => Err(format!("expected an expression after '{}'", shown(after))),
            Some(word @ (b"-a" | b"-and" | b"-o" | b"-or" | b",")) => {
                Err(format!("you have used a binary operator '{}' with nothing before it", shown(word)))
            }
            Some(_) => Ok(()),
        }
    }

    fn factor(&mut self) -> Result<Expression, String> {
        let word = self.peek().unwrap_or_default();
        match word {
            b"!" | b"-not" => {
                self.at += 1;
                self.wants_operand(word)?;
                self.deeper()?;
                let inner = self.factor()?;
                self.depth -= 1;
                Ok(Expression::Not(Box::new(inner)))
            }
            b"(" => {
                self.at += 1;
                if self.peek() == Some(b")") {
                    return Err("empty parentheses are not allowed".to_owned());
                }
                if self.peek().is_none() {
                    return Err("a ')' is missing".to_owned());
                }
                self.deeper()?;
                let inner = self.list()?;
                self.depth -= 1;
                if self.peek() != Some(b")") {
                    return Err("a ')' is missing".to_owned());
                }
                self.at += 1;
                Ok(inner)
            }
            b")" => Err("there is a ')' without a '('".to_owned()),
            b"-a" | b"-and" | b"-o" | b"-or" | b"," => {
                Err(format!("you have used a binary operator '{}' with nothing before it", shown(word)))
            }
            _ => {
                self.at += 1;
                self.predicate(word).map(Expression::Test)
            }
        }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            Err(format!("more than {DEEPEST} parentheses in one another"))
        } else {
            Ok(())
        }
    }

    fn predicate(&mut self, word: &'a [u8]) -> Result<Test, String> {
        if let Some(test) = self.plain(word) {
            return Ok(test);
        }
        let name = shown(word);
        if let Some(why) = refused(word) {
            return Err(format!("{name} is not supported{why}"));
        }
        if !takes_value(word) {
            if word.first() != Some(&b'-') {
                return Err(format!("paths must precede expression: '{name}'"));
            }
            let names = PLAIN.iter().chain(VALUED).chain(OPERATORS).copied();
            let near = nearest_of(&name, names).map(|near| format!(" (did you mean {near}?)"));
            return Err(format!("unknown predicate '{name}'{}", near.unwrap_or_default()));
        }
        let Some(value) = self.words.get(self.at) else {
            return Err(format!("missing argument to '{name}'"));
        };
        self.at += 1;
        self.valued(word, value).map_err(|why| {
            if why.is_empty() {
                format!("invalid argument '{}' to '{name}'", shown(value.as_bytes()))
            } else {
                why
            }
        })
    }

    fn plain(&mut self, word: &[u8]) -> Option<Test> {
        Some(match word {
            b"-empty" => Test::Empty,
            b"-nouser" => Test::NoUser,
            b"-nogroup" => Test::NoGroup,
            b"-readable" => Test::Access(libc::R_OK),
            b"-writable" => Test::Access(libc::W_OK),
            b"-executable" => Test::Access(libc::X_OK),
            b"-true" | b"-noleaf" | b"-warn" | b"-nowarn" => Test::True,
            b"-false" => Test::False,
            b"-print" => Test::Print(b'\n'),
            b"-print0" => Test::Print(0),
            b"-ls" => Test::Ls,
            b"-prune" => Test::Prune,
            b"-quit" => Test::Quit,
            b"-daystart" => {
                self.until = Until::DayEnd;
                Test::True
            }
            b"-depth" | b"-d" => {
                self.search.depth_first = true;
                Test::True
            }
            b"-follow" => {
                (self.search.follow, self.search.follow_all) = (true, true);
                Test::True
            }
            b"-xdev" | b"-mount" => {
                self.search.one_file_system = true;
                Test::True
            }
            _ => return None,
        })
    }

    /// A time of a file that an argument names: of a link itself, unless links are followed.
    fn time(&self, path: &OsStr, clock: Clock) -> Result<(i64, u32), String> {
        self.lookup.time(path, clock, self.search.follow)
    }

    /// A predicate with its argument. An empty error is told as an invalid argument.
    fn valued(&mut self, word: &[u8], value: &OsStr) -> Result<Test, String> {
        let bytes = value.as_bytes();
        let text = || value.to_str().ok_or_else(String::new);
        if let Some((of, than)) = is_newer(word) {
            let time = match than {
                None => arguments::moment(text()?, self.lookup.now()).ok_or_else(|| {
                    format!(
                        "'{}' is no time that is known: 2026-01-31, 2026-01-31 12:30:00, @SECONDS, 1 hour ago",
                        shown(bytes)
                    )
                })?,
                Some(clock) => self.time(value, clock)?,
            };
            return Ok(Test::After(of, time));
        }
        Ok(match word {
            b"-name" => Test::Name(Fnmatch::new(bytes, false)),
            b"-iname" => Test::Name(Fnmatch::new(bytes, true)),
            b"-path" | b"-wholename" => Test::Path(Fnmatch::new(bytes, false)),
            b"-ipath" | b"-iwholename" => Test::Path(Fnmatch::new(bytes, true)),
            b"-lname" => Test::LinkName(Fnmatch::new(bytes, false)),
            b"-ilname" => Test::LinkName(Fnmatch::new(bytes, true)),
            b"-regex" | b"-iregex" => {
                Test::Regex(Box::new(arguments::regex(bytes, &self.regex_type, word == b"-iregex")?))
            }
            b"-regextype" => {
                self.regex_type = arguments::regex_type(text()?)?;
                Test::True
            }
            b"-type" => Test::Type(arguments::types(bytes)?),
            b"-xtype" => Test::TargetType(arguments::types(bytes)?),
            b"-size" => {
                let (size, unit) = arguments::size(text()?)?;
                Test::Size(size, unit)
            }
            b"-mtime" => Test::Days(Clock::Modification, arguments::fraction(text()?)?, self.until),
            b"-atime" => Test::Days(Clock::Access, arguments::fraction(text()?)?, self.until),
            b"-ctime" => Test::Days(Clock::Change, arguments::fraction(text()?)?, self.until),
            b"-mmin" => Test::Minutes(Clock::Modification, arguments::fraction(text()?)?, self.until),
            b"-amin" => Test::Minutes(Clock::Access, arguments::fraction(text()?)?, self.until),
            b"-cmin" => Test::Minutes(Clock::Change, arguments::fraction(text()?)?, self.until),
            b"-newer" => Test::After(Clock::Modification, self.time(value, Clock::Modification)?),
            b"-anewer" => Test::After(Clock::Access, self.time(value, Clock::Modification)?),
            b"-cnewer" => Test::After(Clock::Change, self.time(value, Clock::Modification)?),
            b"-perm" => {
                let (how, mode) = arguments::permissions(text()?)?;
                Test::Mode(how, mode)
            }
            b"-user" => Test::Uid(self.lookup.user(text()?)?),
            b"-group" => Test::Gid(self.lookup.group(text()?)?),
            b"-uid" => Test::Uid(arguments::number(text()?)?),
            b"-gid" => Test::Gid(arguments::number(text()?)?),
            b"-links" => Test::Links(arguments::number(text()?)?),
            b"-inum" => Test::Inode(arguments::number(text()?)?),
            b"-samefile" => {
                let (device, inode) = self.lookup.identity(value, self.search.follow)?;
                Test::Same(device, inode)
            }
            b"-maxdepth" => {
                self.search.max_depth = arguments::depth(text()?)?;
                Test::True
            }
            b"-mindepth" => {
                self.search.min_depth = arguments::depth(text()?)?;
                Test::True
            }
            _ => Test::Printf(Format::parse(bytes)?),
        })
    }
}

/// Why a predicate that find has is not there.
fn refused(word: &[u8]) -> Option<&'static str> {
    Some(match word {
        b"-exec" | b"-execdir" | b"-ok" | b"-okdir" | b"-delete" => " yet",
        b"-fprint" | b"-fprint0" | b"-fprintf" | b"-fls" => ": redirect the output",
        b"-fstype" | b"-context" | b"-used" | b"-files0-from" => "",
        _ => return None,
    })
}

/// A word in a message.
pub fn shown(word: &[u8]) -> String {
    crate::out::name::escape(word)
}
