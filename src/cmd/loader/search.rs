//! Where a loader looks for a library, in its order: ld.so(8), and musl's ldso/dynlink.c.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use elf::abi;

use super::Cache;
use crate::sys::elf::{Machine, Object};
use crate::sys::open::read_bounded;

/// What led to a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its name is a path.
    Name,
    /// `DT_RPATH`.
    Rpath,
    /// `DT_RUNPATH`.
    Runpath,
    /// `LD_LIBRARY_PATH`.
    LibraryPath,
    /// `/etc/ld.so.cache`.
    Cache,
    /// A directory that the loader knows.
    Default,
    /// It is the loader.
    Loader,
}

impl By {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "its name",
            Self::Rpath => "RPATH",
            Self::Runpath => "RUNPATH",
            Self::LibraryPath => "LD_LIBRARY_PATH",
            Self::Cache => "ld.so.cache",
            Self::Default => "default directory",
            Self::Loader => "loader",
        }
    }
}

/// The largest loader that is looked into, and the largest file of directories.
const LOADER: usize = 4 << 20;
const PATHS: usize = 64 << 10;
/// The most directories of one list.
const DIRECTORIES: usize = 64;

/// Whether an interpreter is musl's.
pub fn is_musl(interpreter: &[u8]) -> bool {
    interpreter.rsplit(|byte| *byte == b'/').next().unwrap_or_default().starts_with(b"ld-musl-")
}

/// Names of libraries that musl's loader is itself, whatever follows them.
pub fn is_part_of_musl(name: &[u8]) -> bool {
    let parts = ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."];
    name.strip_prefix(b"lib").is_some_and(|rest| parts.iter().any(|part| rest.starts_with(part.as_bytes())))
}

/// One look for one library.
pub struct Search<'a> {
    /// Who wants it, and who had that loaded, up to the program.
    pub chain: Vec<(&'a [u8], &'a Object)>,
    pub library_path: &'a [u8],
    pub cache: &'a Cache,
    pub defaults: &'a [Vec<u8>],
    pub is_musl: bool,
    pub machine: Machine,
}

impl Search<'_> {
    /// All places, the first first.
    pub fn places(&self, name: &[u8]) -> Vec<(Vec<u8>, By)> {
        let Some(((wanting, object), _)) = self.chain.split_first() else { return Vec::new() };
        if name.contains(&b'/') {
            return vec![(self.expanded(name, wanting), By::Name)];
        }
        let mut all = Vec::new();
        let mut add = |list: &[u8], of: &[u8], by: By| {
            let parts = list.split(|byte| matches!(byte, b':' | b';')).filter(|part| !part.is_empty());
            all.extend(parts.take(DIRECTORIES).map(|part| (joined(&self.expanded(part, of), name), by)));
        };
        if self.is_musl {
            add(self.library_path, wanting, By::LibraryPath);
            // It makes no difference between the two, and asks all that led here.
            for (path, of) in &self.chain {
                if let Some(list) = of.runpath.as_ref().or(of.rpath.as_ref()) {
                    add(list, path, By::Runpath);
                }
            }
        } else {
            // One with DT_RUNPATH has no DT_RPATH, and does not hear that of those that led here.
            if object.runpath.is_none() {
                for (path, of) in self.chain.iter().filter(|(_, of)| of.runpath.is_none()) {
                    if let Some(list) = &of.rpath {
                        add(list, path, By::Rpath);
                    }
                }
            }
            add(self.library_path, wanting, By::LibraryPath);
            if let Some(list) = &object.runpath {
                add(list, wanting, By::Runpath);
            }
            let is_default = |path: &[u8]| self.defaults.iter().any(|directory| path.starts_with(directory));
            let cached = self.cache.paths(name).iter().filter(|path| !object.no_default || !is_default(path));
            all.extend(cached.map(|path| (path.clone(), By::Cache)));
        }
        if !object.no_default {
            all.extend(self.defaults.iter().map(|directory| (joined(directory, name), By::Default)));
        }
        all
    }

    /// `$ORIGIN`, `$LIB`, `$PLATFORM`, with or without braces.
    fn expanded(&self, path: &[u8], of: &[u8]) -> Vec<u8> {
        if !path.contains(&b'$') {
            return path.to_vec();
        }
        let origin = of.get(..of.iter().rposition(|byte| *byte == b'/').unwrap_or(0)).unwrap_or_default();
        let origin = if origin.is_empty() { b"/" } else { origin };
        let (library, platform): (&[u8], &[u8]) = match (self.machine.number, self.machine.is_64) {
            (abi::EM_X86_64, true) => (b"lib/x86_64-linux-gnu", b"x86_64"),
            (abi::EM_AARCH64, _) => (b"lib/aarch64-linux-gnu", b"aarch64"),
            (_, true) => (b"lib64", b""),
            _ => (b"lib", b""),
        };
        let mut text = String::from_utf8_lossy(path).into_owned();
        for (name, value) in [("ORIGIN", origin), ("LIB", library), ("PLATFORM", platform)] {
            let value = String::from_utf8_lossy(value).into_owned();
            text = text.replace(&format!("${{{name}}}"), &value).replace(&format!("${name}"), &value);
        }
        text.into_bytes()
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    [directory, b"/", name].concat()
}

/// The directories that a loader has been built with. glibc's are in its file, each with a slash behind; musl's in a file
/// of the image, else they are always the same.
pub fn default_directories(interpreter: &[u8], machine: Machine, is_musl: bool) -> Vec<Vec<u8>> {
    let split = |list: &[u8]| -> Vec<Vec<u8>> {
        let parts = list.split(|byte| matches!(byte, b':' | b'\n')).filter(|part| !part.is_empty());
        parts.take(DIRECTORIES).map(<[u8]>::to_vec).collect()
    };
    if is_musl {
        let name = interpreter.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
        // Beside the loader's directory: /lib/ld-musl-x86_64.so.1 reads /etc/ld-musl-x86_64.path.
        let file = [b"/etc/", stem, b".path"].concat();
        return match read_bounded(OsStr::from_bytes(&file), PATHS) {
            Ok(list) => split(&list),
            Err(_) => split(b"/lib:/usr/local/lib:/usr/lib"),
        };
    }
    let triplet: &[u8] = match (machine.number, machine.is_64) {
        (abi::EM_X86_64, true) => b"x86_64-linux-gnu",
        (abi::EM_386, _) => b"i386-linux-gnu",
        (abi::EM_AARCH64, true) => b"aarch64-linux-gnu",
        (abi::EM_ARM, _) => b"arm-linux-gnueabihf",
        (abi::EM_PPC64, _) => b"powerpc64le-linux-gnu",
        (abi::EM_S390, _) => b"s390x-linux-gnu",
        (abi::EM_RISCV, true) => b"riscv64-linux-gnu",
        _ => b"",
    };
    let mut all: Vec<Vec<u8>> = Vec::new();
    if !triplet.is_empty() {
        all.extend([b"/lib/", &b"/usr/lib/"[..]].map(|parent| [parent, triplet].concat()));
    }
    if machine.is_64 {
        all.extend([b"/lib64".to_vec(), b"/usr/lib64".to_vec()]);
    }
    all.extend([b"/lib".to_vec(), b"/usr/lib".to_vec()]);
    let Ok(loader) = read_bounded(OsStr::from_bytes(interpreter), LOADER) else { return all };
    let is_known = |directory: &Vec<u8>| {
        let wanted = [b"\0", directory.as_slice(), b"/\0"].concat();
        memchr::memmem::find(&loader, &wanted).is_some()
    };
    let known: Vec<Vec<u8>> = all.iter().filter(|directory| is_known(directory)).cloned().collect();
    if known.is_empty() { all } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(rpath: Option<&str>, runpath: Option<&str>) -> Object {
        Object {
            machine: Machine { is_64: true, is_little: true, number: abi::EM_X86_64 },
            kind: abi::ET_DYN,
            interpreter: None,
            is_dynamic: true,
            needed: Vec::new(),
            soname: None,
            rpath: rpath.map(|path| path.as_bytes().to_vec()),
            runpath: runpath.map(|path| path.as_bytes().to_vec()),
            no_default: false,
            wanted: Vec::new(),
            defined: Vec::new(),
        }
    }

    fn places(chain: &[(&str, &Object)], is_musl: bool) -> Vec<(String, By)> {
        let chain = chain.iter().map(|(path, object)| (path.as_bytes(), *object)).collect();
        let (cache, defaults) = (Cache::default(), [b"/lib".to_vec()]);
        let machine = object(None, None).machine;
        let search =
            Search { chain, library_path: b"/env", cache: &cache, defaults: &defaults, is_musl, machine };
        search.places(b"x.so").into_iter().map(|(path, by)| (String::from_utf8(path).unwrap(), by)).collect()
    }

    #[test]
    fn the_order_is_that_of_ld_so() {
        let named =
            |all: &[(&str, By)]| all.iter().map(|(path, by)| ((*path).to_owned(), *by)).collect::<Vec<_>>();
        let program = object(Some("$ORIGIN/../p"), None);
        let library = object(Some("/l"), None);
        assert_eq!(
            places(&[("/a/lib.so", &library), ("/bin/app", &program)], false),
            named(&[
                ("/l/x.so", By::Rpath),
                ("/bin/../p/x.so", By::Rpath),
                ("/env/x.so", By::LibraryPath),
                ("/lib/x.so", By::Default)
            ])
        );
        let library = object(Some("/ignored"), Some("/r:${ORIGIN}"));
        assert_eq!(
            places(&[("/a/lib.so", &library), ("/bin/app", &program)], false),
            named(&[
                ("/env/x.so", By::LibraryPath),
                ("/r/x.so", By::Runpath),
                ("/a/x.so", By::Runpath),
                ("/lib/x.so", By::Default)
            ])
        );
        assert_eq!(
            places(&[("/a/lib.so", &library), ("/bin/app", &program)], true),
            named(&[
                ("/env/x.so", By::LibraryPath),
                ("/r/x.so", By::Runpath),
                ("/a/x.so", By::Runpath),
                ("/bin/../p/x.so", By::Runpath),
                ("/lib/x.so", By::Default)
            ])
        );
    }

    #[test]
    fn musl_is_its_own_libc() {
        assert!(is_musl(b"/lib/ld-musl-x86_64.so.1") && !is_musl(b"/lib64/ld-linux-x86-64.so.2"));
        assert!(is_part_of_musl(b"libc.musl-x86_64.so.1") && is_part_of_musl(b"libm.so.6"));
        assert!(!is_part_of_musl(b"libcrypto.so.3"));
    }
}
