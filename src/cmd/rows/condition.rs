//! The conditions of `where`: words, since a line's `<` and `>` redirect.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

use super::value::Typed;
use super::{Fields, lookup};
use crate::out::Kind;

/// The words between a field and a value, and what they mean.
pub const OPERATORS: [(&str, &str); 10] = [
    ("eq", "equal"),
    ("ne", "not equal"),
    ("lt", "less"),
    ("le", "less or equal"),
    ("gt", "greater"),
    ("ge", "greater or equal"),
    ("has", "has this in it; of a list, this one"),
    ("starts", "begins with this"),
    ("ends", "ends with this"),
    ("matches", "matches this regular expression"),
];

/// A condition on a row.
#[derive(Debug)]
pub enum Condition {
    /// The field is there: neither null, false, 0 nor empty.
    Is(String),
    /// A field compared with a value.
    Compare(String, Option<Kind>, Comparison, Typed),
    /// A regular expression.
    Matches(String, Regex),
    /// Not.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either.
    Or(Box<Self>, Box<Self>),
}

/// How a field and a value are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Ordered so: less, equal or greater, each allowed or not.
    Ordered(bool, bool, bool),
    /// Has it in it.
    Has,
    /// Begins with it.
    Starts,
    /// Ends with it.
    Ends,
}

impl Condition {
    /// Whether it holds for a row. A comparison with what is null or of another kind never does, but for `ne`.
    pub fn holds(&self, row: &Fields) -> bool {
        match self {
            Self::Not(inner) => !inner.holds(row),
            Self::And(a, b) => a.holds(row) && b.holds(row),
            Self::Or(a, b) => a.holds(row) || b.holds(row),
            Self::Is(field) => lookup(row, field).is_some_and(is_there),
            Self::Matches(field, pattern) => {
                texts(lookup(row, field)).iter().any(|text| pattern.is_match(text))
            }
            Self::Compare(field, kind, comparison, typed) => {
                compare(lookup(row, field), *kind, *comparison, typed)
            }
        }
    }
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// What text operators look at: a string, a number as it is written, or each of a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => all.iter().flat_map(|one| texts(Some(one))).collect(),
        Some(other) => vec![other.to_string()],
    }
}

fn compare(value: Option<&Value>, kind: Option<Kind>, comparison: Comparison, typed: &Typed) -> bool {
    let text = typed.text();
    match comparison {
        Comparison::Ordered(less, equal, greater) => {
            match value.and_then(|value| typed.compare(value, kind)) {
                Some(Ordering::Less) => less,
                Some(Ordering::Equal) => equal,
                Some(Ordering::Greater) => greater,
                None => less && greater && !equal,
            }
        }
        Comparison::Has => match value {
            Some(list @ Value::Array(_)) => texts(Some(list)).iter().any(|one| one == text),
            other => texts(other).iter().any(|one| one.contains(text)),
        },
        Comparison::Starts => texts(value).iter().any(|one| one.starts_with(text)),
        Comparison::Ends => texts(value).iter().any(|one| one.ends_with(text)),
    }
}

/// Parses words: `rss gt 100M and not user eq root`. `and` binds closer than `or`; parentheses are words of their own.
/// `kind` tells the kind of a field, or why it can't be asked for.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse<E: From<String>>(
    words: &[String],
    kind: &dyn Fn(&str) -> Result<Option<Kind>, E>,
) -> Result<Condition, E> {
    let mut parser = Parser { words, at: 0, depth: 0, kind };
    let condition = parser.any()?;
    match parser.words.get(parser.at) {
        None => Ok(condition),
        Some(word) => Err(format!("'{}' is not expected here: and, or", shown(word)).into()),
    }
}

/// Parentheses and `not` nest so deep.
const MAX_DEPTH: u32 = 64;

struct Parser<'a, E> {
    words: &'a [String],
    at: usize,
    depth: u32,
    kind: &'a dyn Fn(&str) -> Result<Option<Kind>, E>,
}

fn shown(word: &str) -> String {
    crate::out::name::escape(word.as_bytes())
}

impl<E: From<String>> Parser<'_, E> {
    fn take(&mut self, wanted: &str) -> bool {
        let is = self.words.get(self.at).is_some_and(|word| word == wanted);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, what: &str) -> Result<String, E> {
        let word = self.words.get(self.at).cloned().ok_or_else(|| format!("{what} is missing at the end"))?;
        self.at += 1;
        Ok(word)
    }

    fn any(&mut self) -> Result<Condition, E> {
        let mut left = self.all()?;
        while self.take("or") {
            left = Condition::Or(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Condition, E> {
        let mut left = self.one()?;
        while self.take("and") {
            left = Condition::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Condition, E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the condition is nested too deep".to_owned().into());
        }
        let condition = if self.take("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err("a parenthesis is not closed".to_owned().into());
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, E> {
        let field = self.word("a field")?;
        let kind = (self.kind)(&field)?;
        let Some(operator) =
            self.words.get(self.at).filter(|word| !matches!(word.as_str(), "and" | "or" | ")"))
        else {
            return Ok(Condition::Is(field));
        };
        let comparison = match operator.as_str() {
            "eq" => Comparison::Ordered(false, true, false),
            "ne" => Comparison::Ordered(true, false, true),
            "lt" => Comparison::Ordered(true, false, false),
            "le" => Comparison::Ordered(true, true, false),
            "gt" => Comparison::Ordered(false, false, true),
            "ge" => Comparison::Ordered(false, true, true),
            "has" => Comparison::Has,
            "starts" => Comparison::Starts,
            "ends" => Comparison::Ends,
            "matches" => {
                self.at += 1;
                let pattern = self.word("a pattern")?;
                let regex = regex::RegexBuilder::new(&pattern).size_limit(1 << 20).build();
                let regex =
                    regex.map_err(|_| format!("'{}' is not a regular expression", shown(&pattern)))?;
                return Ok(Condition::Matches(field, regex));
            }
            other => {
                let known: Vec<&str> = OPERATORS.iter().map(|operator| operator.0).collect();
                return Err(format!("'{}' is not an operator: {}", shown(other), known.join(", ")).into());
            }
        };
        self.at += 1;
        let typed = Typed::new(&self.word("a value")?);
        if let (Comparison::Ordered(..), Some(kind)) = (comparison, kind)
            && let Err(wanted) = typed.suits(kind)
        {
            return Err(format!(
                "{} is compared with {wanted}, not '{}'",
                shown(&field),
                shown(typed.text())
            )
            .into());
        }
        Ok(Condition::Compare(field, kind, comparison, typed))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn condition(line: &str) -> Result<Condition, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let kind = |field: &str| Ok((field == "rss").then_some(Kind::Bytes));
        parse(&words, &kind)
    }

    #[test]
    fn conditions_hold_as_they_read() {
        let Value::Object(row) = json!({
            "pid": 7, "rss": 200 << 20, "user": "root", "args": ["a", "bc"], "tty": null, "tls": {"version": "1.3"},
        }) else {
            unreachable!()
        };
        for (line, holds) in [
            ("rss gt 100M", true),
            ("rss gt 100M and user eq web", false),
            ("user eq web or pid eq 7 and rss lt 1", false),
            ("user eq web or pid eq 7 and not rss lt 1", true),
            ("( user eq web or pid eq 7 ) and rss le 200M", true),
            ("not not pid ge 7", true),
            ("user has oo", true),
            ("args has b", false),
            ("args has bc", true),
            ("args starts b", true),
            ("user ends t and user starts r", true),
            ("user matches ^r.*t$", true),
            ("tty", false),
            ("user", true),
            ("tty eq 1", false),
            ("tty ne 1", true),
            ("none lt 1", false),
            ("tls.version eq 1.3", true),
        ] {
            assert_eq!(condition(line).unwrap().holds(&row), holds, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, words) in [
            ("rss gt", "a value is missing"),
            ("rss > 1", "'>' is not an operator: eq, ne"),
            ("rss gt lots", "rss is compared with a number of bytes"),
            ("( pid", "not closed"),
            ("pid eq 1 2", "'2' is not expected here"),
            ("user matches (", "not a regular expression"),
            ("pid and", "a field is missing"),
        ] {
            let said = condition(line).unwrap_err();
            assert!(said.contains(words), "{line}: {said}");
        }
        assert!(condition(&"not ".repeat(100)).is_err());
    }
}
