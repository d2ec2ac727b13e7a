//! Values of fields: how they are read from what is typed, compared, and shown in a cell.

use std::cmp::Ordering;

use serde_json::Value;

use crate::out::{Kind, units};

/// A value as it was typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    text: String,
}

impl Typed {
    /// What was typed.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// As text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How a field's value stands to it; none where the two can't be compared.
    pub fn compare(&self, value: &Value, kind: Option<Kind>) -> Option<Ordering> {
        match value {
            Value::Null | Value::Object(_) | Value::Array(_) => None,
            Value::Bool(flag) => Some(flag.cmp(&truth(&self.text)?)),
            Value::Number(number) => {
                let typed = match kind {
                    Some(Kind::Seconds) => seconds(&self.text)?,
                    _ => number_with_unit(&self.text)?,
                };
                compare_numbers(number, typed)
            }
            Value::String(text) if kind == Some(Kind::Time) => Some(time(text)?.cmp(&time(&self.text)?)),
            Value::String(text) => Some(text.as_str().cmp(&self.text)),
        }
    }

    /// Whether it can be compared with a field of this kind at all, and if not, what it should be.
    pub fn suits(&self, kind: Kind) -> Result<(), &'static str> {
        let (is, wanted) = match kind {
            Kind::Bytes => (number_with_unit(&self.text).is_some(), "a number of bytes: 512, 100M, 1.5G"),
            Kind::Number => (number_with_unit(&self.text).is_some(), "a number"),
            Kind::Seconds => (seconds(&self.text).is_some(), "a time: 0.5, 30s, 5m, 2h, 1d"),
            Kind::Time => (time(&self.text).is_some(), "a date or a time: 2026-01-31, 2026-01-31T12:00:00Z"),
            Kind::Flag => (truth(&self.text).is_some(), "true or false"),
            Kind::Text | Kind::List | Kind::Object => (true, ""),
        };
        if is { Ok(()) } else { Err(wanted) }
    }
}

/// A typed number: a whole one exactly, so that inodes and sizes compare to their last digit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Real(f64),
}

fn compare_numbers(number: &serde_json::Number, typed: Number) -> Option<Ordering> {
    let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    match (whole, typed) {
        (Some(whole), Number::Whole(typed)) => Some(whole.cmp(&typed)),
        (_, Number::Whole(typed)) => number.as_f64()?.partial_cmp(&(typed as f64)),
        (_, Number::Real(typed)) => number.as_f64()?.partial_cmp(&typed),
    }
}

/// A number with a unit of powers of 1024 behind it or none: `100M`, `1.5GiB`, `0x1f`.
fn number_with_unit(text: &str) -> Option<Number> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i128::from_str_radix(hex, 16).ok().map(Number::Whole);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        _ => return None,
    };
    match digits.parse::<i128>() {
        Ok(whole) => whole.checked_mul(1 << shift).map(Number::Whole),
        Err(_) => digits
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .map(|n| Number::Real(n * (1_u64 << shift) as f64)),
    }
}

/// A number of seconds, or one with a unit: `30s`, `5m`, `2h`, `1d`, `10ms`.
fn seconds(text: &str) -> Option<Number> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match text.get(digits.len()..)? {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "us" => 0.000_001,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| Number::Real(n * scale))
}

/// Whole seconds as the digits of date and time, and nanoseconds: what orders RFC 3339 times in UTC. Parts at the end may
/// be left out.
fn time(text: &str) -> Option<([u32; 6], u32)> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = [0, 1, 1, 0, 0, 0];
    let mut count = 0;
    for (part, word) in parts.iter_mut().zip(whole.split(['-', 'T', ' ', ':'])) {
        *part = word.parse().ok()?;
        count += 1;
    }
    let separators = whole.bytes().filter(|byte| matches!(byte, b'-' | b'T' | b' ' | b':')).count();
    let padded = format!("{fraction:0<9}");
    (count == separators + 1 && whole.len() >= 4).then_some((parts, padded.get(..9)?.parse().ok()?))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// The order of two fields' values: numbers before text, what is missing last.
pub fn order(a: Option<&Value>, b: Option<&Value>, kind: Option<Kind>) -> Ordering {
    let rank = |value: Option<&Value>| match value {
        Some(Value::Number(_)) => 0,
        Some(Value::Bool(_)) => 1,
        Some(Value::String(_)) => 2,
        Some(Value::Array(_) | Value::Object(_)) => 3,
        Some(Value::Null) | None => 4,
    };
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            let typed = b.as_i64().map(i128::from).or(b.as_u64().map(i128::from));
            let typed = typed.map_or_else(|| Number::Real(b.as_f64().unwrap_or(0.0)), Number::Whole);
            compare_numbers(a, typed).unwrap_or(Ordering::Equal)
        }
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(Value::String(a)), Some(Value::String(b))) => match kind {
            Some(Kind::Time) => time(a).cmp(&time(b)),
            _ => a.cmp(b),
        },
        (Some(a @ (Value::Array(_) | Value::Object(_))), Some(b @ (Value::Array(_) | Value::Object(_)))) => {
            a.to_string().cmp(&b.to_string())
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// A field's value for people.
pub fn cell(value: Option<&Value>, kind: Option<Kind>) -> String {
    match (value, kind) {
        (None | Some(Value::Null), _) => "-".to_owned(),
        (Some(Value::Bool(flag)), _) => if *flag { "yes" } else { "no" }.to_owned(),
        (Some(Value::Number(number)), Some(Kind::Bytes)) => {
            number.as_u64().map_or_else(|| number.to_string(), units::bytes)
        }
        (Some(Value::Number(number)), Some(Kind::Seconds)) => match number.as_u64() {
            Some(whole) if whole >= 60 => units::elapsed(whole),
            Some(whole) => format!("{whole} s"),
            None => duration(number.as_f64().unwrap_or(0.0)),
        },
        (Some(Value::Number(number)), _) => number.to_string(),
        (Some(Value::String(text)), Some(Kind::Time)) => {
            // To the second.
            text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z"))
        }
        (Some(Value::String(text)), _) if text.is_empty() => "-".to_owned(),
        (Some(Value::String(text)), _) => text.clone(),
        (Some(Value::Array(all)), _) if all.is_empty() => "-".to_owned(),
        (Some(Value::Array(all)), _) => {
            all.iter().map(|one| cell(Some(one), None)).collect::<Vec<_>>().join(" ")
        }
        (Some(object @ Value::Object(_)), _) => object.to_string(),
    }
}

/// A time with a fraction: `0.4 ms`, `12.3 ms`, `1.234 s`, `05:12`.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 60.0 => units::elapsed(s as u64),
        s if s >= 1.0 => format!("{s:.3} s"),
        s => format!("{:.1} ms", s * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_has_units() {
        let compare = |value: Value, typed: &str, kind| Typed::new(typed).compare(&value, kind);
        let (less, equal, greater) = (Some(Ordering::Less), Some(Ordering::Equal), Some(Ordering::Greater));
        for (value, typed, kind, wanted) in [
            (json!(104_857_600), "100M", Some(Kind::Bytes), equal),
            (json!(104_857_601), "100MiB", Some(Kind::Bytes), greater),
            (json!(1_610_612_736), "1.5G", None, equal),
            (json!(18_446_744_073_709_551_615_u64), "18446744073709551614", None, greater),
            (json!(9_007_199_254_740_993_u64), "9007199254740992", None, greater),
            (json!(299), "5m", Some(Kind::Seconds), less),
            (json!(0.25), "250ms", Some(Kind::Seconds), equal),
            (json!("2026-01-31T00:00:00.5Z"), "2026-01-31", Some(Kind::Time), greater),
            (json!("2026-01-31T00:00:00Z"), "2026-01-31T00:00:00.000000001Z", Some(Kind::Time), less),
            (json!(true), "yes", Some(Kind::Flag), equal),
            (json!("b"), "a", None, greater),
            (json!(null), "1", None, None),
            (json!(1), "x", None, None),
        ] {
            assert_eq!(compare(value.clone(), typed, kind), wanted, "{value} {typed}");
        }
        assert!(Typed::new("lots").suits(Kind::Bytes).is_err());
        assert!(Typed::new("yesterday").suits(Kind::Time).is_err());
    }

    #[test]
    fn cells_have_units_for_people() {
        for (value, kind, wanted) in [
            (json!(123_456_789), Some(Kind::Bytes), "118M"),
            (json!(90_061), Some(Kind::Seconds), "1-01:01:01"),
            (json!(0.0123), Some(Kind::Seconds), "12.3 ms"),
            (json!(["a", 1]), Some(Kind::List), "a 1"),
            (json!(null), None, "-"),
            (json!("2026-01-31T00:00:00.5Z"), Some(Kind::Time), "2026-01-31T00:00:00Z"),
        ] {
            assert_eq!(cell(Some(&value), kind), wanted);
        }
    }

    #[test]
    fn what_is_missing_sorts_last() {
        let (one, two, none) = (json!(1), json!(2.5), Value::Null);
        assert_eq!(order(Some(&one), Some(&two), None), Ordering::Less);
        assert_eq!(order(Some(&none), Some(&two), None), Ordering::Greater);
        assert_eq!(order(None, Some(&json!("a")), None), Ordering::Greater);
    }
}
