//! A stream of members, read a piece at a time. Nothing in it is trusted; what is held of it at once is bounded.

use std::io::{self, Read};

use super::super::interrupt;
use super::sparse::{self, Lines, Sparse};
use super::write::padding;
use super::{BLOCK, Extent, Kind, Member, SOURCES, TOTAL, field, sum};

/// What is read at once.
const BUFFER: usize = 256 << 10;

/// The longest name.
const MAX_NAME: usize = 64 << 10;

/// The longest extended header: two names, a sparse map of the older formats, and attributes that are not read.
const MAX_EXTENDED: u64 = 1 << 20;

/// Extended headers before one member.
const MAX_HEADERS: usize = 16;

/// Bytes after the end that are read, so that who sends them is not ended by a closed pipe: tar fills whole records.
const MAX_REST: usize = 1 << 20;

/// Why a stream can't be read further.
#[derive(Debug)]
pub enum Broken {
    /// It ended before its end was marked; whether before anything came at all.
    Ended {
        /// Nothing came.
        at_once: bool,
    },
    /// It could not be read.
    Io(io::Error),
    /// It is no tar, or one that is too much.
    Malformed(&'static str),
}

/// Reads a stream.
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Data of the member that is not read yet.
    left: u64,
    padding: usize,
    /// Where the data of a member with holes belongs, and how far it was read: which extent, and how much of it; of another
    /// one how much of it.
    extents: Vec<Extent>,
    extent: usize,
    within: u64,
    started: bool,
    /// How many bytes of files will come, where the stream says so.
    pub total: Option<u64>,
    /// How many paths it is a copy of, where the stream says so; else 0.
    pub sources: u64,
}

/// What extended headers say of the member after them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    time: Option<(i64, u32)>,
    uid: Option<u32>,
    gid: Option<u32>,
    sparse: Option<Sparse>,
}

impl<R: Read> Reader<R> {
    /// Reads this stream.
    pub fn new(from: R) -> Self {
        let buffer = vec![0; BUFFER];
        let extents = Vec::new();
        Self {
            from,
            buffer,
            at: 0,
            end: 0,
            left: 0,
            padding: 0,
            extents,
            extent: 0,
            within: 0,
            started: false,
            total: None,
            sources: 0,
        }
    }

    /// The next member; what is left of the data of the one before is skipped. None at the end.
    ///
    /// # Errors
    /// Where the stream is broken; it is not to be read further then.
    pub fn next(&mut self) -> Result<Option<Member>, Broken> {
        while !self.data()?.is_empty() {}
        (self.extents, self.extent, self.within) = (Vec::new(), 0, 0);
        let mut extension = Extension::default();
        for _ in 0..MAX_HEADERS {
            let block = self.block()?;
            if block.iter().all(|byte| *byte == 0) {
                self.drain()?;
                return Ok(None);
            }
            if number(&block[field::SUM]) != Some(sum(&block) as i64) {
                return Err(Broken::Malformed(not_a_tar(&block)));
            }
            let size = number(&block[field::SIZE]).and_then(|size| u64::try_from(size).ok());
            let size = size.ok_or(Broken::Malformed("a size that is no number"))?;
            match block[field::KIND] {
                b'x' => extension.read(&self.whole(size, MAX_EXTENDED)?)?,
                b'g' => {
                    let records = self.whole(size, MAX_EXTENDED)?;
                    each_record(&records, |key, value| {
                        if key == TOTAL {
                            self.total = decimal(value);
                        } else if key == SOURCES {
                            self.sources = decimal(value).unwrap_or(0);
                        }
                        Ok(())
                    })?;
                }
                b'L' => extension.path = Some(until_nul(&self.whole(size, MAX_NAME as u64)?).to_vec()),
                b'K' => extension.target = Some(until_nul(&self.whole(size, MAX_NAME as u64)?).to_vec()),
                _ => return self.member(&block, size, extension).map(Some),
            }
        }
        Err(Broken::Malformed("too many extended headers"))
    }

    /// The next piece of the member's data; empty at its end.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn data(&mut self) -> Result<&[u8], Broken> {
        self.data_up_to(u64::MAX)
    }

    /// The next piece, and where in the file it belongs: behind a hole, perhaps. Empty at the end.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub fn placed(&mut self) -> Result<(u64, &[u8]), Broken> {
        let extent = self.extents.get(self.extent).copied();
        let (at, most) = match extent {
            Some(extent) => (extent.at + self.within, extent.length - self.within),
            None => (self.within, u64::MAX),
        };
        let count = self.data_up_to(most)?.len();
        self.within += count as u64;
        if extent.is_some() && count as u64 == most {
            (self.extent, self.within) = (self.extent + 1, 0);
        }
        Ok((at, self.buffer.get(self.at - count..self.at).unwrap_or_default()))
    }

    fn data_up_to(&mut self, most: u64) -> Result<&[u8], Broken> {
        if self.left == 0 {
            while self.padding > 0 {
                self.need()?;
                let skipped = self.padding.min(self.end - self.at);
                self.at += skipped;
                self.padding -= skipped;
            }
            return Ok(&[]);
        }
        self.need()?;
        let count = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX).min(self.end - self.at);
        let piece = self.at..self.at + count;
        self.at += count;
        self.left -= count as u64;
        Ok(self.buffer.get(piece).unwrap_or_default())
    }

    fn member(&mut self, block: &[u8; BLOCK], size: u64, extension: Extension) -> Result<Member, Broken> {
        let malformed = |what| move || Broken::Malformed(what);
        let is_posix = block[field::MAGIC].starts_with(b"ustar\0");
        let mut path = until_nul(&block[field::NAME]).to_vec();
        let prefix = until_nul(&block[field::PREFIX]);
        if is_posix && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let mut path = extension.path.unwrap_or(path);
        let old_directory = path.ends_with(b"/");
        let kind = match block[field::KIND] {
            b'0' | 0 if old_directory => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Link,
            b'3' => Kind::Other("a character device"),
            b'4' => Kind::Other("a block device"),
            b'5' => Kind::Directory,
            b'6' => Kind::Other("a FIFO"),
            _ => Kind::Other("of a kind that is not known"),
        };
        let has_data = !matches!(block[field::KIND], b'1'..=b'6');
        let mut size = if has_data { extension.size.unwrap_or(size) } else { 0 };
        (self.left, self.padding) = (size, padding(size));
        let mut is_sparse = false;
        if block[field::KIND] == b'S' {
            size = self.old_map(block)?;
            is_sparse = true;
        } else if kind == Kind::File
            && let Some(sparse) = extension.sparse
        {
            path = sparse.name.clone().unwrap_or(path);
            size = self.map(sparse)?;
            is_sparse = true;
        }
        let id = |at| number(&block[at]).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let (seconds, nanoseconds) = match extension.time {
            Some(time) => time,
            None => (number(&block[field::TIME]).ok_or_else(malformed("a time that is no number"))?, 0),
        };
        Ok(Member {
            path,
            kind,
            target: extension.target.unwrap_or_else(|| until_nul(&block[field::TARGET]).to_vec()),
            mode: number(&block[field::MODE]).ok_or_else(malformed("a mode that is no number"))? as u32
                & 0o7777,
            uid: extension.uid.unwrap_or_else(|| id(field::UID)),
            gid: extension.gid.unwrap_or_else(|| id(field::GID)),
            size,
            is_sparse,
            seconds,
            nanoseconds,
        })
    }

    /// Reads where the data of a member with holes belongs, from its header and the blocks behind that. How long the file is.
    fn old_map(&mut self, block: &[u8; BLOCK]) -> Result<u64, Broken> {
        let size = number(&block[field::REAL_SIZE]).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or(Broken::Malformed("a size that is no number"))?;
        let mut numbers = Vec::new();
        sparse::read_old(&block[field::MAP], &mut numbers)?;
        let mut is_extended = block[field::IS_EXTENDED] != 0;
        while is_extended {
            let block = self.block()?;
            let before = numbers.len();
            sparse::read_old(&block[field::MORE], &mut numbers)?;
            // Blocks that say nothing could go on for ever.
            is_extended = block[field::IS_EXTENDED_AGAIN] != 0 && numbers.len() > before;
        }
        self.extents = sparse::extents(&numbers, size, self.left)?;
        Ok(size)
    }

    /// The same, from extended headers or the beginning of the data.
    fn map(&mut self, sparse: Sparse) -> Result<u64, Broken> {
        let size = sparse.size.ok_or(Broken::Malformed("a sparse member without a size"))?;
        let mut numbers = sparse.numbers;
        if sparse.major == Some(1) {
            let mut lines = Lines::default();
            loop {
                let short = Broken::Malformed("a sparse map that is cut off");
                self.left = self.left.checked_sub(BLOCK as u64).ok_or(short)?;
                if lines.read(&self.block()?)? {
                    break;
                }
            }
            numbers = lines.numbers();
        }
        self.extents = sparse::extents(&numbers, size, self.left)?;
        Ok(size)
    }

    /// Some bytes in the buffer at least.
    fn need(&mut self) -> Result<(), Broken> {
        if self.at < self.end {
            return Ok(());
        }
        let count = loop {
            match self.from.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && !interrupt::came() => {}
                read => break read.map_err(Broken::Io)?,
            }
        };
        if count == 0 {
            return Err(Broken::Ended { at_once: !self.started });
        }
        (self.at, self.end, self.started) = (0, count, true);
        Ok(())
    }

    fn block(&mut self) -> Result<[u8; BLOCK], Broken> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.need() {
                Err(Broken::Ended { .. }) if compressed(&block[..filled]).is_some() => {
                    return Err(Broken::Malformed(not_a_tar(&block)));
                }
                needed => needed?,
            }
            let count = (BLOCK - filled).min(self.end - self.at);
            block[filled..filled + count].copy_from_slice(&self.buffer[self.at..self.at + count]);
            self.at += count;
            filled += count;
        }
        Ok(block)
    }

    /// The data of an extended header.
    fn whole(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, Broken> {
        if size > limit {
            return Err(Broken::Malformed("an extended header that is too long"));
        }
        (self.left, self.padding) = (size, padding(size));
        let mut bytes = Vec::new();
        loop {
            match self.data()? {
                [] => return Ok(bytes),
                piece => bytes.extend_from_slice(piece),
            }
        }
    }

    fn drain(&mut self) -> Result<(), Broken> {
        let mut rest = 0;
        while rest < MAX_REST {
            self.at = self.end;
            match self.need() {
                Ok(()) => rest += self.end,
                Err(Broken::Ended { .. }) => break,
                Err(broken) => return Err(broken),
            }
        }
        Ok(())
    }
}

/// How a stream is compressed, by its first bytes, as file(1) knows them.
fn compressed(bytes: &[u8]) -> Option<&'static str> {
    let by: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "compressed by gzip: decompress it first"),
        (b"BZh", "compressed by bzip2: decompress it first"),
        (b"\xfd7zXZ\0", "compressed by xz: decompress it first"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd: decompress it first"),
    ];
    by.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, how)| how)
}

fn not_a_tar(block: &[u8]) -> &'static str {
    compressed(block).unwrap_or("not a tar archive, or a damaged one")
}

impl Extension {
    fn read(&mut self, records: &[u8]) -> Result<(), Broken> {
        each_record(records, |key, value| {
            let malformed = || Broken::Malformed("an extended header with a wrong number");
            let id = || decimal(value).and_then(|id| u32::try_from(id).ok());
            match key {
                b"path" | b"linkpath" | b"GNU.sparse.name"
                    if value.len() > MAX_NAME || value.contains(&0) =>
                {
                    return Err(Broken::Malformed("a name that is too long, or none"));
                }
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or_else(malformed)?),
                b"mtime" => self.time = Some(time(value).ok_or_else(malformed)?),
                b"uid" => self.uid = id(),
                b"gid" => self.gid = id(),
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        self.sparse.get_or_insert_default().read(key, value)?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Each `LENGTH KEY=VALUE\n`.
fn each_record(
    mut records: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let malformed = || Broken::Malformed("an extended header that is damaged");
    while !records.is_empty() {
        let space = records.iter().take(20).position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length = decimal(&records[..space]).and_then(|length| usize::try_from(length).ok());
        let (record, rest) = records.split_at_checked(length.unwrap_or(0)).ok_or_else(malformed)?;
        let body = record.get(space + 1..).and_then(|body| body.strip_suffix(b"\n")).ok_or_else(malformed)?;
        let equals = body.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        take(&body[..equals], &body[equals + 1..])?;
        records = rest;
    }
    Ok(())
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A header's number: octal digits, or, as GNU's tar writes it, a first byte of 0x80 or 0xff and big-endian binary.
pub fn number(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if first & 0x80 != 0 {
        if !matches!(first, 0x80 | 0xff) {
            return None;
        }
        let negative = first == 0xff;
        let fill = if negative { 0xff } else { 0 };
        let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
        // In a field of eight bytes the mark is the first of them.
        let mut value = [fill; 8];
        value.copy_from_slice(low);
        if high.is_empty() {
            value[0] = fill;
        } else if high.iter().skip(1).any(|byte| *byte != fill) {
            return None;
        }
        let value = i64::from_be_bytes(value);
        return ((value < 0) == negative).then_some(value);
    }
    let text = std::str::from_utf8(until_nul(bytes)).ok()?.trim_matches(' ');
    match text {
        "" => Some(0),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => i64::from_str_radix(text, 8).ok(),
        _ => None,
    }
}

/// `SECONDS[.FRACTION]`, perhaps negative.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"0");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    match (negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}
