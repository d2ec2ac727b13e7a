//! Mounts of a process: its mountinfo, proc_pid_mountinfo(5).

use std::collections::HashSet;

/// The most of a mountinfo that is read.
pub const LIMIT: u64 = 8 << 20;

/// One mount. Paths are as the process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its id.
    pub id: u32,
    /// The id of the mount that it is on.
    pub parent: u32,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Which directory of the file system is its root.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub target: Vec<u8>,
    /// Its own options.
    pub options: String,
    /// Where mounts are passed on: `private`, `shared:N`, `master:N`, `propagate_from:N`, `unbindable`.
    pub propagation: String,
    /// The type of the file system.
    pub kind: String,
    /// What is mounted, as the file system says.
    pub source: Vec<u8>,
    /// The file system's options.
    pub super_options: String,
}

/// Parses mountinfo. Lines that are none are passed over.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// The mounts that a path can lead to: of several on one place the last.
pub fn visible(mounts: &[Mount]) -> Vec<&Mount> {
    let mut seen = HashSet::new();
    let mut last: Vec<&Mount> =
        mounts.iter().rev().filter(|mount| seen.insert(mount.target.as_slice())).collect();
    last.reverse();
    last
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut word = || words.next();
    let (id, parent) = (number(word()?)?, number(word()?)?);
    let device = std::str::from_utf8(word()?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let (root, target) = (unescaped(word()?), unescaped(word()?));
    let options = text(word()?);
    let mut propagation = Vec::new();
    loop {
        match word()? {
            b"-" => break,
            other => propagation.push(text(other)),
        }
    }
    let propagation = if propagation.is_empty() { "private".to_owned() } else { propagation.join(",") };
    let (kind, source) = (text(word()?), unescaped(word()?));
    let super_options = text(word().unwrap_or_default());
    Some(Mount { id, parent, device, root, target, options, propagation, kind, source, super_options })
}

fn number(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(&unescaped(word)).into_owned()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) => {
                out.push(
                    digits.iter().fold(0u8, |byte, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

impl Mount {
    /// Whether nothing can be written through it: by its own options or by its file system's.
    pub fn is_read_only(&self) -> bool {
        [&self.options, &self.super_options]
            .into_iter()
            .any(|all| all.split(',').any(|option| option == "ro"))
    }

    /// Whether it is mounted at this path or below it.
    pub fn is_below(&self, path: &[u8]) -> bool {
        let path = if path == b"/" { b"" } else { path };
        self.target.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Whether a path is at it or below it, by their names.
    pub fn holds(&self, path: &[u8]) -> bool {
        let target = if self.target == b"/" { b"" } else { self.target.as_slice() };
        path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let text = b"541 398 0:51 / / ro,relatime - overlay overlay rw,lowerdir=/a\\040b\n\
            22 28 0:20 /sub /a\\040b\\011\\134 rw shared:7 master:3 - tmpfs tm\\012p rw\nbroken\n1 2 3 / / rw - x y z\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].device, all[0].kind.as_str(), all[0].propagation.as_str()),
            ((0, 51), "overlay", "private")
        );
        assert_eq!(all[0].super_options, "rw,lowerdir=/a b");
        assert_eq!((all[1].target.as_slice(), all[1].source.as_slice()), (&b"/a b\t\\"[..], &b"tm\np"[..]));
        assert_eq!(all[1].propagation, "shared:7,master:3");
        assert!(all[0].holds(b"/x") && all[0].is_below(b"/") && !all[1].is_below(b"/a"));
        assert!(all[1].holds(b"/a b\t\\/x") && !all[1].holds(b"/a b\t\\x"));
        assert_eq!(unescaped(b"\\04\\777\\"), b"\\04\xff\\");
    }
}
