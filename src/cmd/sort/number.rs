//! Numbers of any length, compared as they are written.

use std::cmp::Ordering;

use super::key::is_blank;

/// A number's digits, without those that say nothing.
struct Digits<'a> {
    is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    text.get(blanks..).unwrap_or_default()
}

/// Splits what begins with a number; where there is none it is 0. Also what comes after it.
fn digits(text: &[u8]) -> (Digits<'_>, &[u8]) {
    let text = skip_blanks(text);
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, rest) = leading_digits(text);
    let (fraction, rest) = match rest.strip_prefix(b".") {
        Some(rest) => leading_digits(rest),
        None => (&b""[..], rest),
    };
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    let whole = whole.get(zeros..).unwrap_or_default();
    let zeros = fraction.iter().rev().take_while(|byte| **byte == b'0').count();
    let fraction = fraction.get(..fraction.len() - zeros).unwrap_or_default();
    let is_zero = whole.is_empty() && fraction.is_empty();
    (Digits { is_negative: is_negative && !is_zero, whole, fraction }, rest)
}

fn leading_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn compare_digits(a: &Digits, b: &Digits) -> Ordering {
    match (a.is_negative, b.is_negative) {
        (true, false) => return Ordering::Less,
        (false, true) => return Ordering::Greater,
        _ => {}
    }
    let size = a
        .whole
        .len()
        .cmp(&b.whole.len())
        .then_with(|| a.whole.cmp(b.whole))
        .then_with(|| a.fraction.cmp(b.fraction));
    if a.is_negative { size.reverse() } else { size }
}

/// -n.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    compare_digits(&digits(a).0, &digits(b).0)
}

/// Grows with the number: its whole part, as far as that fits.
pub fn rank(text: &[u8]) -> u64 {
    let (number, _) = digits(text);
    let mut whole = 0_i64;
    for &digit in number.whole {
        whole = whole.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
        if whole == i64::MAX {
            break;
        }
    }
    let signed = if number.is_negative { -whole } else { whole };
    (signed as u64) ^ (1 << 63)
}

/// -h: by sign, then unit, then number.
pub fn compare_human(a: &[u8], b: &[u8]) -> Ordering {
    let ((a, rest_of_a), (b, rest_of_b)) = (digits(a), digits(b));
    unit(&a, rest_of_a).cmp(&unit(&b, rest_of_b)).then_with(|| compare_digits(&a, &b))
}

fn unit(number: &Digits, rest: &[u8]) -> i32 {
    if number.whole.is_empty() && number.fraction.is_empty() {
        return 0;
    }
    let power = match rest.first() {
        Some(b'k' | b'K') => 1,
        Some(b'M') => 2,
        Some(b'G') => 3,
        Some(b'T') => 4,
        Some(b'P') => 5,
        Some(b'E') => 6,
        Some(b'Z') => 7,
        Some(b'Y') => 8,
        Some(b'R') => 9,
        Some(b'Q') => 10,
        _ => 0,
    };
    if number.is_negative { -power } else { power }
}

/// -g: what is no number, then NaN, then numbers.
pub fn compare_general(a: &[u8], b: &[u8]) -> Ordering {
    match (general(a), general(b)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())),
    }
}

/// The number that a text begins with, as strtod(3) reads it, without hexadecimal ones.
fn general(text: &[u8]) -> Option<f64> {
    let text = text.trim_ascii_start();
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let begins =
        |word: &[u8]| unsigned.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    let is_negative = text.first() == Some(&b'-');
    if begins(b"inf") {
        return Some(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if begins(b"nan") {
        return Some(f64::NAN);
    }
    let (whole, rest) = leading_digits(unsigned);
    let (fraction, after) = match rest.strip_prefix(b".") {
        Some(rest) => leading_digits(rest),
        None => (&b""[..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut end = text.len() - after.len();
    if let Some(exponent) = after.strip_prefix(b"e").or_else(|| after.strip_prefix(b"E")) {
        let unsigned = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+"));
        let (digits, rest) = leading_digits(unsigned.unwrap_or(exponent));
        if !digits.is_empty() {
            end = text.len() - rest.len();
        }
    }
    let number = std::str::from_utf8(text.get(..end)?).ok()?;
    number.strip_suffix('.').unwrap_or(number).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order() {
        let numbers =
            ["-100000000000000000000", "-2", "-1.5", "-.5", "0", ".05", ".5", "  1", "1.5", "10", "9e9x"];
        let sorted =
            ["-100000000000000000000", "-2", "-1.5", "-.5", "0", ".05", ".5", "  1", "1.5", "9e9x", "10"];
        let mut mine = numbers;
        mine.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(mine, sorted);
        for (one, other) in [("-0", "0"), ("", "0"), ("x", "0"), ("007", "7.0"), ("-", "0"), (".", "0")] {
            assert_eq!(compare(one.as_bytes(), other.as_bytes()), Ordering::Equal, "{one} {other}");
        }
        for pair in sorted.windows(2) {
            assert!(rank(pair[0].as_bytes()) <= rank(pair[1].as_bytes()), "{pair:?}");
        }
    }

    #[test]
    fn units_and_exponents() {
        let human = ["-1G", "-2K", "-5", "0", "x", "7", "1K", "3k", "1M", "2.5G"];
        for pair in human.windows(2) {
            let order = compare_human(pair[0].as_bytes(), pair[1].as_bytes());
            assert_ne!(order, Ordering::Greater, "{pair:?}");
        }
        let general = ["x", "nan", "-inf", "-1e9", "0", "1e-3", "1e", "12.", "1e2", "Infinity"];
        for pair in general.windows(2) {
            let order = compare_general(pair[0].as_bytes(), pair[1].as_bytes());
            assert_eq!(order, Ordering::Less, "{pair:?}");
        }
    }
}
