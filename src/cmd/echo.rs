//! `echo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Context, Example, Fault, Place, Prints, Result, Status, Takes};
use crate::out::Output;
use crate::out::table::NoRow;

/// Print words.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Echo {
    /// Print no newline at the end.
    #[arg(short)]
    n: bool,
    /// Read escapes: \a \b \c \e \f \n \r \t \v \\ \0NNN \xHH.
    #[arg(short, overrides_with = "literal")]
    escapes: bool,
    /// Print backslashes as they are, as without options.
    #[arg(short = 'E', overrides_with = "escapes")]
    literal: bool,
    /// Words to print, a space between them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, add = Takes::Path)]
    words: Vec<OsString>,
}

impl Command for Echo {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const PRINTS: Prints = Prints::Bytes;
    const REPLACES: &'static str = "coreutils echo";
    const EXAMPLES: &'static [Example] = &[
        Example { line: "echo $HOME", what: "a variable of the target" },
        Example { line: r"echo -e 'one\ntwo'", what: "two lines" },
    ];

    /// What is not `-neE` alone begins the words, `--` too.
    fn rewrite(mut args: Vec<OsString>) -> Vec<OsString> {
        let is_option = |arg: &OsString| {
            let letters = arg.as_bytes().strip_prefix(b"-").unwrap_or_default();
            !letters.is_empty() && letters.iter().all(|letter| b"neE".contains(letter))
        };
        let options = args.iter().take_while(|arg| is_option(arg)).count();
        args.insert(options, "--".into());
        args
    }

    fn run(self, _: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let words: Vec<&[u8]> = self.words.iter().map(|w| w.as_bytes()).collect();
        let words = words.join(&b' ');
        let (mut line, ends) = if self.escapes && !self.literal { unescaped(&words) } else { (words, true) };
        if !self.n && ends {
            line.push(b'\n');
        }
        out.bytes().write_all(&line).map_err(Fault::output)?;
        Ok(Status::OK)
    }
}

/// What a text with escapes stands for; false where `\c` ends it.
fn unescaped(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut text = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        let Some((&letter, after)) = rest.split_first() else {
            text.push(b'\\');
            break;
        };
        if matches!(letter, b'1'..=b'7') {
            text.extend(number(&mut rest, 3, 8));
            continue;
        }
        rest = after;
        match letter {
            b'a' => text.push(7),
            b'b' => text.push(8),
            b'c' => return (text, false),
            b'e' => text.push(27),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'v' => text.push(11),
            b'\\' => text.push(b'\\'),
            b'0' => text.push(number(&mut rest, 3, 8).unwrap_or(0)),
            b'x' => match number(&mut rest, 2, 16) {
                Some(value) => text.push(value),
                None => text.extend_from_slice(b"\\x"),
            },
            other => text.extend([b'\\', other]),
        }
    }
    (text, true)
}

/// The number that up to `most` digits at the head of `rest` are, past which `rest` goes.
fn number(rest: &mut &[u8], most: usize, base: u32) -> Option<u8> {
    let digits = rest.iter().take(most).take_while(|digit| char::from(**digit).is_digit(base)).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    let value =
        number.iter().fold(0, |sum, digit| sum * base + char::from(*digit).to_digit(base).unwrap_or(0));
    // Three octal digits may be more than a byte holds: its low bits count.
    (digits > 0).then_some(value as u8)
}
