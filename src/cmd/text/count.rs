//! Numbers of lines and bytes as coreutils reads them: `10`, `-5`, `+3`, `2K`, `1kB`, `3MiB`.

/// The sign that was typed before a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// None.
    None,
    /// `+`.
    Plus,
    /// `-`.
    Minus,
}

/// A number with its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The sign.
    pub sign: Sign,
    /// The number, as large as it can be where it is larger.
    pub number: u64,
}

/// Reads a number with sign and suffix.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Count, String> {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (Sign::Plus, &text[1..]),
        Some(b'-') => (Sign::Minus, &text[1..]),
        _ => (Sign::None, text),
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, suffix) = rest.split_at(digits);
    if digits.is_empty() {
        return Err("a number is wanted: 10, 2K, 1kB".into());
    }
    // Only too large a number fails: then it is more than any file has.
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    let number = number.saturating_mul(multiplier(suffix)?);
    Ok(Count { sign, number })
}

/// What a suffix stands for: `b` 512, `K` and `KiB` 1024, `kB` and `KB` 1000, and so on to `E`.
fn multiplier(suffix: &str) -> Result<u64, String> {
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => return Ok(1),
        Some('b') if suffix == "b" => return Ok(512),
        Some('k' | 'K') => 1,
        Some('m' | 'M') => 2,
        Some('g' | 'G') => 3,
        Some('t' | 'T') => 4,
        Some('P') => 5,
        Some('E') => 6,
        Some(_) => return Err(format!("'{suffix}' is not a suffix: b, K, M, G, kB, MB")),
    };
    match letters.as_str() {
        "" | "iB" => Ok(1024_u64.pow(power)),
        "B" => Ok(1000_u64.pow(power)),
        _ => Err(format!("'{suffix}' is not a suffix: b, K, M, G, kB, MB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_suffixes() {
        for (text, sign, number) in [
            ("10", Sign::None, 10),
            ("-5", Sign::Minus, 5),
            ("+0", Sign::Plus, 0),
            ("2b", Sign::None, 1024),
            ("1K", Sign::None, 1024),
            ("1kB", Sign::None, 1000),
            ("-3MiB", Sign::Minus, 3 << 20),
            ("2G", Sign::None, 2 << 30),
            ("99999999999999999999", Sign::None, u64::MAX),
            ("99E", Sign::None, u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Count { sign, number }), "{text}");
        }
        for text in ["", "-", "x", "1x", "1bB", "1KB2", "é", "1é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
