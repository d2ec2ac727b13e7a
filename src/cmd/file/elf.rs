//! Programs, libraries, kernel modules and core files: ELF.

use elf::abi;
use elf::dynamic::Dyn;
use elf::endian::AnyEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::note::{Note, NoteIterator};
use elf::parse::{ParseAt, ParsingTable};
use elf::section::SectionHeader;
use elf::segment::ProgramHeader;

use super::What;
use super::sample::Sample;
use crate::out::name::escape;

/// The longest table that is read of a file.
const TABLE: u64 = 128 << 10;

/// The longest path of an interpreter.
const PATH: u64 = 4096;

/// What the tables of a file say.
#[derive(Default)]
struct Facts {
    interpreter: Option<String>,
    is_dynamic: bool,
    is_pie: bool,
    build_id: Option<Vec<u8>>,
    go_build_id: Option<String>,
    is_go: bool,
    kernel: Option<String>,
    core_of: Option<String>,
    sections: u64,
    has_symbols: bool,
    has_debug_info: bool,
    is_module: bool,
}

/// What an ELF file is.
pub fn look(sample: &Sample) -> Option<What> {
    if !sample.has(0, b"\x7fELF") {
        return None;
    }
    let ident = sample.head.get(..abi::EI_NIDENT).and_then(|ident| parse_ident::<AnyEndian>(ident).ok());
    let header = ident.and_then(|ident| {
        FileHeader::parse_tail(ident, sample.head.get(abi::EI_NIDENT..).unwrap_or_default()).ok()
    });
    match header {
        Some(header) => Some(described(&header, &facts(&header, sample))),
        None => Some(What::binary("ELF, cut short or damaged", "application/octet-stream")),
    }
}

/// The entries of a table of a file, as far as they are there.
fn table<P: ParseAt>(header: &FileHeader<AnyEndian>, sample: &Sample, (offset, count): (u64, u64)) -> Vec<P> {
    let length = count.saturating_mul(P::size_for(header.class) as u64).min(TABLE);
    let bytes = sample.at(offset, length as usize);
    ParsingTable::<AnyEndian, P>::new(header.endianness, header.class, &bytes).iter().collect()
}

fn facts(header: &FileHeader<AnyEndian>, sample: &Sample) -> Facts {
    let mut facts = Facts::default();
    let segments: Vec<ProgramHeader> = table(header, sample, (header.e_phoff, header.e_phnum.into()));
    for segment in &segments {
        match segment.p_type {
            abi::PT_INTERP => {
                let bytes = sample.at(segment.p_offset, segment.p_filesz.min(PATH) as usize);
                facts.interpreter = Some(escape(until_nul(&bytes)));
            }
            abi::PT_DYNAMIC => {
                facts.is_dynamic = true;
                let count = segment.p_filesz / Dyn::size_for(header.class) as u64;
                for entry in table::<Dyn>(header, sample, (segment.p_offset, count)) {
                    facts.is_pie |=
                        entry.d_tag == abi::DT_FLAGS_1 && entry.d_val() & abi::DF_1_PIE as u64 != 0;
                }
            }
            abi::PT_NOTE => {
                notes(header, sample, (segment.p_offset, segment.p_filesz, segment.p_align), &mut facts)
            }
            _ => {}
        }
    }
    sections(header, sample, &mut facts);
    facts
}

fn sections(header: &FileHeader<AnyEndian>, sample: &Sample, facts: &mut Facts) {
    if header.e_shoff == 0 {
        return;
    }
    let sections: Vec<SectionHeader> = table(header, sample, (header.e_shoff, header.e_shnum.into()));
    facts.sections = sections.len() as u64;
    let names = sections
        .get(usize::from(header.e_shstrndx))
        .map(|section| sample.at(section.sh_offset, section.sh_size.min(TABLE) as usize))
        .unwrap_or_default();
    for section in &sections {
        let name = names.get(section.sh_name as usize..).map(until_nul).unwrap_or_default();
        facts.has_symbols |= section.sh_type == abi::SHT_SYMTAB;
        facts.has_debug_info |= matches!(name, b".debug_info" | b".zdebug_info");
        facts.is_module |= name == b".gnu.linkonce.this_module";
        facts.is_go |= matches!(name, b".go.buildinfo" | b".gopclntab" | b".note.go.buildid");
        if section.sh_type == abi::SHT_NOTE {
            notes(header, sample, (section.sh_offset, section.sh_size, section.sh_addralign), facts);
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn notes(
    header: &FileHeader<AnyEndian>,
    sample: &Sample,
    (offset, length, align): (u64, u64, u64),
    facts: &mut Facts,
) {
    let bytes = sample.at(offset, length.min(TABLE) as usize);
    let align = if align == 8 { 8 } else { 4 };
    for note in NoteIterator::new(header.endianness, header.class, align, &bytes) {
        match note {
            Note::GnuBuildId(id) => facts.build_id = Some(id.0.to_vec()),
            Note::GnuAbiTag(tag) if tag.os == 0 => {
                facts.kernel = Some(format!("{}.{}.{}", tag.major, tag.minor, tag.subminor));
            }
            Note::Unknown(note) if until_nul(note.name) == b"Go" && note.n_type == 4 => {
                facts.is_go = true;
                facts.go_build_id = Some(escape(note.desc.get(..200).unwrap_or(note.desc)));
            }
            // NT_PRPSINFO: struct elf_prpsinfo has pr_fname at 40, or at 28 where words have 32 bits.
            Note::Unknown(note) if until_nul(note.name) == b"CORE" && note.n_type == 3 => {
                let at = if header.class == Class::ELF64 { 40 } else { 28 };
                let name = note.desc.get(at..at + 16).map(until_nul).filter(|name| !name.is_empty());
                facts.core_of = facts.core_of.take().or(name.map(escape));
            }
            _ => {}
        }
    }
}

/// Whose libc an interpreter belongs to.
fn libc_of(interpreter: &str) -> Option<&'static str> {
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    if name.starts_with("ld-musl") {
        Some("musl")
    } else if name.starts_with("ld-uClibc") {
        Some("uClibc")
    } else if name.starts_with("ld-linux") || name.starts_with("ld64.so") || name == "ld.so.1" {
        Some("glibc")
    } else if name.starts_with("linker") {
        Some("bionic")
    } else {
        None
    }
}

/// A machine's name, by its number in `e_machine`.
pub fn machine(number: u16) -> String {
    let known = match number {
        abi::EM_X86_64 => "x86-64",
        abi::EM_386 => "Intel 80386",
        abi::EM_AARCH64 => "ARM aarch64",
        abi::EM_ARM => "ARM",
        abi::EM_RISCV => "UCB RISC-V",
        abi::EM_S390 => "IBM S/390",
        abi::EM_PPC64 => "64-bit PowerPC or cisco 7500",
        abi::EM_PPC => "PowerPC or cisco 4500",
        abi::EM_MIPS => "MIPS",
        258 => "LoongArch",
        247 => "eBPF",
        abi::EM_SPARCV9 => "SPARC V9",
        abi::EM_68K => "Motorola m68k",
        abi::EM_IA_64 => "IA-64",
        abi::EM_SH => "Renesas SH",
        other => return format!("machine {other}"),
    };
    known.to_owned()
}

fn system(osabi: u8) -> &'static str {
    match osabi {
        abi::ELFOSABI_SYSV => "SYSV",
        abi::ELFOSABI_LINUX => "GNU/Linux",
        abi::ELFOSABI_NETBSD => "NetBSD",
        abi::ELFOSABI_FREEBSD => "FreeBSD",
        abi::ELFOSABI_OPENBSD => "OpenBSD",
        abi::ELFOSABI_SOLARIS => "Solaris",
        _ => "another system",
    }
}

fn described(header: &FileHeader<AnyEndian>, facts: &Facts) -> What {
    let (kind, mime) = match header.e_type {
        abi::ET_REL => ("relocatable", "application/x-object"),
        abi::ET_EXEC => ("executable", "application/x-executable"),
        abi::ET_DYN if facts.is_pie || facts.interpreter.is_some() => {
            ("pie executable", "application/x-pie-executable")
        }
        abi::ET_DYN => ("shared object", "application/x-sharedlib"),
        abi::ET_CORE => ("core file", "application/x-coredump"),
        _ => ("of a kind that is not known", "application/octet-stream"),
    };
    let bits = if header.class == Class::ELF64 { 64 } else { 32 };
    let order = if matches!(header.endianness, AnyEndian::Little) { "LSB" } else { "MSB" };
    let (machine, system) = (machine(header.e_machine), system(header.osabi));
    let mut text = format!("ELF {bits}-bit {order} {kind}, {machine}, version {} ({system})", header.version);
    let mut what = What::binary("", mime);
    for (name, value) in [("type", kind), ("machine", &machine), ("system", system)] {
        what.detail(name, value);
    }
    what.detail("bits", bits);
    let linkage = match (header.e_type, facts.is_dynamic) {
        (abi::ET_EXEC | abi::ET_DYN, true) if facts.is_pie && facts.interpreter.is_none() => "static-pie",
        (abi::ET_EXEC | abi::ET_DYN, true) => "dynamic",
        (abi::ET_EXEC | abi::ET_DYN, false) => "static",
        _ => "",
    };
    match linkage {
        "static-pie" => text.push_str(", static-pie linked"),
        "dynamic" => text.push_str(", dynamically linked"),
        "static" => text.push_str(", statically linked"),
        _ => {}
    }
    if !linkage.is_empty() {
        what.detail("linked", linkage);
    }
    if let Some(interpreter) = &facts.interpreter {
        text.push_str(&format!(", interpreter {interpreter}"));
        what.detail("interpreter", interpreter.as_str());
        if let Some(libc) = libc_of(interpreter) {
            text.push_str(&format!(" ({libc})"));
            what.detail("libc", libc);
        }
    }
    if facts.is_module {
        text.push_str(", Linux kernel module");
    }
    if let Some(name) = &facts.core_of {
        text.push_str(&format!(", from '{name}'"));
        what.detail("core_of", name.as_str());
    }
    if facts.is_go {
        text.push_str(", Go");
        what.detail("language", "Go");
        if let Some(id) = &facts.go_build_id {
            text.push_str(&format!(" BuildID={id}"));
        }
    }
    if let Some(id) = &facts.build_id {
        let kind = match id.len() {
            20 => "[sha1]",
            16 => "[md5/uuid]",
            8 => "[xxHash]",
            _ => "",
        };
        let digits: String = id.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!(", BuildID{kind}={digits}"));
        what.detail("build_id", digits);
    }
    if let Some(kernel) = &facts.kernel {
        text.push_str(&format!(", for GNU/Linux {kernel}"));
    }
    if header.e_type != abi::ET_CORE {
        if facts.has_debug_info {
            text.push_str(", with debug_info");
        }
        text.push_str(match (facts.sections, facts.has_symbols) {
            (0, _) => ", no section header",
            (_, true) => ", not stripped",
            (_, false) => ", stripped",
        });
        what.detail("stripped", !facts.has_symbols);
    }
    what.description = text;
    what
}
