//! `ls`.

mod columns;
mod json;
mod listing;
mod long;
mod look;
mod marks;
mod plan;
mod run;
pub mod times;

use std::ffi::OsString;

use super::color::When;
use super::{Command, Context, Example, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output, Scale, scale};
use look::{Indicator, Quoting};
pub use plan::TimeWord;
use plan::{FormWord, SortWord};
pub use times::{Clock, Style, Time, Times};

/// Rendered bytes are handed on in pieces of at least this size.
const PIECE: usize = 64 << 10;

// Options of which the last one counts.
const FORMS: [&str; 9] =
    ["long", "no_owner", "group_left_out", "numeric", "full_time", "down", "across", "commas", "form"];
const ORDERS: [&str; 6] = ["by_time", "by_size", "unsorted", "by_version", "by_extension", "sort"];
const CLOCKS: [&str; 3] = ["accessed", "changed", "time"];
const INDICATORS: [&str; 4] = ["slash", "file_type", "classify", "indicator_style"];
const QUOTINGS: [&str; 4] = ["escapes", "literal", "quotes", "quoting_style"];
const SCALES: [&str; 3] = ["human", "si", "block_size"];

/// List files.
///
/// Of a directory its files, sorted by the bytes of their names; on a terminal in columns and quoted where a shell would
/// need it. Users and groups are those of the container's /etc/passwd and /etc/group, times are UTC. A `+` behind the mode
/// marks an ACL.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Ls {
    /// Names that begin with a dot, `.` and `..` too.
    #[arg(short, long, overrides_with = "almost_all")]
    all: bool,
    /// Names that begin with a dot, but not `.` and `..`.
    #[arg(short = 'A', long, overrides_with = "all")]
    almost_all: bool,
    /// Not names that end in `~`.
    #[arg(short = 'B', long)]
    ignore_backups: bool,
    /// Not names that match a pattern.
    #[arg(short = 'I', long, value_name = "PATTERN", add = Takes::Nothing)]
    ignore: Vec<OsString>,
    /// As -I, but shown with -a and -A.
    #[arg(long, value_name = "PATTERN", add = Takes::Nothing)]
    hide: Vec<OsString>,
    /// Mode, links, owner, group, size and time of each.
    #[arg(short, overrides_with_all = ["down", "across", "commas", "form"])]
    long: bool,
    /// As -l, without the owner.
    #[arg(short = 'g', overrides_with_all = ["down", "across", "commas", "form"])]
    no_owner: bool,
    /// As -l, without the group.
    #[arg(short = 'o', overrides_with_all = ["down", "across", "commas", "form"])]
    group_left_out: bool,
    /// No group, with -l.
    #[arg(short = 'G', long)]
    no_group: bool,
    /// As -l, with ids in place of names of users and groups.
    #[arg(short = 'n', long = "numeric-uid-gid", overrides_with_all = ["down", "across", "commas", "form"])]
    numeric: bool,
    /// As -l --time-style=full-iso.
    #[arg(long, overrides_with_all = ["down", "across", "commas", "form", "time_style"])]
    full_time: bool,
    /// One name a line.
    #[arg(short = '1', overrides_with_all = ["down", "across", "commas", "form"])]
    one: bool,
    /// In columns, from top to bottom.
    #[arg(short = 'C', overrides_with_all = FORMS)]
    down: bool,
    /// In columns, from left to right.
    #[arg(short = 'x', overrides_with_all = FORMS)]
    across: bool,
    /// In lines, with a comma between names.
    #[arg(short = 'm', overrides_with_all = FORMS)]
    commas: bool,
    /// One of these.
    #[arg(long = "format", value_name = "FORMAT", overrides_with_all = FORMS)]
    form: Option<FormWord>,
    /// How wide lines are; 0 for no limit.
    #[arg(short, long, value_name = "COLUMNS")]
    width: Option<usize>,
    /// A directory itself, not what is in it.
    #[arg(short, long)]
    directory: bool,
    /// The file that a link leads to, not the link.
    #[arg(short = 'L', long)]
    dereference: bool,
    /// As -L for the operands alone.
    #[arg(short = 'H', long)]
    dereference_command_line: bool,
    /// Directories below, too; links are followed with -L alone.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Sizes as 1.5K.
    #[arg(short = 'h', long = "human-readable", overrides_with_all = SCALES)]
    human: bool,
    /// Sizes as 1.5k, by powers of 1000.
    #[arg(long, overrides_with_all = SCALES)]
    si: bool,
    /// Sizes in this unit: 512, 4K, M, MB.
    #[arg(long, value_name = "SIZE", value_parser = scale::parse, overrides_with_all = SCALES)]
    block_size: Option<Scale>,
    /// Blocks of 1 KiB, as without options.
    #[arg(short = 'k', long = "kibibytes")]
    _kibibytes: bool,
    /// The inode of each.
    #[arg(short, long)]
    inode: bool,
    /// What each takes on its file system.
    #[arg(short, long = "size")]
    size: bool,
    /// The SELinux label of each, `?` where there is none.
    #[arg(short = 'Z', long)]
    context: bool,
    /// A mark behind names: `/` directory, `*` executable, `@` link, `|` FIFO, `=` socket.
    #[arg(short = 'F', long, value_name = "WHEN", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "always", overrides_with_all = INDICATORS)]
    classify: Option<When>,
    /// As -F, without `*`.
    #[arg(long, overrides_with_all = INDICATORS)]
    file_type: bool,
    /// `/` behind directories alone.
    #[arg(short = 'p', overrides_with_all = INDICATORS)]
    slash: bool,
    /// One of these.
    #[arg(long, value_name = "STYLE", overrides_with_all = INDICATORS)]
    indicator_style: Option<Indicator>,
    /// Names with escapes as in C.
    #[arg(short = 'b', long = "escape", overrides_with_all = QUOTINGS)]
    escapes: bool,
    /// Names as they are.
    #[arg(short = 'N', long, overrides_with_all = QUOTINGS)]
    literal: bool,
    /// Names in double quotes, with escapes as in C.
    #[arg(short = 'Q', long = "quote-name", overrides_with_all = QUOTINGS)]
    quotes: bool,
    /// One of these.
    #[arg(long, value_name = "STYLE", overrides_with_all = QUOTINGS)]
    quoting_style: Option<Quoting>,
    /// `?` for characters that can't be printed.
    #[arg(short = 'q', long)]
    hide_control_chars: bool,
    /// Reverse the order.
    #[arg(short, long)]
    reverse: bool,
    /// Newest first.
    #[arg(short = 't', overrides_with_all = ORDERS)]
    by_time: bool,
    /// Largest first.
    #[arg(short = 'S', overrides_with_all = ORDERS)]
    by_size: bool,
    /// As the directory has them; long ones are printed while they are read. -f is -aU.
    #[arg(short = 'U', overrides_with_all = ORDERS)]
    unsorted: bool,
    /// By the numbers in names.
    #[arg(short = 'v', overrides_with_all = ORDERS)]
    by_version: bool,
    /// By what is behind the last dot.
    #[arg(short = 'X', overrides_with_all = ORDERS)]
    by_extension: bool,
    /// By one of these.
    #[arg(long, value_name = "KEY", overrides_with_all = ORDERS)]
    sort: Option<SortWord>,
    /// Directories before files.
    #[arg(long)]
    group_directories_first: bool,
    /// When they were read, in place of changed; without -l to sort by.
    #[arg(short = 'u', overrides_with_all = CLOCKS)]
    accessed: bool,
    /// When they or their facts were changed; without -l to sort by.
    #[arg(short = 'c', overrides_with_all = CLOCKS)]
    changed: bool,
    /// One of these times.
    #[arg(long, value_name = "TIME", overrides_with_all = CLOCKS)]
    time: Option<TimeWord>,
    /// How times are shown: full-iso, long-iso, iso, locale, or +FORMAT as date(1) has it.
    #[arg(long, value_name = "STYLE", value_parser = times::parse, overrides_with = "full_time")]
    time_style: Option<Style>,
    /// Files and directories; without any, the current directory.
    #[arg(add = Takes::Path)]
    paths: Vec<OsString>,
}

impl Command for Ls {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const COLORS: bool = true;
    const REPLACES: &'static str = "coreutils ls";
    const FIELDS: &'static [Field] = &[
        field("type", Kind::Text, "file, directory, link, fifo, socket, character device, block device"),
        field("mode", Kind::Text, "four octal digits"),
        more("nlink", Kind::Number, "hard links"),
        more("uid", Kind::Number, "its owner, as the container counts"),
        more("gid", Kind::Number, "its group"),
        field("user", Kind::Text, "the owner's name; null where the container has none"),
        field("group", Kind::Text, "the group's name"),
        field("size", Kind::Bytes, "its length"),
        more("blocks", Kind::Bytes, "what it takes on its file system"),
        field("mtime", Kind::Time, "when its content was changed"),
        more("inode", Kind::Number, "its inode"),
        more("device", Kind::Text, "of a device: major:minor"),
        field("name", Kind::Text, "its name"),
        more("path", Kind::Text, "its name with the directory that was asked for"),
        field("target", Kind::Text, "of a link: where it leads"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "ls -la /", what: "everything in the root" },
        Example { line: "ls -lhS /usr/lib", what: "largest first" },
        Example { line: "ls -lt /tmp", what: "newest first" },
    ];

    /// -f among other letters.
    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        let mut made = Vec::with_capacity(args.len());
        let mut only_operands = false;
        for arg in args {
            only_operands |= arg == "--";
            match arg
                .to_str()
                .filter(|text| !only_operands && text.starts_with('-') && !text.starts_with("--"))
            {
                Some(text) => {
                    // What is behind -I and -w is their value.
                    let value = text.find(['I', 'w']).unwrap_or(text.len());
                    let (letters, value) = text.split_at(value);
                    made.push(format!("{}{value}", letters.replace('f', "aU")).into());
                }
                None => made.push(arg),
            }
        }
        made
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let plan = plan::Plan::new(&self, cx, out.is_json());
        run::run(&self.paths, plan, cx, out)
    }
}

/// A path of a name in a directory.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn the_letter_f_is_two_others() {
        for (typed, read) in [
            ("-f", "-aU"),
            ("-lf x", "-laU x"),
            ("-If", "-If"),
            ("-- -f", "-- -f"),
            ("--file-type", "--file-type"),
        ] {
            let args = typed.split(' ').map(OsString::from).collect();
            assert_eq!(Ls::rewrite(args).join(OsStr::new(" ")), OsStr::new(read), "{typed}");
        }
    }
}
