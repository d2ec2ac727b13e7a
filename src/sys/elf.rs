//! What a dynamic loader reads of an ELF file: its interpreter, and its dynamic section; elf(5). Read piece by piece and
//! bounded, since the file may be anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use elf::abi;

/// The most program headers and dynamic entries.
const HEADERS: u16 = 512;
const ENTRIES: usize = 4096;
/// The longest path, and the longest name of a version.
const PATH: usize = 4096;
const NAME: usize = 256;
/// The most libraries, and the most versions that are wanted of all of them together.
const NEEDED: usize = 512;
const VERSIONS: usize = 4096;

/// What is read: a file, or bytes that are one.
pub trait Source {
    /// As `pread(2)`.
    ///
    /// # Errors
    /// Its.
    fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, to, at)
    }
}

impl Source for &[u8] {
    fn read_at(&self, to: &mut [u8], at: u64) -> io::Result<usize> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = from.len().min(to.len());
        to[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

/// What kind of file it is, and for which machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    /// 64 bits in place of 32.
    pub is_64: bool,
    /// Little-endian.
    pub is_little: bool,
    /// `e_machine`.
    pub number: u16,
}

/// Versions of symbols that are wanted of one library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The library, by the name that its `DT_SONAME` has.
    pub file: Vec<u8>,
    /// Their names, but for weak ones.
    pub versions: Vec<Vec<u8>>,
}

/// An ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// For which machine.
    pub machine: Machine,
    /// `ET_EXEC`, `ET_DYN`, …
    pub kind: u16,
    /// The loader that the kernel starts for it.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it has a dynamic section.
    pub is_dynamic: bool,
    /// `DT_NEEDED`, in their order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_SONAME`.
    pub soname: Option<Vec<u8>>,
    /// `DT_RPATH`.
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`.
    pub runpath: Option<Vec<u8>>,
    /// `DF_1_NODEFLIB`: default directories are not searched.
    pub no_default: bool,
    /// What it wants of others.
    pub wanted: Vec<Wanted>,
    /// What it defines.
    pub defined: Vec<Vec<u8>>,
}

impl Object {
    /// Reads a file; none where it is no ELF file, or is broken before its dynamic section.
    pub fn read(file: &dyn Source) -> Option<Self> {
        Reader { file, machine: Machine { is_64: true, is_little: true, number: 0 }, loads: Vec::new() }
            .object()
    }
}

/// A part of the file that is mapped: address, offset, length.
type Load = (u64, u64, u64);

struct Reader<'a> {
    file: &'a dyn Source,
    machine: Machine,
    loads: Vec<Load>,
}

impl Reader<'_> {
    fn bytes<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // A file's end alone makes a read short.
        let count = self.file.read_at(&mut bytes, at).ok()?;
        (count == N).then_some(bytes)
    }

    fn u16(&self, at: u64) -> Option<u16> {
        let bytes = self.bytes(at)?;
        Some(if self.machine.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: u64) -> Option<u32> {
        let bytes = self.bytes(at)?;
        Some(if self.machine.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&self, at: u64) -> Option<u64> {
        let bytes = self.bytes(at)?;
        Some(if self.machine.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    /// A word of the file's class.
    fn word(&self, at: u64) -> Option<u64> {
        if self.machine.is_64 { self.u64(at) } else { self.u32(at).map(u64::from) }
    }

    /// Up to the NUL that ends it.
    fn string(&self, at: u64, limit: usize) -> Option<Vec<u8>> {
        let mut text = vec![0; limit];
        let count = self.file.read_at(&mut text, at).ok()?;
        let end = text.get(..count)?.iter().position(|byte| *byte == 0)?;
        text.truncate(end);
        Some(text)
    }

    /// Where an address is in the file.
    fn offset(&self, address: u64) -> Option<u64> {
        let load = self
            .loads
            .iter()
            .find(|(start, _, length)| address.checked_sub(*start).is_some_and(|behind| behind < *length))?;
        load.1.checked_add(address - load.0)
    }

    fn object(mut self) -> Option<Object> {
        let ident: [u8; 16] = self.bytes(0)?;
        if ident[..4] != *b"\x7fELF" {
            return None;
        }
        self.machine.is_64 = ident[abi::EI_CLASS] == abi::ELFCLASS64;
        self.machine.is_little = ident[abi::EI_DATA] == abi::ELFDATA2LSB;
        let kind = self.u16(16)?;
        self.machine.number = self.u16(18)?;
        let (table, size, count) = if self.machine.is_64 {
            (self.u64(32)?, self.u16(54)?, self.u16(56)?)
        } else {
            (u64::from(self.u32(28)?), self.u16(42)?, self.u16(44)?)
        };
        let mut object = Object {
            machine: self.machine,
            kind,
            interpreter: None,
            is_dynamic: false,
            needed: Vec::new(),
            soname: None,
            rpath: None,
            runpath: None,
            no_default: false,
            wanted: Vec::new(),
            defined: Vec::new(),
        };
        let mut dynamic = None;
        for at in 0..count.min(HEADERS) {
            let header = table.checked_add(u64::from(at) * u64::from(size))?;
            let kind = self.u32(header)?;
            let (offset, address, length) = if self.machine.is_64 {
                (
                    self.u64(header.checked_add(8)?)?,
                    self.u64(header.checked_add(16)?)?,
                    self.u64(header.checked_add(32)?)?,
                )
            } else {
                let word = |behind| self.u32(header.checked_add(behind)?).map(u64::from);
                (word(4)?, word(8)?, word(16)?)
            };
            match kind {
                abi::PT_LOAD => self.loads.push((address, offset, length)),
                abi::PT_INTERP => object.interpreter = self.string(offset, PATH),
                abi::PT_DYNAMIC => dynamic = Some((offset, length)),
                _ => {}
            }
        }
        if let Some((offset, length)) = dynamic {
            object.is_dynamic = true;
            // What is broken in it is as good as not there: the loader would say so itself.
            let _ = self.dynamic(offset, length, &mut object);
        }
        Some(object)
    }

    fn dynamic(&self, offset: u64, length: u64, object: &mut Object) -> Option<()> {
        let word = if self.machine.is_64 { 8 } else { 4 };
        let mut entries: Vec<(i64, u64)> = Vec::new();
        for at in 0..(length / (word * 2)).min(ENTRIES as u64) {
            let entry = offset.checked_add(at * word * 2)?;
            let (tag, value) = (self.word(entry)?, self.word(entry.checked_add(word)?)?);
            let tag = if self.machine.is_64 { tag as i64 } else { i64::from(tag as u32 as i32) };
            if tag == abi::DT_NULL {
                break;
            }
            entries.push((tag, value));
        }
        let value = |wanted: i64| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let strings = self.offset(value(abi::DT_STRTAB)?)?;
        let string = |at: u64, limit| self.string(strings.checked_add(at)?, limit);
        let named = |tag: i64| value(tag).and_then(|at| string(at, PATH));
        object.needed = entries
            .iter()
            .filter(|(tag, _)| *tag == abi::DT_NEEDED)
            .take(NEEDED)
            .filter_map(|(_, at)| string(*at, PATH))
            .collect();
        object.soname = named(abi::DT_SONAME);
        object.rpath = named(abi::DT_RPATH);
        object.runpath = named(abi::DT_RUNPATH);
        object.no_default = value(abi::DT_FLAGS_1).is_some_and(|flags| flags & 0x800 != 0);
        if let Some(at) = value(abi::DT_VERNEED).and_then(|address| self.offset(address)) {
            object.wanted = self.wanted(at, &|at| string(at, NAME));
        }
        if let Some(at) = value(abi::DT_VERDEF).and_then(|address| self.offset(address)) {
            object.defined = self.defined(at, &|at| string(at, NAME));
        }
        Some(())
    }

    /// `Elf64_Verneed` and `Elf64_Vernaux`, which are the same for both classes; chains of offsets that only go on.
    fn wanted(&self, mut at: u64, string: &dyn Fn(u64) -> Option<Vec<u8>>) -> Vec<Wanted> {
        let (mut all, mut left) = (Vec::new(), VERSIONS);
        for _ in 0..NEEDED {
            let Some((file, mut aux, next)) = self.three(at, [4, 8, 12]) else { break };
            let mut wanted = Wanted { file: string(file).unwrap_or_default(), versions: Vec::new() };
            aux = at.saturating_add(aux);
            while left > 0 {
                left -= 1;
                let (Some(flags), Some((name, following, _))) =
                    (self.u16(aux.saturating_add(4)), self.three(aux, [8, 12, 8]))
                else {
                    break;
                };
                // VER_FLG_WEAK: nobody fails without it.
                if flags & 2 == 0 {
                    wanted.versions.extend(string(name));
                }
                if following == 0 {
                    break;
                }
                aux = aux.saturating_add(following);
            }
            all.push(wanted);
            if next == 0 {
                break;
            }
            at = at.saturating_add(next);
        }
        all
    }

    /// `Elf64_Verdef`, whose first `Elf64_Verdaux` has its name.
    fn defined(&self, mut at: u64, string: &dyn Fn(u64) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for _ in 0..VERSIONS {
            let Some((_, aux, next)) = self.three(at, [8, 12, 16]) else { break };
            let name = self.u32(at.saturating_add(aux)).and_then(|name| string(u64::from(name)));
            all.extend(name);
            if next == 0 {
                break;
            }
            at = at.saturating_add(next);
        }
        all
    }

    fn three(&self, at: u64, offsets: [u64; 3]) -> Option<(u64, u64, u64)> {
        let word = |behind| self.u32(at.checked_add(behind)?).map(u64::from);
        Some((word(offsets[0])?, word(offsets[1])?, word(offsets[2])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library of 64 bits, little-endian: a header, what is mapped, and a dynamic section that leads to this.
    fn library(entries: &[(i64, u64)], behind: &[u8]) -> Vec<u8> {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
        file.extend(words(&[0, 64, 0]));
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        let start = 64 + 2 * 56;
        let length = entries.len() as u64 * 16 + 16;
        file.extend(words(&[1, 0, 0, 0, 1 << 30, 1 << 30, 4096]));
        file.extend(words(&[2, start, start, start, length, length, 8]));
        entries.iter().for_each(|(tag, value)| file.extend(words(&[*tag as u64, *value])));
        file.extend(words(&[0, 0]));
        file.extend(behind);
        file
    }

    /// Where what is behind the dynamic section begins.
    fn behind(entries: usize) -> u64 {
        (64 + 2 * 56 + entries * 16 + 16) as u64
    }

    #[test]
    fn a_dynamic_section_is_read_and_no_cut_panics() {
        let at = behind(3);
        let entries = [(abi::DT_STRTAB, at), (abi::DT_NEEDED, 1), (abi::DT_SONAME, 9)];
        let file = library(&entries, b"\0liba.so\0libb.so\0");
        let object = Object::read(&file.as_slice()).unwrap();
        assert_eq!(object.needed, [b"liba.so".to_vec()]);
        assert_eq!(object.soname.as_deref(), Some(&b"libb.so"[..]));
        for end in 0..file.len() {
            let _ = Object::read(&&file[..end]);
        }
    }

    // Seen to fail with a bound for each library alone.
    #[test]
    fn versions_are_bounded_in_all() {
        let at = behind(2);
        let entries = [(abi::DT_STRTAB, at), (abi::DT_VERNEED, at)];
        let (libraries, versions) = (NEEDED as u32, 100);
        let mut chain: Vec<u32> = Vec::new();
        for number in 0..libraries {
            // vn_version and vn_cnt, vn_file, vn_aux, vn_next: all share what is behind them.
            chain.extend([1, 0, (libraries - number) * 16, if number + 1 < libraries { 16 } else { 0 }]);
        }
        for number in 0..versions {
            // vna_hash, vna_flags and vna_other, vna_name, vna_next.
            chain.extend([0, 0, 0, if number + 1 < versions { 16 } else { 0 }]);
        }
        let chain: Vec<u8> = chain.iter().flat_map(|word| word.to_le_bytes()).collect();
        let wanted = Object::read(&library(&entries, &chain).as_slice()).unwrap().wanted;
        assert_eq!(wanted.iter().map(|one| one.versions.len()).sum::<usize>(), VERSIONS);
    }
}
