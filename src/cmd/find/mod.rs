//! `find`.

mod arguments;
mod expression;
mod file;
mod format;
mod parse;
mod run;
mod show;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Command, Completion, Context, Example, Place, Prints, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};

/// The expression, as help shows it.
const EXPRESSION: &str = "\
Tests:
  names    -name -iname GLOB, -path -ipath GLOB, -lname -ilname GLOB, -regex -iregex PATTERN
  kind     -type -xtype f|d|l|p|s|b|c, -size [+-]N[cwbkMG], -empty, -links N, -inum N, -samefile FILE
  times    -mtime -atime -ctime [+-]DAYS, -mmin -amin -cmin [+-]MINUTES, -newer FILE, -newermt TIME
  owners   -user -group NAME, -uid -gid N, -nouser, -nogroup
  modes    -perm [-/]MODE, -readable, -writable, -executable
  others   -true, -false
Operators: ( ) ! -not -a -and -o -or ,
Global:    -maxdepth N, -mindepth N, -depth, -xdev, -daystart, -regextype TYPE; -H -L -P before paths
Actions:   -print, -print0, -printf FORMAT, -ls, -prune, -quit";

/// Find files.
///
/// Paths, then an expression as in GNU find: tests -name -iname -path -ipath -lname -regex -type -xtype -size -empty
/// -mtime -mmin -atime -amin -ctime -cmin -newer -newerXY -perm -user -uid -group -gid -nouser -nogroup -links -inum
/// -samefile -readable -writable -executable -true -false; -daystart -maxdepth -mindepth -depth -xdev -prune -quit;
/// actions -print -print0 -printf -ls; operators ! -not -a -and -o -or , ( ). -H follows links that are named, -L all. Nothing is run and nothing deleted. Times are UTC.
#[derive(clap::Parser)]
#[command(after_help = EXPRESSION)]
pub struct Find {
    /// Paths and the expression.
    #[arg(value_name = "PATH|EXPRESSION", add = Takes::Path)]
    words: Vec<OsString>,
}

impl Command for Find {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const PRINTS: Prints = Prints::BytesOrObject;
    const REPLACES: &'static str = "GNU find";
    const FIELDS: &'static [Field] = &[
        field("type", Kind::Text, "file, directory, link, fifo, socket, character device, block device"),
        field("size", Kind::Bytes, "its length"),
        field("mode", Kind::Text, "four octal digits"),
        field("user", Kind::Text, "the owner's name; null where the container has none"),
        field("group", Kind::Text, "the group's name"),
        field("mtime", Kind::Time, "when its content was changed"),
        field("path", Kind::Text, "its path, beginning as it was asked for"),
        more("name", Kind::Text, "the last part of it"),
        more("uid", Kind::Number, "its owner, as the container counts"),
        more("gid", Kind::Number, "its group"),
        more("nlink", Kind::Number, "hard links"),
        more("blocks", Kind::Bytes, "what it takes on its file system"),
        more("atime", Kind::Time, "when it was read"),
        more("ctime", Kind::Time, "when its inode was changed"),
        more("inode", Kind::Number, "its inode"),
        more("depth", Kind::Number, "how many directories below the start it is"),
        more("target", Kind::Text, "of a link: where it leads"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "find / -xdev -name '*.conf'", what: "files by their names" },
        Example { line: "find /tmp -type f -size +10M -mtime -1", what: "large ones of today" },
        Example { line: "find / -xdev -type f -perm -4000 -ls", what: "programs that change the user" },
        Example { line: "find /etc -type f | sort-by -r size | first 3", what: "the largest" },
    ];

    /// The words are an expression that only find reads: so none of them is an option to the parser of options.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        let mut words = Vec::with_capacity(args.len() + 2);
        let mut options = Vec::new();
        let mut is_value = false;
        for arg in args {
            let is_option = arg == "--json" || arg.as_bytes().starts_with(b"--color");
            if is_option && !is_value {
                options.push(arg);
                continue;
            }
            is_value = !is_value && parse::takes_value(arg.as_bytes());
            words.push(arg);
        }
        options.push("--".into());
        options.extend(words);
        options
    }

    fn complete(at: &Completion) -> Option<Takes> {
        Some(parse::takes(at.words, at.word))
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        run::run(&self.words, cx, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_what_there_is() {
        let known = parse::takes(&[], "-").words();
        let words = EXPRESSION.split_whitespace().map(|word| word.trim_end_matches([',', ';']));
        for word in words.filter(|word| word.starts_with('-') && !["-H", "-L", "-P"].contains(word)) {
            assert!(known.iter().any(|name| name == word), "{word}");
        }
        assert!(known.len() > 50, "{known:?}");
    }
}
