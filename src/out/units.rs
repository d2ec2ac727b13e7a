//! Numbers for people: bytes and durations. JSON never uses these.

/// Bytes as coreutils' `-h` shows them: powers of 1024, at most one decimal, rounded up (`1023`, `1.5K`, `12M`).
pub fn bytes(count: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if count < 1024 {
        return count.to_string();
    }
    let mut scale: u128 = 1024;
    let mut unit = 0;
    while u128::from(count) >= scale * 1024 && unit + 1 < UNITS.len() {
        scale *= 1024;
        unit += 1;
    }
    loop {
        let tenths = (u128::from(count) * 10).div_ceil(scale);
        if tenths < 100 {
            return format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit]);
        }
        let whole = u128::from(count).div_ceil(scale);
        if whole < 1024 || unit + 1 == UNITS.len() {
            return format!("{whole}{}", UNITS[unit]);
        }
        scale *= 1024;
        unit += 1;
    }
}

/// Bytes as coreutils' `--si` shows them: powers of 1000 (`999`, `1.6k`, `12M`).
pub fn decimal_bytes(count: u64) -> String {
    const UNITS: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];
    if count < 1000 {
        return count.to_string();
    }
    let mut scale: u64 = 1000;
    for unit in UNITS {
        let tenths = (u128::from(count) * 10).div_ceil(u128::from(scale));
        if tenths < 100 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        let whole = count.div_ceil(scale);
        if whole < 1000 || unit == 'E' {
            return format!("{whole}{unit}");
        }
        scale *= 1000;
    }
    count.to_string()
}

/// A decimal number at the end of a line, without the machinery of `write!`: for commands that print it by the
/// ten thousand.
pub fn decimal(mut value: u64, to: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[digits.len() - used..]);
}

/// Seconds as procps' ELAPSED: `[[DD-]HH:]MM:SS`.
pub fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes, rest) =
        (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{rest:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{rest:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{rest:02}"),
    }
}

/// A UTC date and time split into its parts, from seconds since 1970 (proleptic Gregorian calendar).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    /// Year, may be negative.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// Splits seconds since 1970 into a UTC date. Days to civil date after Howard Hinnant's published algorithm.
pub fn utc(seconds: i64) -> Utc {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Utc {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as u8,
        day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
        hour: (rest / 3600) as u8,
        minute: (rest / 60 % 60) as u8,
        second: (rest % 60) as u8,
    }
}

/// RFC 3339 in UTC with nanoseconds where they are not zero: `2026-01-02T03:04:05Z`.
pub fn rfc3339(seconds: i64, nanoseconds: u32) -> String {
    let Utc { year, month, day, hour, minute, second } = utc(seconds);
    let fraction = if nanoseconds == 0 { String::new() } else { format!(".{nanoseconds:09}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The three letters of a month, 1 to 12.
pub fn month_name(month: u8) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES[usize::from(month.clamp(1, 12)) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_up_as_coreutils_does() {
        for (count, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1025, "1.1K"),
            (10 * 1024, "10K"),
            (10 * 1024 + 1, "11K"),
            (1024 * 1024 - 1, "1.0M"),
            (123_456_789, "118M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn decimal_bytes_round_up() {
        for (count, text) in [
            (999, "999"),
            (1000, "1.0k"),
            (1001, "1.1k"),
            (999_999, "1.0M"),
            (123_456_789, "124M"),
            (u64::MAX, "19E"),
        ] {
            assert_eq!(decimal_bytes(count), text);
        }
    }

    #[test]
    fn dates_before_and_after_the_epoch() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(rfc3339(-1, 0), "1969-12-31T23:59:59Z");
        assert_eq!(elapsed(59), "00:59");
        assert_eq!(elapsed(90_061), "1-01:01:01");
    }
}
