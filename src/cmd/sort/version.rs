//! Versions as GNU compares them (gnulib, filevercmp): digits by value, `~` before everything, suffixes of files last.

use std::cmp::Ordering;

/// Compares two versions.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    // `.` and `..` come first, then hidden names.
    let special = |name: &[u8]| match name {
        b"." => 0,
        b".." => 1,
        [b'.', ..] => 2,
        _ => 3,
    };
    let order = special(a).cmp(&special(b));
    if order != Ordering::Equal || special(a) < 2 {
        return order;
    }
    let (short_a, short_b) = (without_suffix(a), without_suffix(b));
    let order = by_parts(short_a, short_b);
    let is_whole = short_a.len() == a.len() && short_b.len() == b.len();
    if order != Ordering::Equal || is_whole { order } else { by_parts(a, b) }
}

/// The name without `(\.[A-Za-z~][A-Za-z0-9~]*)*` at its end.
fn without_suffix(name: &[u8]) -> &[u8] {
    let at = |i: usize| name.get(i).copied().unwrap_or(0);
    let mut prefix = 0;
    let mut i = 0;
    loop {
        // The name may be a suffix from its first byte: `.a` is all suffix.
        while i + 1 < name.len() && at(i) == b'.' && (at(i + 1).is_ascii_alphabetic() || at(i + 1) == b'~') {
            i += 2;
            while i < name.len() && (at(i).is_ascii_alphanumeric() || at(i) == b'~') {
                i += 1;
            }
        }
        if i >= name.len() {
            break;
        }
        i += 1;
        prefix = i;
    }
    name.get(..prefix).unwrap_or(name)
}

/// The place of a byte that is no digit; the end comes before all but `~`.
fn place(byte: Option<u8>) -> i32 {
    match byte {
        None => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(b'~') => -2,
        Some(byte) => i32::from(byte) + 256,
    }
}

fn by_parts(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    let is_other = |text: &[u8]| text.first().is_some_and(|byte| !byte.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        while is_other(a) || is_other(b) {
            let order = place(a.first().copied()).cmp(&place(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let (number_of_a, number_of_b);
        (number_of_a, a) = number(a);
        (number_of_b, b) = number(b);
        let order = number_of_a.len().cmp(&number_of_b.len()).then_with(|| number_of_a.cmp(number_of_b));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Digits without zeros before them, and what comes after.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let zeros = text.iter().take_while(|byte| **byte == b'0').count();
    let text = text.get(zeros..).unwrap_or_default();
    text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        let names = [
            "",
            ".",
            "..",
            ".a",
            ".0",
            "1.0~rc1",
            "1.0",
            "1.9",
            "1.10",
            "a1.tar.gz",
            "a2.tar.gz",
            "a10.tar.gz",
            "ab",
            "b",
        ];
        for pair in names.windows(2) {
            assert_eq!(compare(pair[0].as_bytes(), pair[1].as_bytes()), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare(b"a01", b"a1"), Ordering::Equal);
    }
}
