//! Maps of files with holes, as GNU tar writes them: where their data lies.

use super::read::{Broken, decimal, number};
use super::{BLOCK, Extent, MAX_EXTENTS, field};

/// What extended headers say of a file with holes.
#[derive(Default)]
pub struct Sparse {
    /// 1 where the map is before the data, 0 where it is in the headers.
    pub major: Option<u64>,
    /// Its path: that of the member is made up.
    pub name: Option<Vec<u8>>,
    /// How long it is.
    pub size: Option<u64>,
    /// Where extents begin and how long they are, in turn.
    pub numbers: Vec<u64>,
}

impl Sparse {
    /// Takes a record `GNU.sparse.KEY=VALUE`. What is none of these says nothing that is needed.
    pub fn read(&mut self, key: &[u8], value: &[u8]) -> Result<(), Broken> {
        let number = |value| decimal(value).ok_or(Broken::Malformed("a sparse map with a wrong number"));
        match key {
            b"major" => self.major = Some(number(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"offset" | b"numbytes" => self.numbers.push(number(value)?),
            b"map" => {
                for part in value.split(|byte| *byte == b',').filter(|part| !part.is_empty()) {
                    self.numbers.push(number(part)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A map before the data: lines of numbers, how many extents there are, then where each begins and how long it is.
#[derive(Default)]
pub struct Lines {
    count: Option<u64>,
    line: Vec<u8>,
    numbers: Vec<u64>,
}

impl Lines {
    /// Takes the next block; whether it was the last one.
    pub fn read(&mut self, block: &[u8; BLOCK]) -> Result<bool, Broken> {
        for byte in block {
            if self.is_whole() {
                break;
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let number = decimal(&self.line).ok_or(Broken::Malformed("a sparse map with a wrong number"))?;
            self.line.clear();
            match self.count {
                Some(_) => self.numbers.push(number),
                None if number > MAX_EXTENTS as u64 => return Err(too_long()),
                None => self.count = Some(number),
            }
        }
        // A number has 20 digits at most.
        if self.line.len() > BLOCK { Err(too_long()) } else { Ok(self.is_whole()) }
    }

    fn is_whole(&self) -> bool {
        self.count.is_some_and(|count| self.numbers.len() as u64 == count * 2)
    }

    /// All of them, in turn.
    pub fn numbers(self) -> Vec<u64> {
        self.numbers
    }
}

/// Takes the extents in a part of an old header.
pub fn read_old(map: &[u8], numbers: &mut Vec<u64>) -> Result<(), Broken> {
    for extent in map.chunks_exact(field::EXTENT).take_while(|extent| extent.first() != Some(&0)) {
        let (at, length) = extent.split_at(field::EXTENT / 2);
        for part in [at, length] {
            let part = number(part).and_then(|part| u64::try_from(part).ok());
            numbers.push(part.ok_or(Broken::Malformed("a sparse map with a wrong number"))?);
        }
        if numbers.len() > 2 * MAX_EXTENTS {
            return Err(too_long());
        }
    }
    Ok(())
}

/// The extents that numbers are, which follow each other within the file and hold as much data as there is.
pub fn extents(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<Extent>, Broken> {
    if numbers.len() > 2 * MAX_EXTENTS {
        return Err(too_long());
    }
    let wrong = || Broken::Malformed("a sparse map that contradicts itself");
    let (mut end, mut held) = (0_u64, 0_u64);
    let mut extents = Vec::with_capacity(numbers.len() / 2);
    for pair in numbers.chunks(2) {
        let &[at, length] = pair else { return Err(wrong()) };
        let behind =
            at.checked_add(length).filter(|behind| at >= end && *behind <= size).ok_or_else(wrong)?;
        (end, held) = (behind, held + length);
        if length > 0 {
            extents.push(Extent { at, length });
        }
    }
    if held == stored { Ok(extents) } else { Err(wrong()) }
}

fn too_long() -> Broken {
    Broken::Malformed("a sparse map that is too long")
}
