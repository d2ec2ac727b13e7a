//! Headers of members, as bytes.

use super::{BLOCK, Extent, Kind, Member, SOURCES, TOTAL, field, sum};

/// The end of a stream.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The largest number that seven, or eleven, octal digits hold.
const SMALL: u64 = 0o777_7777;
const LARGE: u64 = 0o777_7777_7777;

/// Zero bytes that follow so many bytes of data.
pub fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

/// A member's header; before it, in an extended header, what its fields do not hold: long names, times with fractions
/// or before 1970, large sizes and ids.
pub fn header(member: &Member, to: &mut Vec<u8>) {
    let mut records = Vec::new();
    if member.path.len() > field::NAME.len() {
        record(b"path", &member.path, &mut records);
    }
    whole_header(member, records, to);
}

/// The header of a file with holes in the format 1.0 of GNU's tar, and the map; the data of these extents follows. Who does
/// not know the format finds a file of another name with the map before the data.
pub fn sparse_header(member: &Member, extents: &[Extent], to: &mut Vec<u8>) {
    let mut map = Vec::new();
    let mut numbers: Vec<u64> = extents.iter().flat_map(|extent| [extent.at, extent.length]).collect();
    if extents.last().is_none_or(|last| last.at + last.length < member.size) {
        // The hole at the end.
        numbers.extend([member.size, 0]);
    }
    for number in std::iter::once(numbers.len() as u64 / 2).chain(numbers) {
        map.extend_from_slice(format!("{number}\n").as_bytes());
    }
    map.resize(map.len() + padding(map.len() as u64), 0);
    let mut records = Vec::new();
    record(b"GNU.sparse.major", b"1", &mut records);
    record(b"GNU.sparse.minor", b"0", &mut records);
    record(b"GNU.sparse.name", &member.path, &mut records);
    record(b"GNU.sparse.realsize", member.size.to_string().as_bytes(), &mut records);
    let name = member.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let size = map.len() as u64 + extents.iter().map(|extent| extent.length).sum::<u64>();
    let member = Member { path: [b"GNUSparseFile.0/", name].concat(), size, ..member.clone() };
    whole_header(&member, records, to);
    to.extend_from_slice(&map);
}

/// A header with these records in the extended one before it, and what else is needed there.
fn whole_header(member: &Member, mut records: Vec<u8>, to: &mut Vec<u8>) {
    if member.target.len() > field::TARGET.len() {
        record(b"linkpath", &member.target, &mut records);
    }
    if member.size > LARGE {
        record(b"size", member.size.to_string().as_bytes(), &mut records);
    }
    for (key, id) in [(&b"uid"[..], member.uid), (b"gid", member.gid)] {
        if u64::from(id) > SMALL {
            record(key, id.to_string().as_bytes(), &mut records);
        }
    }
    if member.nanoseconds != 0 || !(0..=LARGE as i64).contains(&member.seconds) {
        record(b"mtime", time(member.seconds, member.nanoseconds).as_bytes(), &mut records);
    }
    extended(b'x', &records, to);
    let kind = match member.kind {
        Kind::File | Kind::Other(_) => b'0',
        Kind::HardLink => b'1',
        Kind::Link => b'2',
        Kind::Directory => b'5',
    };
    block(kind, member, to);
}

/// A global header that says how many bytes of files will come, where that is known, and of how many sources, where
/// there are several.
pub fn announce(bytes: u64, sources: usize, to: &mut Vec<u8>) {
    let mut records = Vec::new();
    if bytes > 0 {
        record(TOTAL, bytes.to_string().as_bytes(), &mut records);
    }
    if sources > 1 {
        record(SOURCES, sources.to_string().as_bytes(), &mut records);
    }
    extended(b'g', &records, to);
}

fn extended(kind: u8, records: &[u8], to: &mut Vec<u8>) {
    if records.is_empty() {
        return;
    }
    let size = records.len() as u64;
    let member = Member { path: b"./PaxHeaders/nsdbg".to_vec(), mode: 0o644, size, ..Member::default() };
    block(kind, &member, to);
    to.extend_from_slice(records);
    to.resize(to.len() + padding(size), 0);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &[u8], value: &[u8], to: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    to.extend_from_slice(length.to_string().as_bytes());
    to.push(b' ');
    to.extend_from_slice(key);
    to.push(b'=');
    to.extend_from_slice(value);
    to.push(b'\n');
}

fn time(seconds: i64, nanoseconds: u32) -> String {
    if seconds < 0 && nanoseconds > 0 {
        return format!("-{}.{:09}", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds);
    }
    format!("{seconds}.{nanoseconds:09}")
}

fn block(kind: u8, member: &Member, to: &mut Vec<u8>) {
    let mut block = [0; BLOCK];
    let mut put = |at: std::ops::Range<usize>, bytes: &[u8]| {
        for (to, from) in block[at].iter_mut().zip(bytes) {
            *to = *from;
        }
    };
    let octal = |value: u64, digits: usize| format!("{value:0digits$o}");
    put(field::NAME, &member.path);
    put(field::MODE, octal((member.mode & 0o7777).into(), 7).as_bytes());
    for (at, id) in [(field::UID, member.uid), (field::GID, member.gid)] {
        put(at, octal(u64::from(id).min(SMALL), 7).as_bytes());
    }
    put(field::SIZE, octal(if member.size > LARGE { 0 } else { member.size }, 11).as_bytes());
    put(field::TIME, octal(member.seconds.clamp(0, LARGE as i64) as u64, 11).as_bytes());
    put(field::TARGET, &member.target);
    put(field::MAGIC, b"ustar\x0000");
    put(field::KIND..field::KIND + 1, &[kind]);
    let sum = format!("{:06o}\0 ", sum(&block));
    block[field::SUM].copy_from_slice(sum.as_bytes());
    to.extend_from_slice(&block);
}
