//! What execve(2) makes of a file's content, as fs/binfmt_script.c and fs/binfmt_elf.c read it. Modes and mounts are not
//! asked here, and the format handlers of binfmt_misc are not known here.

use elf::abi;

use super::elf::Source;

/// As much of a file as the kernel reads to tell its format, BINPRM_BUF_SIZE.
const HEAD: usize = 256;
/// The most scripts that lead to one another, `exec_binprm()` in fs/exec.c.
pub const MAX_SCRIPTS: usize = 5;
/// The most program headers, `ELF_MIN_ALIGN` as `load_elf_phdrs()` bounds them.
const HEADERS_SIZE: u64 = 65536;
const PATH_MAX: u64 = 4096;

/// The machine of this kernel, and the one whose 32-bit programs it may run as well.
#[cfg(target_arch = "x86_64")]
const MACHINES: (u16, u16) = (abi::EM_X86_64, abi::EM_386);
#[cfg(target_arch = "aarch64")]
const MACHINES: (u16, u16) = (abi::EM_AARCH64, abi::EM_ARM);
/// This machine, as `e_machine` counts.
pub const OWN_MACHINE: u16 = MACHINES.0;

/// What a file is to execve(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// It begins with `#!`: the file that is started in its place, and the one argument that it gets.
    Script(Vec<u8>, Option<Vec<u8>>),
    /// An ELF program: for which machine, and the loader that it names.
    Elf(u16, Option<Vec<u8>>),
}

/// Why a file's content can't be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// ENOEXEC: nothing is in it.
    Empty,
    /// ENOEXEC: neither `#!` nor ELF.
    NoFormat,
    /// ENOEXEC: a byte order mark stands before `#!`.
    ByteOrderMark,
    /// ENOEXEC: nothing follows `#!`.
    NoInterpreter,
    /// ENOEXEC: the interpreter's name is longer than what the kernel reads.
    LongInterpreter,
    /// ENOEXEC, of a loader ELIBBAD: ELF for this other machine.
    OtherMachine(u16),
    /// ENOEXEC: ELF of this `e_type`: an object file, a core.
    NoProgram(u16),
    /// ENOEXEC: the headers are not whole or not right.
    Headers,
    /// The kernel takes it, and it dies by a signal: a file of so many bytes, whose segments end behind that.
    Cut(u64, u64),
    /// ELIBBAD: a loader that is no ELF file.
    NoLoader,
}

/// Reads a program's format; `size` is the file's.
///
/// # Errors
/// Why it can't be started.
pub fn format(file: &dyn Source, size: u64) -> Result<Format, Flaw> {
    let mut head = [0; HEAD];
    let count = file.read_at(&mut head, 0).unwrap_or(0);
    match &head[..count] {
        [] => Err(Flaw::Empty),
        [b'#', b'!', ..] => script(&head),
        [0x7f, b'E', b'L', b'F', ..] => program(file, size),
        [0xef, 0xbb, 0xbf, b'#', b'!', ..] => Err(Flaw::ByteOrderMark),
        _ => Err(Flaw::NoFormat),
    }
}

/// Reads the loader that an ELF program for this machine names.
///
/// # Errors
/// Why it can't be one.
pub fn loader(file: &dyn Source, size: u64, machine: u16) -> Result<(), Flaw> {
    let mut magic = [0; 4];
    if file.read_at(&mut magic, 0).unwrap_or(0) < 4 || magic != *b"\x7fELF" {
        return Err(Flaw::NoLoader);
    }
    let headers = Headers::read(file)?;
    if headers.machine != machine {
        return Err(Flaw::OtherMachine(headers.machine));
    }
    headers.is_whole(size)
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `load_script()`. What is behind the file's end is 0.
fn script(head: &[u8; HEAD]) -> Result<Format, Flaw> {
    let line = &head[2..];
    // The last byte that is read is not a part of the line, and what follows a 0 is not either.
    let text = &line[..line.len() - 1];
    let newline = line.iter().take_while(|byte| **byte != 0).position(|byte| *byte == b'\n');
    let Some(first) = text.iter().position(|byte| !is_blank(byte)) else { return Err(Flaw::NoInterpreter) };
    let is_end = |byte: &u8| is_blank(byte) || *byte == 0;
    let line = match newline {
        Some(at) => &line[..at],
        // Where the name has no end, it may go on behind what was read.
        None if !text[first..].iter().any(is_end) => return Err(Flaw::LongInterpreter),
        None => text,
    };
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    let name = line.get(first..end).unwrap_or_default();
    let length = name.iter().position(is_end).unwrap_or(name.len());
    let (name, rest) = name.split_at(length);
    if name.is_empty() {
        return Err(Flaw::NoInterpreter);
    }
    let rest = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let argument = rest.iter().position(|byte| !is_blank(byte)).and_then(|at| rest.get(at..));
    Ok(Format::Script(name.to_vec(), argument.map(<[u8]>::to_vec)))
}

/// `load_elf_binary()`.
fn program(file: &dyn Source, size: u64) -> Result<Format, Flaw> {
    let headers = Headers::read(file)?;
    let loader = match headers.all.iter().find(|header| header.kind == abi::PT_INTERP) {
        Some(header) if !(2..=PATH_MAX).contains(&header.length) => return Err(Flaw::Headers),
        Some(header) => {
            let mut path = vec![0; header.length as usize];
            let count = file.read_at(&mut path, header.offset).unwrap_or(0);
            if count < path.len() || path.last() != Some(&0) {
                return Err(Flaw::Headers);
            }
            path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(0));
            Some(path)
        }
        None => None,
    };
    headers.is_whole(size)?;
    Ok(Format::Elf(headers.machine, loader))
}

/// A program header.
struct Header {
    kind: u32,
    offset: u64,
    length: u64,
}

/// Those of a file.
struct Headers {
    machine: u16,
    all: Vec<Header>,
}

impl Headers {
    /// Of ET_EXEC and ET_DYN alone, for this machine. The kernel asks neither for the class nor for the byte order: it
    /// goes by the machine, and reads its own.
    fn read(file: &dyn Source) -> Result<Self, Flaw> {
        let mut head = [0; 64];
        let count = file.read_at(&mut head, 0).unwrap_or(0);
        let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let word = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
        };
        let long =
            |bytes: &[u8], at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
        if count < 20 {
            return Err(Flaw::Headers);
        }
        let (kind, machine) = (half(16), half(18));
        let (own, small) = MACHINES;
        if machine != own && machine != small {
            return Err(Flaw::OtherMachine(machine));
        }
        if kind != abi::ET_EXEC && kind != abi::ET_DYN {
            return Err(Flaw::NoProgram(kind));
        }
        let is_64 = machine == own;
        let (table, entry, number, wanted) = if is_64 {
            (long(&head, 32), half(54), half(56), 56)
        } else {
            (word(&head, 28).into(), half(42), half(44), 32)
        };
        let size = u64::from(number) * wanted;
        if u64::from(entry) != wanted || size == 0 || size > HEADERS_SIZE {
            return Err(Flaw::Headers);
        }
        let mut bytes = vec![0; size as usize];
        if file.read_at(&mut bytes, table).unwrap_or(0) < bytes.len() {
            return Err(Flaw::Headers);
        }
        let all = bytes.chunks_exact(wanted as usize).map(|one| Header {
            kind: word(one, 0),
            offset: if is_64 { long(one, 8) } else { word(one, 4).into() },
            length: if is_64 { long(one, 32) } else { word(one, 16).into() },
        });
        Ok(Self { machine, all: all.collect() })
    }

    /// What is mapped must be there: the kernel does not look, and the program dies of what it misses.
    fn is_whole(&self, size: u64) -> Result<(), Flaw> {
        let mapped = self.all.iter().filter(|header| header.kind == abi::PT_LOAD);
        let end = mapped.map(|header| header.offset.saturating_add(header.length)).max().unwrap_or(0);
        if end > size { Err(Flaw::Cut(size, end)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        let read = |text: &str| format(&text.as_bytes(), text.len() as u64);
        let script = |name: &str, argument: Option<&str>| {
            Ok(Format::Script(name.into(), argument.map(|word| word.as_bytes().to_vec())))
        };
        let long = "x".repeat(300);
        for (text, wanted) in [
            ("#!/bin/sh\necho", script("/bin/sh", None)),
            ("#! \t/bin/sh  -e x \n", script("/bin/sh", Some("-e x"))),
            ("#!/bin/sh\r\n", script("/bin/sh\r", None)),
            ("#!/bin/sh", script("/bin/sh", None)),
            ("#!/bin/sh -e", script("/bin/sh", Some("-e"))),
            ("#!/a\0b\n", script("/a", None)),
            ("#!\n/bin/sh", Err(Flaw::NoInterpreter)),
            ("#!  ", Err(Flaw::NoInterpreter)),
            (&format!("#!/bin/sh {long}"), script("/bin/sh", Some(&long[..HEAD - 11]))),
            (&format!("#!/{long}"), Err(Flaw::LongInterpreter)),
            ("", Err(Flaw::Empty)),
            ("echo\n", Err(Flaw::NoFormat)),
            ("\u{feff}#!/bin/sh\n", Err(Flaw::ByteOrderMark)),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn no_cut_and_no_byte_panics() {
        let mut file = std::fs::read("/proc/self/exe").unwrap();
        file.truncate(4096);
        for end in 0..file.len() {
            let _ = format(&&file[..end], end as u64);
        }
        for at in 0..200 {
            for value in [0, 1, 0x7f, 0xff] {
                let before = std::mem::replace(&mut file[at], value);
                let _ = format(&file.as_slice(), 4096);
                let _ = loader(&file.as_slice(), 4096, MACHINES.0);
                file[at] = before;
            }
        }
    }
}
