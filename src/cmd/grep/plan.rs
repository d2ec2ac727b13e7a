//! What a search is to do, made of the options.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Grep;
use super::matcher::How;
use super::pattern::Syntax;
use crate::cmd::input::Input;
use crate::cmd::{Context, Fault, Result};
use crate::sys::fnmatch::Fnmatch;

/// The longest pattern file.
const MOST_PATTERNS: u64 = 16 << 20;

/// What is done with a file that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// That it matches is said.
    Told,
    /// It is taken for text.
    Text,
    /// It does not match.
    WithoutMatch,
}

/// What is listed instead of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Files that have a line.
    Matching,
    /// Files that have none.
    NotMatching,
}

/// What a search is to do.
pub struct Plan {
    /// Select lines that do not match.
    pub invert: bool,
    /// Count lines.
    pub count: bool,
    /// List files.
    pub list: Option<List>,
    /// The status alone matters.
    pub status_only: bool,
    /// Print matches alone.
    pub only_matching: bool,
    /// Print numbers of lines.
    pub numbers: bool,
    /// Print byte offsets.
    pub offsets: bool,
    /// Selected lines of a file, at most.
    pub most: u64,
    /// Lines before and after; none where groups are not kept apart.
    pub context: Option<(usize, usize)>,
    /// What is done with files that are no text.
    pub binary: Binary,
    /// What ends a line.
    pub end: u8,
    /// A tab before the text.
    pub tab: bool,
    /// NUL after names.
    pub null: bool,
    /// Colours.
    pub color: bool,
    /// Control characters in what is printed are shown, since a person reads it.
    pub escape: bool,
    /// JSON rows.
    pub json: bool,
    /// Write each line as it is found.
    pub line_buffered: bool,
    /// Files that are searched.
    pub include: Vec<Fnmatch>,
    /// Files that are not.
    pub exclude: Vec<Fnmatch>,
    /// Directories that are not.
    pub exclude_dir: Vec<Fnmatch>,
}

impl Plan {
    /// Of the options.
    ///
    /// # Errors
    /// Usage faults.
    pub fn new(grep: &Grep, cx: &Context, json: bool) -> Result<Self> {
        let both = grep.context;
        let (before, after) = (grep.before.or(both), grep.after.or(both));
        let context = (before.is_some() || after.is_some())
            .then(|| (before.unwrap_or(0) as usize, after.unwrap_or(0) as usize));
        let list = match (grep.files_with_matches, grep.files_without_match) {
            (true, _) => Some(List::Matching),
            (_, true) => Some(List::NotMatching),
            _ => None,
        };
        let binary = match grep.binary_files.as_deref() {
            _ if grep.text => Binary::Text,
            _ if grep.no_binary => Binary::WithoutMatch,
            Some("text") => Binary::Text,
            Some("without-match") => Binary::WithoutMatch,
            _ => Binary::Told,
        };
        let globs =
            |globs: &[OsString]| globs.iter().map(|glob| Fnmatch::new(glob.as_bytes(), false)).collect();
        let directories: Vec<OsString> = grep
            .exclude_dir
            .iter()
            .map(|glob| {
                let bytes = glob.as_bytes();
                let kept = bytes.iter().rposition(|byte| *byte != b'/').map_or(bytes.len(), |at| at + 1);
                OsStr::from_bytes(&bytes[..kept]).to_owned()
            })
            .collect();
        Ok(Self {
            invert: grep.invert_match,
            count: grep.count && list.is_none() && !grep.quiet,
            list: list.filter(|_| !grep.quiet),
            status_only: grep.quiet,
            only_matching: grep.only_matching,
            numbers: grep.line_number || json,
            offsets: grep.byte_offset,
            most: grep.max_count.unwrap_or(u64::MAX),
            context,
            binary: if grep.null_data && binary == Binary::Told { Binary::Text } else { binary },
            end: grep.end(),
            tab: grep.initial_tab,
            null: grep.null,
            color: cx.color && !json,
            escape: cx.tty && !json,
            json,
            line_buffered: grep.line_buffered,
            include: globs(&grep.include),
            exclude: globs(&grep.exclude),
            exclude_dir: globs(&directories),
        })
    }

    /// Whether lines are not printed.
    pub fn is_quiet(&self) -> bool {
        self.count || self.stops_at_first()
    }

    /// Whether the first selected line of a file says all.
    pub fn stops_at_first(&self) -> bool {
        self.list.is_some() || self.status_only
    }

    /// Whether a file that was named, or found below a directory, is searched.
    pub fn wants(&self, name: &[u8]) -> bool {
        (self.include.is_empty() || any_suffix(&self.include, name)) && !any_suffix(&self.exclude, name)
    }

    /// Whether a directory is left out.
    pub fn leaves_out(&self, name: &[u8]) -> bool {
        any_suffix(&self.exclude_dir, name)
    }
}

/// Whether a name matches, or what of it follows a slash.
fn any_suffix(globs: &[Fnmatch], name: &[u8]) -> bool {
    if globs.is_empty() {
        return false;
    }
    let starts = (0..name.len())
        .filter(|at| *at == 0 || (name[at - 1] == b'/' && name[*at] != b'/'))
        .map(|at| &name[at..]);
    starts.into_iter().any(|name| globs.iter().any(|glob| glob.matches(name)))
}

/// How patterns are matched.
pub fn how(grep: &Grep) -> How {
    let syntax = match (grep.fixed_strings, grep.extended_regexp) {
        (true, _) => Syntax::Fixed,
        (_, true) => Syntax::Extended,
        _ => Syntax::Basic,
    };
    How {
        syntax,
        perl: grep.perl_regexp,
        ignore_case: grep.ignore_case && !grep.no_ignore_case,
        word: grep.word_regexp,
        line: grep.line_regexp,
        end: grep.end(),
    }
}

/// The patterns, and the operands that are left.
///
/// # Errors
/// Where there is none, or a file of them can't be read.
pub fn patterns(grep: &Grep) -> Result<(Vec<Vec<u8>>, Vec<OsString>)> {
    let mut operands = grep.operands.clone();
    let mut texts: Vec<Vec<u8>> = grep.regexp.iter().map(|pattern| pattern.as_bytes().to_vec()).collect();
    for path in &grep.file {
        let mut text = Vec::new();
        let mut input = Input::open(path).map_err(|fault| fault.with_status(2))?;
        input
            .by_ref()
            .take(MOST_PATTERNS + 1)
            .read_to_end(&mut text)
            .map_err(|error| input.fault(&error).with_status(2))?;
        if text.len() as u64 > MOST_PATTERNS {
            return Err(Fault::text("read", path, "more than 16 MiB of patterns").with_status(2));
        }
        if text.last() == Some(&b'\n') {
            text.pop();
        } else if text.is_empty() {
            continue;
        }
        texts.push(text);
    }
    if grep.regexp.is_empty() && grep.file.is_empty() {
        if operands.is_empty() {
            return Err(Fault::usage("a pattern is missing").with_hint("grep PATTERN FILE"));
        }
        texts.push(operands.remove(0).into_vec());
    }
    // A pattern counts once: millions of equal ones would be compiled each.
    let mut seen = HashSet::new();
    let lines = texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
    let patterns = lines.filter(|line| seen.insert(*line)).map(<[u8]>::to_vec).collect();
    Ok((patterns, operands))
}
