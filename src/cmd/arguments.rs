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
        let letter = char::from(*letter);
        let option = parser.get_arguments().find(|arg| {
            arg.get_short() == Some(letter)
                || arg.get_all_short_aliases().is_some_and(|all| all.contains(&letter))
        })?;
        if option.get_action().takes_values() {
            return Some(at);
        }
    }
    None
}

/// Whether the value of a long option, which may be shortened, is the argument after it.
fn wants_value(parser: &clap::Command, long: &[u8]) -> bool {
    let is_named = |arg: &clap::Arg, is: &dyn Fn(&[u8]) -> bool| {
        let names = arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default());
        names.into_iter().any(|name| is(name.as_bytes()))
    };
    let mut exact = parser.get_arguments().filter(|arg| is_named(arg, &|name| name == long));
    let mut begun = parser.get_arguments().filter(|arg| is_named(arg, &|name| name.starts_with(long)));
    let option = match (exact.next(), begun.next(), begun.next()) {
        (Some(option), ..) | (None, Some(option), None) => option,
        _ => return false,
    };
    option.get_action().takes_values() && !option.is_require_equals_set()
}

/// The sentence of a clap error, on one line, with its tip: `unexpected argument '-x' found; tip: …`.
pub fn sentence(error: &clap::Error) -> String {
    let mut text = error.to_string();
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
