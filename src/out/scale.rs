//! What sizes are counted in: the options -h, --si and --block-size of coreutils.

use super::units;

/// A unit, or a scale for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// So many bytes, rounded up; a unit that was named without a number stands behind the number.
    Units {
        /// Bytes of one.
        bytes: u64,
        /// What is printed behind the number.
        suffix: &'static str,
    },
    /// `1.5K`, powers of 1024.
    Human,
    /// `1.5k`, powers of 1000.
    Si,
}

impl Scale {
    /// Bytes.
    pub const BYTES: Self = Self::Units { bytes: 1, suffix: "" };
    /// Blocks of 1 KiB.
    pub const KIBIBYTES: Self = Self::Units { bytes: 1024, suffix: "" };

    /// A size as this counts.
    pub fn text(self, size: u64) -> String {
        match self {
            Self::Units { bytes, suffix } => format!("{}{suffix}", size.div_ceil(bytes.max(1))),
            Self::Human => units::bytes(size),
            Self::Si => units::decimal_bytes(size),
        }
    }
}

/// Reads the value of --block-size: `512`, `1M`, `MB`, `human-readable`, `si`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Scale, String> {
    const WRONG: &str = "a size is wanted: 512, 4K, M, MB, MiB, human-readable, si";
    match text {
        "human-readable" | "h" => return Ok(Scale::Human),
        "si" => return Ok(Scale::Si),
        _ => {}
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (bytes, suffix) = match unit {
        "" => (1, ""),
        "b" if digits > 0 => (512, ""),
        "B" if digits > 0 => (1, ""),
        "k" | "K" => (1 << 10, "K"),
        "KiB" => (1 << 10, "KiB"),
        "kB" | "KB" => (1000, "kB"),
        "m" | "M" => (1 << 20, "M"),
        "MiB" => (1 << 20, "MiB"),
        "MB" => (1_000_000, "MB"),
        "g" | "G" => (1 << 30, "G"),
        "GiB" => (1 << 30, "GiB"),
        "GB" => (1_000_000_000, "GB"),
        "t" | "T" => (1 << 40, "T"),
        "TiB" => (1 << 40, "TiB"),
        "TB" => (1_000_000_000_000, "TB"),
        "P" => (1 << 50, "P"),
        "E" => (1 << 60, "E"),
        _ => return Err(WRONG.into()),
    };
    if digits == 0 {
        return if unit.is_empty() { Err(WRONG.into()) } else { Ok(Scale::Units { bytes, suffix }) };
    }
    let number: u64 = number.parse().map_err(|_| WRONG.to_owned())?;
    match number.checked_mul(bytes) {
        Some(bytes) if bytes > 0 => Ok(Scale::Units { bytes, suffix: "" }),
        _ => Err(WRONG.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_coreutils_reads_them() {
        for (text, size, shown) in [
            ("1", 5000, "5000"),
            ("512", 5000, "10"),
            ("K", 5000, "5K"),
            ("1K", 5000, "5"),
            ("KB", 5000, "5kB"),
            ("MiB", 5000, "1MiB"),
            ("2M", 5 << 20, "3"),
            ("1kB", 4999, "5"),
            ("human-readable", 5000, "4.9K"),
            ("si", 5000, "5.0k"),
        ] {
            assert_eq!(parse(text).map(|scale| scale.text(size)).as_deref(), Ok(shown), "{text}");
        }
        for text in ["", "0", "x", "1x", "-1", "99999999999999999999", "99999999999E", "B"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
