//! Formats that their first bytes tell.

use super::What;
use super::sample::Sample;

/// Where, which bytes, what it is, its MIME type.
const MAGIC: &[(usize, &[u8], &str, &str)] = &[
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed data", "application/zstd"),
    (0, b"\xfd7zXZ\0", "XZ compressed data", "application/x-xz"),
    (0, b"BZh", "bzip2 compressed data", "application/x-bzip2"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip archive data", "application/x-7z-compressed"),
    (0, b"\x04\x22\x4d\x18", "LZ4 compressed data", "application/x-lz4"),
    (0, b"\x02\x21\x4c\x18", "LZ4 compressed data (v0.1-v0.9)", "application/x-lz4"),
    (0, b"LZIP", "lzip compressed data", "application/x-lzip"),
    (0, b"\x1f\x9d", "compress'd data", "application/x-compress"),
    (0, b"\xed\xab\xee\xdb", "RPM package", "application/x-rpm"),
    (0, b"Rar!\x1a\x07", "RAR archive data", "application/x-rar"),
    (0, b"hsqs", "Squashfs filesystem, little endian", "application/octet-stream"),
    (0, b"OggS", "Ogg data", "application/ogg"),
    (0, b"ID3", "Audio file with ID3", "audio/mpeg"),
    (0, b"fLaC", "FLAC audio bitstream data", "audio/flac"),
    (0, b"wOFF", "Web Open Font Format", "font/woff"),
    (0, b"wOF2", "Web Open Font Format (Version 2)", "font/woff2"),
    (0, b"\0\x01\0\0\0", "TrueType Font data", "font/sfnt"),
    (0, b"OTTO\0", "OpenType font data", "application/vnd.ms-opentype"),
    (0, b"PAR1", "Apache Parquet", "application/vnd.apache.parquet"),
    (0, b"Obj\x01", "Apache Avro", "application/vnd.apache.avro"),
    (0, b"\xd4\xc3\xb2\xa1", "pcap capture file, little-endian", "application/vnd.tcpdump.pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "pcapng capture file", "application/x-pcapng"),
    (0, b"\xde\x12\x04\x95", "GNU message catalog (little endian)", "application/x-gettext-translation"),
    (0, b"LPKSHHRH", "systemd journal", "application/octet-stream"),
    (0, b"TZif", "timezone data", "application/tzif"),
    (0, b"REDIS0", "Redis RDB file", "application/octet-stream"),
    (0, b"JAVA PROFILE 1.0", "Java HPROF dump", "application/x-java-hprof"),
    (0, b"\xca\xfe\xd0\x0d", "Java class data, packed", "application/octet-stream"),
    (0, b"LUKS\xba\xbe", "LUKS encrypted file", "application/octet-stream"),
    (4, b"ftypavif", "AVIF image", "image/avif"),
    (4, b"ftyp", "ISO Media", "video/mp4"),
    (257, b"ustar", "POSIX tar archive", "application/x-tar"),
    (32769, b"CD001", "ISO 9660 CD-ROM filesystem data", "application/x-iso9660-image"),
];

/// What the first bytes say.
pub fn look(sample: &Sample) -> Option<What> {
    versioned(sample).or_else(|| {
        let (.., text, mime) = MAGIC.iter().find(|(at, bytes, ..)| sample.has(*at, bytes))?;
        Some(What::binary(*text, mime))
    })
}

/// Formats that say their version.
fn versioned(sample: &Sample) -> Option<What> {
    let head = &sample.head;
    if sample.has(0, b"%PDF-") {
        let version = head.get(5..8).filter(|text| text.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
        let version = version.map(|text| String::from_utf8_lossy(text).into_owned());
        let text = version.map_or("PDF document".into(), |text| format!("PDF document, version {text}"));
        return Some(What::binary(text, "application/pdf"));
    }
    if sample.has(0, b"SQLite format 3\0") {
        let text = match (sample.u32_be(60), sample.u32_be(28)) {
            (Some(user), Some(pages)) => {
                format!("SQLite 3.x database, user version {user}, database pages {pages}")
            }
            _ => "SQLite 3.x database".to_owned(),
        };
        return Some(What::binary(text, "application/vnd.sqlite3"));
    }
    if sample.has(0, b"\xca\xfe\xba\xbe") {
        // A Mach-O file of several machines has their number here, which is small.
        let (minor, major) = (sample.u16_be(4)?, sample.u16_be(6)?);
        if major < 45 {
            return Some(What::binary("Mach-O universal binary", "application/x-mach-binary"));
        }
        let release = if major >= 49 { format!(" (Java {})", major - 44) } else { String::new() };
        let text = format!("compiled Java class data, version {major}.{minor}{release}");
        return Some(What::binary(text, "application/x-java-applet"));
    }
    if sample.has(0, b"\0asm") {
        let version = sample.u32_le(4)?;
        let text = format!("WebAssembly (wasm) binary module version {version:#x}");
        return Some(What::binary(text, "application/wasm"));
    }
    python(sample).or_else(|| file_system(sample)).or_else(|| windows(sample))
}

/// CPython's Lib/importlib/_bootstrap_external.py: a number that grows, then `\r\n`.
fn python(sample: &Sample) -> Option<What> {
    if !sample.has(2, b"\r\n") {
        return None;
    }
    let magic = sample.u16_le(0)?;
    let version = match magic {
        3394 => "3.7",
        3400..=3413 => "3.8",
        3420..=3425 => "3.9",
        3430..=3439 => "3.10",
        3450..=3495 => "3.11",
        3500..=3531 => "3.12",
        3550..=3571 => "3.13",
        3600..=3627 => "3.14",
        62211 => "2.7",
        3000..=3393 => "3, before 3.7",
        _ => return None,
    };
    let text = format!("Byte-compiled Python module for CPython {version}");
    Some(What::binary(text, "application/x-bytecode.python"))
}

/// The superblock of ext2, ext3 and ext4 begins at 1024.
fn file_system(sample: &Sample) -> Option<What> {
    if !(sample.has(1080, b"\x53\xef") && sample.u32_le(1024)? > 0 && sample.u32_le(1048)? <= 6) {
        return None;
    }
    Some(What::binary("Linux ext2, ext3 or ext4 filesystem data", "application/octet-stream"))
}

fn windows(sample: &Sample) -> Option<What> {
    if !sample.has(0, b"MZ") {
        return None;
    }
    let header = sample.u32_le(60)? as usize;
    let text = if sample.has(header, b"PE\0\0") { "PE executable (MS Windows)" } else { "MS-DOS executable" };
    Some(What::binary(text, "application/vnd.microsoft.portable-executable"))
}
