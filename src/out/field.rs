//! Names and kinds of the fields of JSON rows: what documentation lists, and how row filters compare and show them.

/// What a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string. A name that is not UTF-8 has the spelling of [`super::Name`].
    Text,
    /// A number without a unit.
    Number,
    /// A number of bytes.
    Bytes,
    /// A number of seconds.
    Seconds,
    /// An RFC 3339 time in UTC.
    Time,
    /// true or false.
    Flag,
    /// A list of strings or numbers.
    List,
    /// An object, or a list of objects.
    Object,
}

impl Kind {
    /// As the documentation names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Time => "time",
            Self::Flag => "true or false",
            Self::List => "list",
            Self::Object => "object",
        }
    }
}

/// The field that `--all --json` puts first in each object: whose it is. No row has a field of this name.
pub const IN_TARGET: &str = "in_target";

/// One field of a command's JSON rows. Its name is stable.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value is; any may be null.
    pub kind: Kind,
    /// What it says, in a few words.
    pub what: &'static str,
    /// Whether a row filter shows it unasked.
    pub is_shown: bool,
}

/// A field that a row filter shows as a column.
pub const fn field(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, what, is_shown: true }
}

/// A field that is shown where `select` asks for it.
pub const fn more(name: &'static str, kind: Kind, what: &'static str) -> Field {
    Field { name, kind, what, is_shown: false }
}
