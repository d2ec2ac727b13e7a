//! Archives and compressed files.

use super::What;
use super::sample::Sample;
use crate::out::name::escape;

/// Names in a ZIP that are looked at.
const NAMES: usize = 64;

/// What an archive is.
pub fn look(sample: &Sample) -> Option<What> {
    gzip(sample)
        .or_else(|| zip(sample))
        .or_else(|| tar(sample))
        .or_else(|| ar(sample))
        .or_else(|| cpio(sample))
}

/// RFC 1952.
fn gzip(sample: &Sample) -> Option<What> {
    if !sample.has(0, b"\x1f\x8b") {
        return None;
    }
    let mut text = "gzip compressed data".to_owned();
    let flags = sample.head.get(3).copied().unwrap_or(0);
    // FNAME, without FEXTRA before it.
    if flags & 0x0c == 0x08 {
        let name = sample.head.get(10..).and_then(|rest| rest.split(|byte| *byte == 0).next());
        let name = name.map(|name| name.get(..name.len().min(100)).unwrap_or_default());
        text.push_str(&format!(", was \"{}\"", escape(name.unwrap_or_default())));
    }
    let time = sample.u32_le(4).unwrap_or(0);
    if time != 0 {
        text.push_str(&format!(", last modified {}", crate::out::units::rfc3339(time.into(), 0)));
    }
    Some(What::binary(text, "application/gzip"))
}

/// APPNOTE.TXT: local file headers, one after the other.
fn zip(sample: &Sample) -> Option<What> {
    if sample.has(0, b"PK\x05\x06") {
        return Some(What::binary("Zip archive data (empty)", "application/zip"));
    }
    if !sample.has(0, b"PK\x03\x04") {
        return None;
    }
    let names = zip_names(sample);
    let has = |name: &[u8]| names.contains(&name);
    let begins = |name: &[u8]| names.iter().any(|found| found.starts_with(name));
    let first_is = |name: &[u8]| names.first().is_some_and(|found| *found == name);
    let (text, mime) = if first_is(b"mimetype") {
        let at = 30 + 8 + usize::from(sample.u16_le(28).unwrap_or(0));
        if sample.has(at, b"application/epub+zip") {
            ("EPUB document", "application/epub+zip")
        } else if sample.has(at, b"application/vnd.oasis.opendocument.text") {
            ("OpenDocument Text", "application/vnd.oasis.opendocument.text")
        } else if sample.has(at, b"application/vnd.oasis.opendocument.spreadsheet") {
            ("OpenDocument Spreadsheet", "application/vnd.oasis.opendocument.spreadsheet")
        } else {
            ("Zip archive data", "application/zip")
        }
    } else if has(b"AndroidManifest.xml") {
        ("Android package (APK)", "application/vnd.android.package-archive")
    } else if has(b"META-INF/MANIFEST.MF") || first_is(b"META-INF/") {
        ("Java archive data (JAR)", "application/java-archive")
    } else if has(b"[Content_Types].xml") && begins(b"word/") {
        ("Microsoft Word 2007+", "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
    } else if has(b"[Content_Types].xml") && begins(b"xl/") {
        ("Microsoft Excel 2007+", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    } else if has(b"[Content_Types].xml") && begins(b"ppt/") {
        (
            "Microsoft PowerPoint 2007+",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        )
    } else {
        ("Zip archive data", "application/zip")
    };
    Some(What::binary(text, mime))
}

fn zip_names(sample: &Sample) -> Vec<&[u8]> {
    let mut names = Vec::new();
    let mut at = 0_usize;
    while names.len() < NAMES && sample.has(at, b"PK\x03\x04") {
        let (Some(size), Some(name), Some(extra)) =
            (sample.u32_le(at + 18), sample.u16_le(at + 26), sample.u16_le(at + 28))
        else {
            break;
        };
        let begin = at + 30;
        let end = begin + usize::from(name);
        let Some(name) = sample.head.get(begin..end) else { break };
        names.push(name);
        let flags = sample.u16_le(at + 6).unwrap_or(0);
        let next = end + usize::from(extra) + size as usize;
        // Where the size comes after the data, the next header is looked for.
        at = if flags & 8 != 0 && size == 0 {
            let rest = sample.head.get(next..).unwrap_or_default();
            match memchr::memmem::find(rest, b"PK\x03\x04") {
                Some(found) => next + found,
                None => break,
            }
        } else {
            next
        };
    }
    names
}

/// POSIX ustar, GNU tar, and the oldest by its checksum.
fn tar(sample: &Sample) -> Option<What> {
    let header = sample.head.get(..512)?;
    let stored = header.get(148..156)?;
    let digits: Vec<u8> = stored.iter().copied().filter(|byte| matches!(byte, b'0'..=b'7')).collect();
    let wanted = u64::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?;
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    if sum != wanted {
        return None;
    }
    let text = if sample.has(257, b"ustar  \0") {
        "POSIX tar archive (GNU)"
    } else if sample.has(257, b"ustar\0") {
        "POSIX tar archive"
    } else {
        "tar archive"
    };
    Some(What::binary(text, "application/x-tar"))
}

fn ar(sample: &Sample) -> Option<What> {
    if !sample.has(0, b"!<arch>\n") {
        return None;
    }
    if sample.has(8, b"debian-binary") {
        return Some(What::binary(
            "Debian binary package (format 2.0)",
            "application/vnd.debian.binary-package",
        ));
    }
    Some(What::binary("current ar archive", "application/x-archive"))
}

fn cpio(sample: &Sample) -> Option<What> {
    let text = if sample.has(0, b"070701") {
        "ASCII cpio archive (SVR4 with no CRC)"
    } else if sample.has(0, b"070702") {
        "ASCII cpio archive (SVR4 with CRC)"
    } else if sample.has(0, b"070707") {
        "ASCII cpio archive (pre-SVR4 or odc)"
    } else if sample.has(0, b"\xc7\x71") {
        "cpio archive"
    } else {
        return None;
    };
    Some(What::binary(text, "application/x-cpio"))
}
