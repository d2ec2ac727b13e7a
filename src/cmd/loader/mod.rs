//! Which libraries a program's dynamic loader would find, and where: ld.so(8) of glibc and of musl, without running them.

mod cache;
mod search;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use crate::sys::elf::{Machine, Object};
use crate::sys::open::{Refused, regular};

pub(crate) use cache::Cache;
pub use search::By;
use search::Search;

/// The most libraries of one program.
const LIBRARIES: usize = 1000;

/// A library that is needed.
#[derive(Debug, Clone)]
pub struct Library {
    /// As the one that needs it names it.
    pub name: Vec<u8>,
    /// Where it is, and what led there; none where it is not found.
    pub found: Option<(Vec<u8>, By)>,
    /// The file that needs it.
    pub needed_by: Vec<u8>,
    /// Where it was looked for in vain, where it was not found.
    pub looked: Vec<Vec<u8>>,
    /// What was found of its name, but is for another machine.
    pub others: Vec<Vec<u8>>,
    /// Versions of symbols that are wanted of it, and that it lacks; with who wants each.
    pub lacks: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a loader would do.
#[derive(Debug)]
pub struct Loaded {
    /// The program.
    pub object: Rc<Object>,
    /// Its libraries, in the order in which they are loaded.
    pub libraries: Vec<Library>,
    /// Whether there are more than are looked at.
    pub is_cut: bool,
}

/// Loads, in mind; keeps what it has read, since programs of one image share their libraries.
pub struct Loader {
    library_path: Vec<u8>,
    cache: Cache,
    read: HashMap<Vec<u8>, Option<Rc<Object>>>,
    defaults: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Loader {
    /// With the environment's `LD_LIBRARY_PATH`.
    pub fn new(library_path: Option<&OsStr>) -> Self {
        Self {
            library_path: library_path.map(|path| path.as_bytes().to_vec()).unwrap_or_default(),
            cache: Cache::read(),
            read: HashMap::new(),
            defaults: HashMap::new(),
        }
    }

    /// Reads an ELF file, once; none where it is none.
    pub fn object(&mut self, path: &[u8]) -> Option<Rc<Object>> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let object = match regular(OsStr::from_bytes(path)) {
            Ok((file, _)) => Object::read(&file).map(Rc::new),
            Err(Refused::Io(_) | Refused::Kind(_)) => None,
        };
        self.read.insert(path.to_vec(), object.clone());
        object
    }

    /// Loads a program; none where it is no ELF file.
    pub fn load(&mut self, program: &[u8]) -> Option<Loaded> {
        let object = self.object(program)?;
        let mut loaded = Loaded { object: Rc::clone(&object), libraries: Vec::new(), is_cut: false };
        if !object.is_dynamic {
            return Some(loaded);
        }
        let interpreter = object.interpreter.clone().unwrap_or_default();
        let is_musl = search::is_musl(&interpreter);
        let defaults = self.default_directories(&interpreter, object.machine, is_musl);
        // A file and who had it loaded, up to the program, by their numbers; the program is the first.
        let mut files = vec![File { path: program.to_vec(), object: Rc::clone(&object), parent: None }];
        let mut names: HashSet<Vec<u8>> = HashSet::new();
        // The loader itself is there, under its own name.
        let own_name = interpreter.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        let mut queue: VecDeque<usize> = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            for name in files[at].object.needed.clone() {
                if !names.insert(name.clone()) {
                    continue;
                }
                if loaded.libraries.len() >= LIBRARIES {
                    loaded.is_cut = true;
                    return Some(loaded);
                }
                let needed_by = files[at].path.clone();
                let mut library = Library {
                    name,
                    found: None,
                    needed_by,
                    looked: Vec::new(),
                    others: Vec::new(),
                    lacks: Vec::new(),
                };
                if library.name == own_name || (is_musl && search::is_part_of_musl(&library.name)) {
                    library.found = Some((interpreter.clone(), By::Loader));
                } else {
                    let search = Search {
                        chain: chain(&files, at),
                        library_path: &self.library_path,
                        cache: &self.cache,
                        defaults: &defaults,
                        is_musl,
                        machine: object.machine,
                    };
                    let places = search.places(&library.name);
                    self.first_that_fits(places, object.machine, &mut library);
                }
                if let Some((path, _)) = &library.found
                    && let Some(of) = self.object(path)
                {
                    names.extend(of.soname.clone());
                    if files.iter().all(|file| file.path != *path) {
                        files.push(File { path: path.clone(), object: of, parent: Some(at) });
                        queue.push_back(files.len() - 1);
                    }
                }
                loaded.libraries.push(library);
            }
        }
        if !is_musl {
            lacking(&files, &mut loaded.libraries);
        }
        Some(loaded)
    }

    /// The first of these files that is for this machine.
    fn first_that_fits(&mut self, places: Vec<(Vec<u8>, By)>, machine: Machine, library: &mut Library) {
        for (path, by) in places {
            match self.object(&path) {
                Some(object) if object.machine == machine => {
                    library.found = Some((path, by));
                    library.looked.clear();
                    return;
                }
                Some(_) => library.others.push(path),
                None if library.looked.len() < 64 => library.looked.push(path),
                None => {}
            }
        }
    }

    /// Where a loader looks at last.
    fn default_directories(&mut self, interpreter: &[u8], machine: Machine, is_musl: bool) -> Vec<Vec<u8>> {
        self.defaults
            .entry(interpreter.to_vec())
            .or_insert_with(|| search::default_directories(interpreter, machine, is_musl))
            .clone()
    }
}

/// A file that is loaded.
struct File {
    path: Vec<u8>,
    object: Rc<Object>,
    parent: Option<usize>,
}

/// Who wants a library, and who had that loaded, up to the program.
fn chain(files: &[File], at: usize) -> Vec<(&[u8], &Object)> {
    let mut all = Vec::new();
    let mut next = Some(at);
    while let Some(at) = next {
        all.push((files[at].path.as_slice(), &*files[at].object));
        next = files[at].parent;
    }
    all
}

/// Looks for versions of symbols that are wanted and not there, as glibc's loader does before it starts a program.
fn lacking(files: &[File], libraries: &mut [Library]) {
    for file in files {
        for wanted in &file.object.wanted {
            let is_meant = |library: &&mut Library| {
                let of =
                    library.found.as_ref().and_then(|(path, _)| files.iter().find(|file| file.path == *path));
                library.name == wanted.file
                    || of.is_some_and(|of| of.object.soname.as_ref() == Some(&wanted.file))
            };
            let Some(library) = libraries.iter_mut().find(is_meant) else { continue };
            let Some((path, _)) = &library.found else { continue };
            let Some(of) = files.iter().find(|file| file.path == *path) else { continue };
            // One without any versions is taken as it is.
            if of.object.defined.is_empty() {
                continue;
            }
            for version in &wanted.versions {
                if !of.object.defined.contains(version) {
                    library.lacks.push((version.clone(), file.path.clone()));
                }
            }
        }
    }
}

/// A path for messages.
pub fn shown(path: &[u8]) -> String {
    crate::out::Name::from(OsString::from(OsStr::from_bytes(path))).spelled()
}
