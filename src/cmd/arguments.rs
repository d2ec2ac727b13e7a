//! Arguments as getopt_long(3) reads them, put so that clap reads the same; and what clap says of wrong ones.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::error::ContextValue;

use crate::out::name::escape;

/// Doubles the `=` that follows a short option with a value: clap takes one away, and getopt has it in the value, as in
/// `sort -t=` and `grep -e=x`.
pub fn as_getopt_reads(parser: &clap::Command, args: Vec<OsString>) -> Vec<OsString> {
    if takes_rest(parser) {
        return args;
    }
    let mut made = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            made.push(arg);
            break;
        }
        if let [b'-', letters @ ..] = bytes
            && !letters.starts_with(b"-")
            && let Some(at) = valued(parser, letters)
            && bytes.get(at + 2) == Some(&b'=')
        {
            let (before, after) = bytes.split_at(at + 2);
            made.push(OsString::from_vec([before, b"=", after].concat()));
            continue;
        }
        let wants_next = wants_next(parser, bytes);
        made.push(arg);
        if wants_next {
            made.extend(args.next());
        }
    }
    made.extend(args);
    made
}

/// Whether the argument after this one is its value.
pub fn wants_next(parser: &clap::Command, argument: &[u8]) -> bool {
    match argument {
        [b'-', b'-', long @ ..] => wants_value(parser, long),
        [b'-', letters @ ..] => valued(parser, letters).is_some_and(|at| at + 2 == argument.len()),
        _ => false,
    }
}

/// Whether `option` is the first argument, or any before `--` where options may follow operands.
pub fn has(parser: &clap::Command, args: &[OsString], option: &str) -> bool {
    if takes_rest(parser) {
        return matches!(args, [only] if only == option);
    }
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == OsStr::new(option))
}

/// Whether all behind the first operand are operands, as with `echo`.
fn takes_rest(parser: &clap::Command) -> bool {
    parser.get_positionals().any(clap::Arg::is_trailing_var_arg_set)
}

/// Where in a cluster of short options the one is that takes a value.
fn valued(parser: &clap::Command, letters: &[u8]) -> Option<usize> {
    for (at, letter) in letters.iter().enumerate() {
        if short(parser, *letter)?.get_action().takes_values() {
            return Some(at);
        }
    }
    None
}

/// The option with this letter.
fn short(parser: &clap::Command, letter: u8) -> Option<&clap::Arg> {
    let letter = char::from(letter);
    parser.get_arguments().find(|arg| {
        arg.get_short() == Some(letter)
            || arg.get_all_short_aliases().is_some_and(|all| all.contains(&letter))
    })
}

/// The option with this long name, which may be shortened.
fn long<'a>(parser: &'a clap::Command, typed: &[u8]) -> Option<&'a clap::Arg> {
    let names =
        |arg: &'a clap::Arg| arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
    let whole = parser.get_arguments().find(|arg| names(arg).any(|name| name.as_bytes() == typed));
    whole.or_else(|| {
        let mut begun =
            parser.get_arguments().filter(|arg| names(arg).any(|name| name.as_bytes().starts_with(typed)));
        begun.next().filter(|_| begun.next().is_none())
    })
}

/// Whether the value of a long option is the argument after it.
fn wants_value(parser: &clap::Command, typed: &[u8]) -> bool {
    long(parser, typed).is_some_and(takes_next)
}

fn takes_next(option: &clap::Arg) -> bool {
    option.get_action().takes_values() && !option.is_require_equals_set()
}

/// What the word at the cursor is to a parser.
#[derive(Default)]
pub struct Slot<'a> {
    /// The option that it is the value of, or the operand; none for what takes nothing.
    pub arg: Option<&'a clap::Arg>,
    /// Where in the word the value begins: after `--option=` or `-o`.
    pub value_at: usize,
    /// Operands before it.
    pub operands: usize,
    /// Whether it is an operand.
    pub is_operand: bool,
    /// Whether it may be an option.
    pub is_option: bool,
}

impl Slot<'_> {
    /// What it takes, beside values that clap knows.
    pub fn takes(&self) -> super::Takes {
        self.arg.and_then(|arg| arg.get()).copied().unwrap_or(super::Takes::Nothing)
    }

    /// The values that clap knows.
    pub fn values(&self) -> Vec<clap::builder::PossibleValue> {
        let all = self.arg.map(clap::Arg::get_possible_values).unwrap_or_default();
        all.into_iter().filter(|value| !value.is_hide_set()).collect()
    }

    /// Where in the word a value begins: in a list behind the last comma.
    pub fn begin(&self, word: &[u8], takes: super::Takes) -> usize {
        let is_list = self.arg.is_some_and(|arg| arg.get_value_delimiter().is_some());
        let comma = word.iter().rposition(|byte| *byte == b',');
        let comma =
            comma.filter(|at| (is_list || matches!(takes, super::Takes::List(_))) && *at >= self.value_at);
        comma.map_or(self.value_at, |at| at + 1)
    }
}

/// Options as they are typed, but those that are hidden.
pub fn options(parser: &clap::Command) -> impl Iterator<Item = (String, &clap::Arg)> {
    let shown = parser.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.flat_map(|arg| super::spellings(arg).into_iter().map(move |spelling| (spelling, arg)))
}

/// What a word is that comes after others.
pub fn slot<'a>(parser: &'a clap::Command, before: &[String], word: &str) -> Slot<'a> {
    let mut operands = 0;
    let mut are_rest = false;
    let mut of = None;
    for word in before {
        let bytes = word.as_bytes();
        match bytes {
            _ if of.take().is_some() => {}
            b"--" if !are_rest => are_rest = true,
            [b'-', b'-', name @ ..] if !are_rest => of = long(parser, name).filter(|arg| takes_next(arg)),
            [b'-', letters @ ..] if !are_rest && !letters.is_empty() => {
                of = valued(parser, letters)
                    .filter(|at| at + 1 == letters.len())
                    .and_then(|at| short(parser, letters[at]))
                    .filter(|arg| takes_next(arg));
            }
            _ => {
                operands += 1;
                are_rest |= takes_rest(parser);
            }
        }
    }
    let bytes = word.as_bytes();
    if of.is_some() {
        return Slot { arg: of, operands, ..Slot::default() };
    }
    if !are_rest && let [b'-', rest @ ..] = bytes {
        let value = match rest {
            [b'-', name @ ..] => name.iter().position(|byte| *byte == b'=').and_then(|at| {
                let option = long(parser, &name[..at]).filter(|arg| arg.get_action().takes_values());
                Some((option?, at + 3))
            }),
            letters => valued(parser, letters)
                .filter(|at| at + 1 < letters.len())
                .and_then(|at| Some((short(parser, letters[at])?, at + 2))),
        };
        return match value {
            Some((arg, value_at)) => Slot { arg: Some(arg), value_at, operands, ..Slot::default() },
            None => Slot { operands, is_option: true, ..Slot::default() },
        };
    }
    let last = parser.get_positionals().last().filter(|last| {
        last.get_num_args().is_some_and(|range| range.max_values() > 1)
            || matches!(last.get_action(), clap::ArgAction::Append)
    });
    let arg = parser.get_positionals().nth(operands).or(last);
    Slot { arg, operands, is_operand: true, ..Slot::default() }
}

/// What is wrong with a value that std did not take for a number.
fn not_a_number(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    if let Some(error) = error.downcast_ref::<std::num::ParseIntError>() {
        let is_number = matches!(error.kind(), PosOverflow | NegOverflow);
        return Some(if is_number { "out of range" } else { "not a number" });
    }
    error.is::<std::num::ParseFloatError>().then_some("not a number")
}

/// The sentence of a clap error, on one line, with its tip: `unexpected argument '-x' found; tip: …`.
pub fn sentence(error: &clap::Error) -> String {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error)
        && let Some(cause) = not_a_number(source)
    {
        text = text.replace(&source.to_string(), cause);
    }
    for (_, value) in error.context() {
        if let ContextValue::String(typed) = value {
            text = text.replace(typed, &escape(typed.as_bytes()));
        }
    }
    let mut sentence = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        // clap's way out, `-- --colour`, is never what is meant.
        if line.starts_with("tip: to pass") {
            continue;
        }
        if !line.is_empty() {
            // A list follows a colon.
            sentence.push_str(match sentence.as_bytes().last() {
                None => "",
                Some(b':') => " ",
                Some(_) => "; ",
            });
            sentence.push_str(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction, Command};

    fn read(args: &str) -> String {
        let parser = Command::new("test")
            .arg(Arg::new("flag").short('v').action(ArgAction::SetTrue))
            .arg(Arg::new("value").short('t').long("to"))
            .arg(Arg::new("files").num_args(0..));
        let args = args.split(' ').map(OsString::from).collect();
        as_getopt_reads(&parser, args).join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_word_at_the_cursor_is_a_value_an_option_or_an_operand() {
        let parser = Command::new("test")
            .arg(Arg::new("flag").short('v').action(ArgAction::SetTrue))
            .arg(Arg::new("value").short('t').long("to"))
            .arg(Arg::new("color").long("color").num_args(0..=1).require_equals(true))
            .arg(Arg::new("first"))
            .arg(Arg::new("files").num_args(0..));
        for (line, arg, value_at, operands) in [
            ("", "first", 0, 0),
            ("a ", "files", 0, 1),
            ("a b c", "files", 0, 2),
            ("-t ", "value", 0, 0),
            ("-vt ", "value", 0, 0),
            ("-vtx", "value", 3, 0),
            ("-t x ", "first", 0, 0),
            ("--to ", "value", 0, 0),
            ("--t=x", "value", 4, 0),
            ("--to=", "value", 5, 0),
            ("--color ", "first", 0, 0),
            ("--color=", "color", 8, 0),
            ("-v", "", 0, 0),
            ("--t", "", 0, 0),
            ("-- --to", "first", 0, 0),
            ("-- -t ", "files", 0, 1),
            ("-x a ", "files", 0, 1),
        ] {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = words.pop().unwrap();
            let slot = slot(&parser, &words, &word);
            let is = slot.arg.map_or("", |arg| arg.get_id().as_str());
            assert_eq!((is, slot.value_at, slot.operands), (arg, value_at, operands), "{line}");
            assert_eq!(slot.is_option, arg.is_empty(), "{line}");
        }
    }

    #[test]
    fn the_equals_sign_of_a_short_option_is_part_of_its_value() {
        for (typed, read_as) in [
            ("-t=", "-t=="),
            ("-vt=x f", "-vt==x f"),
            ("-tx=", "-tx="),
            ("-t -t=", "-t -t="),
            ("--to -t= -t=", "--to -t= -t=="),
            ("--to=x -t=", "--to=x -t=="),
            ("--t -t= -t=", "--t -t= -t=="),
            ("-v=", "-v="),
            ("-- -t=", "-- -t="),
            ("- -x=", "- -x="),
        ] {
            assert_eq!(read(typed), read_as, "{typed}");
        }
    }
}
