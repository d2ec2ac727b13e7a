//! What `find` evaluates for each file: tests and actions, and how they are joined.

use super::arguments::Regex;
use super::format::Format;
use super::parse::Numeric;
use crate::sys::fnmatch::Fnmatch;

/// An expression. Its parts are evaluated from left to right, none that can't change the result.
#[derive(Debug)]
pub enum Expression {
    /// One test or action.
    Test(Test),
    /// The opposite.
    Not(Box<Expression>),
    /// All of them.
    And(Vec<Expression>),
    /// One of them.
    Or(Vec<Expression>),
    /// Each of them; the last says the result.
    List(Vec<Expression>),
}

/// Which time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// When it was read.
    Access,
    /// When its inode was changed.
    Change,
    /// When its content was.
    Modification,
    /// When it was made.
    Birth,
}

/// Until when ages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until now.
    Now,
    /// Until the end of today.
    DayEnd,
}

/// Permissions that are asked for: `X` is other for directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// Of what is no directory.
    pub of_files: u32,
    /// Of directories.
    pub of_directories: u32,
}

/// How permissions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// They are these.
    Equal,
    /// All of these are among them.
    All,
    /// One of these is among them, or there is none to be.
    Any,
}

/// A test or an action.
#[derive(Debug)]
pub enum Test {
    /// Always holds.
    True,
    /// Never holds.
    False,
    /// The name without its directory.
    Name(Fnmatch),
    /// The whole path.
    Path(Fnmatch),
    /// Where a link leads.
    LinkName(Fnmatch),
    /// The whole path.
    Regex(Box<Regex>),
    /// Types, a bit for each `DT_*`.
    Type(u32),
    /// Types of what a link leads to.
    TargetType(u32),
    /// Units of so many bytes, begun ones too.
    Size(Numeric<u64>, u64),
    /// Whole days ago.
    Days(Clock, Numeric<f64>, Until),
    /// Minutes ago.
    Minutes(Clock, Numeric<f64>, Until),
    /// A time after this one.
    After(Clock, (i64, u32)),
    /// Permissions.
    Mode(Permissions, Bits),
    /// The owner's id.
    Uid(Numeric<u64>),
    /// The group's id.
    Gid(Numeric<u64>),
    /// The owner has no name.
    NoUser,
    /// The group has no name.
    NoGroup,
    /// Hard links.
    Links(Numeric<u64>),
    /// The inode.
    Inode(Numeric<u64>),
    /// This file, by device and inode.
    Same((u32, u32), u64),
    /// A file of no length, or a directory with nothing in it.
    Empty,
    /// access(2) allows this.
    Access(i32),
    /// Does not go into this directory.
    Prune,
    /// Ends at once.
    Quit,
    /// Prints the path and this byte.
    Print(u8),
    /// Prints as the format says.
    Printf(Format),
    /// Prints as `ls -dils` does.
    Ls,
}

impl Expression {
    /// Whether it prints.
    pub fn prints(&self) -> bool {
        match self {
            Self::Test(test) => matches!(test, Test::Print(_) | Test::Printf(_) | Test::Ls),
            Self::Not(inner) => inner.prints(),
            Self::And(parts) | Self::Or(parts) | Self::List(parts) => parts.iter().any(Self::prints),
        }
    }

    /// Whether it prints in a format of its own.
    pub fn has_format(&self) -> bool {
        match self {
            Self::Test(test) => matches!(test, Test::Printf(_)),
            Self::Not(inner) => inner.has_format(),
            Self::And(parts) | Self::Or(parts) | Self::List(parts) => parts.iter().any(Self::has_format),
        }
    }
}
