//! How two lines compare.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::key::{As, Counts, Key, is_blank};
use super::{number, version};

/// How lines are compared.
pub struct Comparison {
    /// The keys, one after the other; none compares whole lines by their bytes.
    pub keys: Vec<Key>,
    /// What separates fields.
    pub separator: Option<u8>,
    /// Whole lines are turned round.
    pub reverse: bool,
    /// Lines whose keys are the same are not compared by their bytes.
    pub stable: bool,
    /// They are dropped.
    pub unique: bool,
    /// What the order of -R comes from: another one in each run.
    pub chance: RandomState,
}

impl Comparison {
    /// Two lines, up to their bytes.
    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let order = self.by_keys(a, b);
        if order != Ordering::Equal || (!self.keys.is_empty() && (self.stable || self.unique)) {
            return order;
        }
        if self.reverse { b.cmp(a) } else { a.cmp(b) }
    }

    /// Two lines by their keys alone.
    fn by_keys(&self, a: &[u8], b: &[u8]) -> Ordering {
        for key in &self.keys {
            let order = self.by_key(key, key.of(a, self.separator), key.of(b, self.separator));
            if order != Ordering::Equal {
                return if key.how.reverse { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    }

    /// A number that is never larger for a line that comes first, so that most lines need no other comparison.
    pub fn rank(&self, line: &[u8]) -> u64 {
        let (rank, reverse) = match self.keys.first() {
            None => (first_bytes(line.iter().copied()), self.reverse),
            Some(key) => {
                let part = key.of(line, self.separator);
                let rank = match key.how.kind {
                    As::Text => first_bytes(counted(key, part)),
                    As::Number => number::rank(part),
                    As::Random => self.random(key, part),
                    As::General | As::Human | As::Month | As::Version => 0,
                };
                (rank, key.how.reverse)
            }
        };
        if reverse { !rank } else { rank }
    }

    fn by_key(&self, key: &Key, a: &[u8], b: &[u8]) -> Ordering {
        match key.how.kind {
            As::Text if key.how.counts == Counts::All && !key.how.fold => a.cmp(b),
            As::Text => counted(key, a).cmp(counted(key, b)),
            As::Number => number::compare(a, b),
            As::General => number::compare_general(a, b),
            As::Human => number::compare_human(a, b),
            As::Month => month(a).cmp(&month(b)),
            As::Random => {
                let order = self.random(key, a).cmp(&self.random(key, b));
                order.then_with(|| counted(key, a).cmp(counted(key, b)))
            }
            As::Version if key.how.fold || key.how.counts != Counts::All => {
                let (a, b): (Vec<u8>, Vec<u8>) = (counted(key, a).collect(), counted(key, b).collect());
                version::compare(&a, &b)
            }
            As::Version => version::compare(a, b),
        }
    }

    fn random(&self, key: &Key, part: &[u8]) -> u64 {
        let mut hasher = self.chance.build_hasher();
        counted(key, part).for_each(|byte| hasher.write_u8(byte));
        hasher.finish()
    }
}

fn first_bytes(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    u64::from_be_bytes(first)
}

/// The bytes of a key that count, as they count.
fn counted(key: &Key, part: &[u8]) -> impl Iterator<Item = u8> {
    let (counts, fold) = (key.how.counts, key.how.fold);
    part.iter()
        .copied()
        .filter(move |&byte| match counts {
            Counts::All => true,
            Counts::Dictionary => byte.is_ascii_alphanumeric() || is_blank(byte),
            Counts::Printing => matches!(byte, 0x20..=0x7e),
        })
        .map(move |byte| if fold { byte.to_ascii_uppercase() } else { byte })
}

/// 1 to 12; 0 for what is no month.
fn month(text: &[u8]) -> usize {
    const NAMES: [&[u8; 3]; 12] =
        [b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"];
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    let Some(letters) = text.get(blanks..blanks + 3) else { return 0 };
    NAMES.iter().position(|name| letters.eq_ignore_ascii_case(&name[..])).map_or(0, |at| at + 1)
}
