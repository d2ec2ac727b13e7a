//! A tree with all that is hard to copy, and what there is in a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// What a copy must keep of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    mode: u32,
    seconds: i64,
    pub nanoseconds: i64,
    content: Vec<u8>,
}

/// Everything below a directory, by its path there.
pub fn listing(root: &Path) -> BTreeMap<OsString, Seen> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let facts = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let content = if facts.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().as_bytes().to_vec()
        } else if facts.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
        let (seconds, nanoseconds) = (facts.mtime(), facts.mtime_nsec());
        all.insert(name, Seen { mode: facts.mode(), seconds, nanoseconds, content });
    }
    all
}

fn set(path: &Path, mode: u32, seconds: i64, nanoseconds: i64) {
    if !path.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let time = TimeSpec::new(seconds, nanoseconds);
    utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
}

/// Names, modes, times, sizes and links that copies get wrong.
pub fn fill(root: &Path) {
    let at = |name: &[u8]| root.join(OsStr::from_bytes(name));
    let long = |byte: u8, length: usize| vec![byte; length];
    let deep = [long(b'a', 120), long(b'b', 120), long(b'c', 120)].join(&b'/');
    fs::create_dir_all(at(&deep)).unwrap();
    fs::create_dir(at(b"empty")).unwrap();
    fs::create_dir(at(b"closed")).unwrap();
    let mut files = vec![
        b"empty-file".to_vec(),
        b"with\nnewline".to_vec(),
        b"not\xffutf-8".to_vec(),
        b"-v".to_vec(),
        b" a b ".to_vec(),
        "\u{e9}".as_bytes().to_vec(),
        b"closed/f".to_vec(),
        long(b'n', 99),
        long(b'n', 100),
        long(b'n', 101),
        long(b'n', 255),
    ];
    files.push([&deep[..], b"/", &long(b'd', 200)].concat());
    for (count, name) in files.iter().enumerate() {
        let sizes = [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, 300_000, 1_000_000, 3, 4];
        let content: Vec<u8> = (0..sizes[count]).map(|byte: u32| (byte * 7 + count as u32) as u8).collect();
        fs::write(at(name), content).unwrap();
    }
    symlink("empty-file", at(b"link")).unwrap();
    symlink("/etc/shadow", at(b"absolute")).unwrap();
    symlink("..", at(b"up")).unwrap();
    symlink(OsStr::from_bytes(&long(b't', 300)), at(b"long-link")).unwrap();
    for (count, name) in files.iter().enumerate() {
        let times = [(0, 0), (1_700_000_000, 123_456_789), (-5, 0), (-3, 500_000_000), (9_000_000_000, 1)];
        let (seconds, nanoseconds) = times[count % times.len()];
        set(&at(name), [0o644, 0o400, 0o777, 0o000][count % 4], seconds, nanoseconds);
    }
    for name in [&b"link"[..], b"absolute", b"up", b"long-link"] {
        set(&at(name), 0, 1_600_000_000, 5);
    }
    let mut above = at(&deep);
    while above != root {
        set(&above, 0o710, 1_500_000_000, 9);
        above.pop();
    }
    set(&at(b"empty"), 0o1777, 1_500_000_000, 9);
    set(&at(b"closed"), 0o500, 1_500_000_001, 0);
    set(root, 0o750, 1_500_000_002, 0);
}

/// Lets a tree be removed again.
pub fn make_writable(root: &Path) {
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_dir()) {
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o755));
            left.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
}
