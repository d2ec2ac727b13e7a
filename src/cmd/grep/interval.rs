//! Intervals of POSIX patterns: `{3,5}`.

/// The largest count, RE_DUP_MAX.
pub const MOST_REPEATS: u32 = 0x7fff;

/// What is said of larger ones.
pub fn too_big() -> String {
    "the regular expression is too big".to_owned()
}

/// `3}`, `3,}`, `,3}` or `3,5}`, what follows, and whether the brace has a backslash.
pub fn interval(text: &[u8], backslash: bool) -> Option<(u32, Option<u32>, &[u8])> {
    let (least, rest) = number(text);
    let (least, most, rest) = match rest.split_first() {
        Some((b',', rest)) => {
            let (most, rest) = number(rest);
            (least.unwrap_or(0), most, rest)
        }
        _ => (least?, least, rest),
    };
    let rest = if backslash { rest.strip_prefix(b"\\")? } else { rest };
    let rest = rest.strip_prefix(b"}")?;
    if most.is_some_and(|most| most < least) { None } else { Some((least, most, rest)) }
}

/// `}` or `5,3}`: an interval in its form that matches no count. Other braces are literal.
pub fn is_empty_interval(text: &[u8]) -> bool {
    let (_, rest) = number(text);
    let rest = rest.strip_prefix(b",").map_or(rest, |rest| number(rest).1);
    rest.first() == Some(&b'}')
}

fn number(text: &[u8]) -> (Option<u32>, &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let value =
        digits.iter().fold(0u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    ((length > 0).then_some(value), rest)
}

/// A count in crate regex's syntax.
pub fn count(least: u32, most: Option<u32>) -> String {
    most.map_or_else(|| format!("{{{least},}}"), |most| format!("{{{least},{most}}}"))
}
