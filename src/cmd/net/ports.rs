//! Ports as they are typed.

use crate::cmd::{Fault, Result};
use crate::out::name::escape;

/// A port, or several: `80`, `8000-8010`, `80,443`.
///
/// # Errors
/// A usage fault: a port is 1 to 65535.
pub fn ports(text: &str) -> Result<Vec<u16>> {
    let port = |word: &str| {
        let wrong = || Fault::usage(format!("'{}' is not a port: it is 1 to 65535", escape(word.as_bytes())));
        if !word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        word.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err(Fault::usage(format!("the range '{part}' ends before it begins")));
                }
                all.extend(first..=last);
            }
            None => all.push(port(part)?),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_lists_and_ranges() {
        assert_eq!(ports("80").unwrap(), [80]);
        assert_eq!(ports("80,443,8000-8002").unwrap(), [80, 443, 8000, 8001, 8002]);
        assert_eq!(ports("65535-65535").unwrap(), [65535]);
        for wrong in ["", "0", "65536", "x", "-1", "+5", "9-8", "1-", "80,", "99999999999999999999"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
