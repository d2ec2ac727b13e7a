//! What is read of a file: its beginning, and a few places that its beginning names.

use std::cell::Cell;
use std::io::Read;
use std::os::fd::AsFd;

use flate2::read::MultiGzDecoder;
use nix::sys::uio::pread;

use crate::cmd::Result;
use crate::cmd::input::Input;
use crate::cmd::text;

/// The beginning that is read.
const HEAD: usize = 512 << 10;

/// What is read besides.
const MORE: usize = 512 << 10;

/// The beginning of a file.
pub struct Sample {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// Whether that is all.
    pub is_whole: bool,
    file: Option<Input>,
    left: Cell<usize>,
}

impl Sample {
    /// Reads the beginning.
    ///
    /// # Errors
    /// A fault of reading.
    pub fn read(input: Input) -> Result<Self> {
        let mut head = vec![0; 32 << 10];
        let mut filled = 0;
        loop {
            if filled == head.len() {
                if filled >= HEAD {
                    return Ok(Self { is_whole: false, file: Some(input), ..Self::of(head) });
                }
                head.resize((filled * 4).min(HEAD), 0);
            }
            match text::read(&input, head.get_mut(filled..).unwrap_or_default())? {
                0 => break,
                count => filled += count,
            }
        }
        head.truncate(filled);
        Ok(Self { file: Some(input), ..Self::of(head) })
    }

    /// Bytes that stand for a file.
    pub fn of(head: Vec<u8>) -> Self {
        Self { head, is_whole: true, file: None, left: Cell::new(MORE) }
    }

    /// What gzip packed, as far as the beginning goes; none of other files.
    pub fn unpacked(&self) -> Option<Self> {
        let mut unpacked = Vec::new();
        if self.has(0, b"\x1f\x8b") {
            // Of what is cut, or broken, the part before that is known.
            let _ = MultiGzDecoder::new(&self.head[..]).take(HEAD as u64).read_to_end(&mut unpacked);
        }
        (!unpacked.is_empty()).then(|| Self::of(unpacked))
    }

    /// So many bytes at an offset; fewer where the file ends, or where enough was read of it.
    pub fn at(&self, offset: u64, length: usize) -> Vec<u8> {
        if let Ok(from) = usize::try_from(offset)
            && let Some(bytes) = self.head.get(from..from.saturating_add(length).min(self.head.len()))
            && (self.is_whole || bytes.len() == length)
        {
            return bytes.to_vec();
        }
        let length = length.min(self.left.get());
        let (Some(file), Ok(offset)) = (&self.file, i64::try_from(offset)) else { return Vec::new() };
        if self.is_whole || length == 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; length];
        // What can't be read is not there: a description says what is known.
        let count = pread(file.as_fd(), &mut bytes, offset).unwrap_or(0);
        bytes.truncate(count);
        self.left.set(self.left.get() - count.min(self.left.get()));
        bytes
    }

    /// Whether these bytes are at this place of the beginning.
    pub fn has(&self, offset: usize, bytes: &[u8]) -> bool {
        self.head.get(offset..).is_some_and(|rest| rest.starts_with(bytes))
    }

    /// A little-endian number of two bytes.
    pub fn u16_le(&self, offset: usize) -> Option<u16> {
        self.head.get(offset..offset + 2)?.try_into().ok().map(u16::from_le_bytes)
    }

    /// A big-endian number of two bytes.
    pub fn u16_be(&self, offset: usize) -> Option<u16> {
        self.head.get(offset..offset + 2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A little-endian number of four bytes.
    pub fn u32_le(&self, offset: usize) -> Option<u32> {
        self.head.get(offset..offset + 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A big-endian number of four bytes.
    pub fn u32_be(&self, offset: usize) -> Option<u32> {
        self.head.get(offset..offset + 4)?.try_into().ok().map(u32::from_be_bytes)
    }
}
