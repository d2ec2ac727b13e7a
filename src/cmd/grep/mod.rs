//! `grep`.

mod args;
mod backtrack;
mod bracket;
mod interval;
mod matcher;
mod pattern;
mod plan;
mod print;
mod search;
mod tree;

use std::ffi::OsString;

use super::{Command, Completion, Context, Example, Fault, Needs, Place, Result, Status, Takes};
use crate::out::field::{field, more};
use crate::out::table::NoRow;
use crate::out::{Field, Kind, Output};
use crate::takes::owned;

use matcher::Matcher;
pub use pattern::{Flavour, Syntax, put};
use plan::Plan;
use search::Search;
use tree::Run;

/// Print lines that match a pattern.
///
/// Patterns are basic regular expressions, with -E extended ones, with -P those of Perl. A search with back-references or
/// -P gives a file up where a line takes too many steps. Characters are those of UTF-8; a byte that is not UTF-8 matches only itself. Without files standard input is searched, with -r the current
/// directory. Status 0 where a line was selected, 1 where none was, 2 where something could not be searched.
#[derive(clap::Parser)]
#[command(args_override_self = true)]
pub struct Grep {
    /// Search directories, and what is below them; links there are not followed.
    #[arg(short, long, overrides_with = "directories")]
    recursive: bool,
    /// As -r, and follow links there; one that leads back to a directory above it is left out.
    #[arg(short = 'R', long, overrides_with = "directories")]
    dereference_recursive: bool,
    /// What is done with directories that are named: an error (read), nothing (skip), or as -r.
    #[arg(short, long, value_name = "ACTION", overrides_with_all = ["recursive", "dereference_recursive"])]
    directories: Option<Kinds>,
    /// What is done with devices, FIFOs and sockets that are named: an error (read), or nothing (skip).
    #[arg(short = 'D', long, value_name = "ACTION", value_parser = devices, add = Takes::Words(|| owned(["read", "skip"])))]
    devices: Option<Kinds>,
    /// Take letters of both cases for the same.
    #[arg(short, long, visible_short_alias = 'y')]
    ignore_case: bool,
    /// Tell cases apart, which is the default.
    #[arg(long, overrides_with = "ignore_case")]
    no_ignore_case: bool,
    /// Select lines that do not match.
    #[arg(short = 'v', long)]
    invert_match: bool,
    /// Print numbers of lines.
    #[arg(short = 'n', long)]
    line_number: bool,
    /// Print names of files that have a line.
    #[arg(short = 'l', long, overrides_with = "files_without_match")]
    files_with_matches: bool,
    /// Print names of files that have none.
    #[arg(short = 'L', long, overrides_with = "files_with_matches")]
    files_without_match: bool,
    /// Print how many lines of each file were selected.
    #[arg(short, long)]
    count: bool,
    /// Print matches alone, each on a line.
    #[arg(short, long)]
    only_matching: bool,
    /// Match whole words.
    #[arg(short, long)]
    word_regexp: bool,
    /// Match whole lines.
    #[arg(short = 'x', long)]
    line_regexp: bool,
    /// Print nothing; end at the first match with status 0.
    #[arg(short, long, visible_alias = "silent")]
    quiet: bool,
    /// Say nothing of files that are missing or can't be read.
    #[arg(short = 's', long)]
    no_messages: bool,
    /// Print no names of files.
    #[arg(short = 'h', long, overrides_with = "with_filename")]
    no_filename: bool,
    /// Print the name of the file before each line.
    #[arg(short = 'H', long, overrides_with = "no_filename")]
    with_filename: bool,
    /// Patterns are text.
    #[arg(short = 'F', long, overrides_with_all = ["extended_regexp", "basic_regexp", "perl_regexp"])]
    fixed_strings: bool,
    /// Patterns are extended regular expressions.
    #[arg(short = 'E', long, overrides_with_all = ["fixed_strings", "basic_regexp", "perl_regexp"])]
    extended_regexp: bool,
    /// Patterns are basic regular expressions, which is the default.
    #[arg(short = 'G', long, overrides_with_all = ["fixed_strings", "extended_regexp", "perl_regexp"])]
    basic_regexp: bool,
    /// The pattern is a regular expression of Perl.
    #[arg(short = 'P', long, overrides_with_all = ["fixed_strings", "extended_regexp", "basic_regexp"])]
    perl_regexp: bool,
    /// Lines after each match.
    #[arg(short = 'A', long = "after-context", value_name = "NUM")]
    after: Option<u32>,
    /// Lines before each match.
    #[arg(short = 'B', long = "before-context", value_name = "NUM")]
    before: Option<u32>,
    /// Lines before and after each match; -NUM too.
    #[arg(short = 'C', long = "context", value_name = "NUM")]
    context: Option<u32>,
    /// End each file after so many lines.
    #[arg(short, long, value_name = "NUM")]
    max_count: Option<u64>,
    /// Search files whose name matches, no others.
    #[arg(long, value_name = "GLOB", add = Takes::Nothing)]
    include: Vec<OsString>,
    /// Leave out files whose name matches.
    #[arg(long, value_name = "GLOB", add = Takes::Nothing)]
    exclude: Vec<OsString>,
    /// Leave out directories whose name matches.
    #[arg(long, value_name = "GLOB", add = Takes::Nothing)]
    exclude_dir: Vec<OsString>,
    /// A pattern; several are alternatives.
    #[arg(short = 'e', long, value_name = "PATTERN", allow_hyphen_values = true, add = Takes::Nothing)]
    regexp: Vec<OsString>,
    /// Patterns of a file, one a line.
    #[arg(short, long, value_name = "FILE", add = Takes::Path)]
    file: Vec<OsString>,
    /// Take all files for text.
    #[arg(short = 'a', long)]
    text: bool,
    /// Treat binary files as not matching.
    #[arg(short = 'I')]
    no_binary: bool,
    /// What is done with files that are no text.
    #[arg(long, value_name = "TYPE", value_parser = ["binary", "text", "without-match"])]
    binary_files: Option<String>,
    /// Lines end with NUL.
    #[arg(short = 'z', long)]
    null_data: bool,
    /// Print NUL after names of files.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Begin the text of each line at a tab stop, where something is before it.
    #[arg(short = 'T', long)]
    initial_tab: bool,
    /// What standard input is called before its lines.
    #[arg(long, value_name = "NAME", add = Takes::Nothing)]
    label: Option<OsString>,
    /// Print where in its file each line begins.
    #[arg(short, long)]
    byte_offset: bool,
    /// Write out each line at once.
    #[arg(long)]
    line_buffered: bool,
    /// The pattern, unless -e or -f give one, and files; `-` is standard input.
    #[arg(value_name = "PATTERN|FILE", add = Takes::Path)]
    operands: Vec<OsString>,
}

/// What is done with a file that is no regular one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kinds {
    Read,
    Skip,
    Recurse,
}

fn devices(word: &str) -> std::result::Result<Kinds, &'static str> {
    match word {
        "read" => Ok(Kinds::Read),
        "skip" => Ok(Kinds::Skip),
        _ => Err("it is read or skip"),
    }
}

impl Command for Grep {
    type Row = NoRow;
    const PLACE: Place = Place::Inside;
    const NEEDS: Needs = Needs::STDIN;
    const COLORS: bool = true;
    const REPLACES: &'static str = "GNU grep";
    const FIELDS: &'static [Field] = &[
        field("path", Kind::Text, "the file"),
        field("line", Kind::Number, "the line's number, from 1"),
        more("column", Kind::Number, "the byte of the line where its first match begins, from 1"),
        more("offset", Kind::Number, "where the line begins in the file; with -o the match"),
        more("match", Kind::Text, "the first match"),
        field("text", Kind::Text, "the line; with -o the match"),
        more("selected", Kind::Flag, "false for a line of context"),
        field("count", Kind::Number, "with -c: how many lines were selected"),
        more("binary", Kind::Flag, "true for a file that is no text, but matches"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example { line: "grep root /etc/passwd", what: "lines that have the word" },
        Example { line: "grep -rn localhost /etc", what: "files below a directory" },
        Example { line: "ps -ef | grep -v kworker", what: "what another command prints" },
        Example { line: "grep -r o /etc | count path", what: "which files have how many" },
    ];

    fn rewrite(args: Vec<OsString>) -> Vec<OsString> {
        args::rewrite(args)
    }

    fn reads_stdin(&self) -> bool {
        let taken = usize::from(self.regexp.is_empty() && self.file.is_empty());
        let files = self.operands.get(taken..).unwrap_or_default();
        (files.is_empty() && !self.is_recursive()) || files.iter().chain(&self.file).any(|file| file == "-")
    }

    fn complete(at: &Completion) -> Option<Takes> {
        let is_given = |word: &String| ["-e", "-f", "--regexp", "--file"].iter().any(|o| word.starts_with(o));
        // The pattern.
        (at.operands == 0 && !at.words.iter().any(is_given)).then_some(Takes::Nothing)
    }

    fn run(self, cx: &mut Context, out: &mut Output<NoRow>) -> Result<Status> {
        let (patterns, mut operands) = plan::patterns(&self)?;
        let plan = Plan::new(&self, cx, out.is_json())?;
        let spans = plan.only_matching || plan.color || plan.json;
        let matcher = Matcher::new(&patterns, plan::how(&self), spans).map_err(Fault::usage)?;
        if plan.most == 0 {
            return Ok(Status(1));
        }
        if operands.is_empty() {
            operands.push(if self.is_recursive() { "." } else { "-" }.into());
        }
        let search = Search::new(&plan, &matcher, false);
        Run::new(&self, &plan, cx, out, search).all(&operands)
    }
}

impl Grep {
    /// What ends a line.
    fn end(&self) -> u8 {
        if self.null_data { 0 } else { b'\n' }
    }

    /// Whether directories are searched.
    fn is_recursive(&self) -> bool {
        self.recursive || self.dereference_recursive || self.directories == Some(Kinds::Recurse)
    }

    /// Whether names are printed, of files that are named themselves.
    fn names(&self, operands: usize) -> bool {
        !self.no_filename && (self.with_filename || operands > 1)
    }

    /// Whether names are printed of files below a directory.
    fn names_in_trees(&self) -> bool {
        !self.no_filename
    }

    /// Whether no file was named.
    fn has_no_files(&self) -> bool {
        let taken = usize::from(self.regexp.is_empty() && self.file.is_empty());
        self.operands.len() <= taken
    }
}
