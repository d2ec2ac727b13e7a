//! What is printed of a file: `-printf`, `-ls`, JSON.

use serde::Serialize;

use super::expression::Clock;
use super::file::{File, time};
use super::format::{Field, Format, Layout, Part};
use crate::out::name::escape;
use crate::out::{Name, units};
use crate::sys::passwd::Users;
use crate::sys::statx::mode_text;

/// A file as a JSON row. What could not be had is null.
#[derive(Serialize)]
pub struct Row<'a> {
    path: Name,
    name: Name,
    #[serde(rename = "type")]
    kind: &'static str,
    size: Option<u64>,
    mode: Option<String>,
    user: Option<&'a str>,
    group: Option<&'a str>,
    uid: Option<u32>,
    gid: Option<u32>,
    nlink: Option<u32>,
    blocks: Option<u64>,
    mtime: Option<String>,
    atime: Option<String>,
    ctime: Option<String>,
    inode: Option<u64>,
    depth: usize,
    target: Option<Name>,
}

impl<'a> Row<'a> {
    /// The row of a file.
    pub fn new(file: &File, users: &'a Users) -> Self {
        let stat = file.stat().ok();
        let at = |clock| {
            stat.and_then(|stat| time(stat, clock)).map(|(seconds, nanos)| units::rfc3339(seconds, nanos))
        };
        Self {
            path: file.path().into(),
            name: file.base().into(),
            kind: match file.kind() {
                libc::DT_REG => "file",
                libc::DT_DIR => "directory",
                libc::DT_LNK => "link",
                libc::DT_FIFO => "fifo",
                libc::DT_SOCK => "socket",
                libc::DT_CHR => "character device",
                libc::DT_BLK => "block device",
                _ => "unknown",
            },
            size: stat.map(|stat| stat.stx_size),
            mode: stat.map(|stat| format!("{:04o}", stat.stx_mode & 0o7777)),
            user: stat.and_then(|stat| users.user(stat.stx_uid)).map(|user| user.name),
            group: stat.and_then(|stat| users.group(stat.stx_gid)).map(|group| group.name),
            uid: stat.map(|stat| stat.stx_uid),
            gid: stat.map(|stat| stat.stx_gid),
            nlink: stat.map(|stat| stat.stx_nlink),
            blocks: stat.map(|stat| stat.stx_blocks.saturating_mul(512)),
            mtime: at(Clock::Modification),
            atime: at(Clock::Access),
            ctime: at(Clock::Change),
            inode: stat.map(|stat| stat.stx_ino),
            depth: file.depth(),
            target: file.target().ok().flatten().map(Name::from),
        }
    }
}

/// Adds a file's line of `-ls`.
///
/// # Errors
/// Where its facts can't be had.
pub fn ls(to: &mut Vec<u8>, file: &File, users: &Users, now: (i64, u32)) -> nix::Result<()> {
    let stat = file.stat()?;
    let text = |bytes: &[u8; 10]| String::from_utf8_lossy(bytes).into_owned();
    let size = if matches!(u32::from(stat.stx_mode) & libc::S_IFMT, libc::S_IFCHR | libc::S_IFBLK) {
        format!("{:>3}, {:>3}", stat.stx_rdev_major, stat.stx_rdev_minor)
    } else {
        format!("{:>8}", stat.stx_size)
    };
    let line = format!(
        "{:>9} {:>6} {} {:>3} {:<8} {:<8} {size} {} ",
        stat.stx_ino,
        stat.stx_blocks.div_ceil(2),
        text(&mode_text(u32::from(stat.stx_mode))),
        stat.stx_nlink,
        escape(users.user_name(stat.stx_uid).as_bytes()),
        escape(users.group_name(stat.stx_gid).as_bytes()),
        date((stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec), now),
    );
    to.extend_from_slice(line.as_bytes());
    quoted(to, file.path());
    if let Some(target) = file.target()? {
        to.extend_from_slice(b" -> ");
        quoted(to, &target);
    }
    to.push(b'\n');
    Ok(())
}

/// `Nov 23 09:33`, or `Nov 23  2024` where that is no time of the last six months.
fn date(at: (i64, u32), now: (i64, u32)) -> String {
    const HALF_YEAR: i64 = 31_556_952 / 2;
    let utc = units::utc(at.0);
    let month = units::month_name(utc.month);
    if (now.0.saturating_sub(HALF_YEAR), now.1) < at && at <= (now.0.saturating_add(3600), 0) {
        format!("{month} {:>2} {:02}:{:02}", utc.day, utc.hour, utc.minute)
    } else {
        format!("{month} {:>2}  {:>4}", utc.day, utc.year)
    }
}

/// A name with a backslash before what is not plain, as in C.
fn quoted(to: &mut Vec<u8>, name: &[u8]) {
    for byte in name {
        match byte {
            b'\n' => to.extend_from_slice(b"\\n"),
            b'\t' => to.extend_from_slice(b"\\t"),
            b' ' | b'\\' | b'"' => to.extend([b'\\', *byte]),
            0x21..=0x7e => to.push(*byte),
            _ => to.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
}

/// Adds what a format says of a file. `start` is the path at which the walk began. On a terminal names are escaped.
///
/// # Errors
/// Where facts that it needs can't be had.
pub fn printf(
    to: &mut Vec<u8>,
    format: &Format,
    file: &File,
    start: &[u8],
    users: &Users,
    tty: bool,
) -> nix::Result<()> {
    for part in &format.0 {
        match part {
            Part::Text(text) => to.extend_from_slice(text),
            Part::Field(field, layout) => {
                let mut value = value(*field, *layout, file, start, users)?;
                if tty {
                    value = escape(&value).into_bytes();
                }
                lay_out(to, &value, *layout, is_number(*field));
            }
            Part::Stop => break,
        }
    }
    Ok(())
}

/// Whether printf(3) takes it for a number: others are texts, whose precision cuts them.
fn is_number(field: Field) -> bool {
    matches!(field, Field::Octal | Field::Depth)
}

fn lay_out(to: &mut Vec<u8>, value: &[u8], layout: Layout, is_number: bool) {
    let value = match layout.precision {
        Some(most) if !is_number => value.get(..most).unwrap_or(value),
        _ => value,
    };
    let missing = layout.width.saturating_sub(value.len());
    let fill = if layout.zeros && is_number && !layout.left { b'0' } else { b' ' };
    if !layout.left {
        to.resize(to.len() + missing, fill);
    }
    to.extend_from_slice(value);
    if layout.left {
        to.resize(to.len() + missing, b' ');
    }
}

fn value(field: Field, layout: Layout, file: &File, start: &[u8], users: &Users) -> nix::Result<Vec<u8>> {
    let path = file.path();
    let number = |value: u64| value.to_string().into_bytes();
    Ok(match field {
        Field::Path => path.to_vec(),
        Field::Base => file.base_with_slashes().to_vec(),
        Field::Directory => directory(path).to_vec(),
        Field::Below => {
            let below = path.get(start.len()..).unwrap_or_default();
            below.strip_prefix(b"/").unwrap_or(below).to_vec()
        }
        Field::Start => start.to_vec(),
        Field::Size => number(file.stat()?.stx_size),
        Field::Blocks => number(file.stat()?.stx_blocks),
        Field::Kibibytes => number(file.stat()?.stx_blocks.div_ceil(2)),
        Field::Octal => {
            let mode = file.stat()?.stx_mode & 0o7777;
            if layout.alternate { format!("{mode:#o}").replace("0o", "0") } else { format!("{mode:o}") }
                .into_bytes()
        }
        Field::Mode => mode_text(u32::from(file.stat()?.stx_mode)).to_vec(),
        Field::User => users.user_name(file.stat()?.stx_uid).into_bytes(),
        Field::Uid => number(u64::from(file.stat()?.stx_uid)),
        Field::Group => users.group_name(file.stat()?.stx_gid).into_bytes(),
        Field::Gid => number(u64::from(file.stat()?.stx_gid)),
        Field::Inode => number(file.stat()?.stx_ino),
        Field::Links => number(u64::from(file.stat()?.stx_nlink)),
        Field::Depth => number(file.depth() as u64),
        Field::Device => {
            let stat = file.stat()?;
            number(nix::libc::makedev(stat.stx_dev_major, stat.stx_dev_minor))
        }
        Field::Type => vec![letter(file.kind())],
        Field::TargetType => match file.target_kind() {
            Ok(kind) => vec![letter(kind)],
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => b"N".to_vec(),
            Err(nix::errno::Errno::ELOOP) => b"L".to_vec(),
            Err(_) => b"?".to_vec(),
        },
        Field::Target => file.target()?.unwrap_or_default(),
        Field::Time(clock) => file.time(clock)?.map(|time| part(time, b't')).unwrap_or_default(),
        Field::TimePart(clock, letter) => {
            file.time(clock)?.map(|time| part(time, letter)).unwrap_or_default()
        }
        Field::Sparseness => {
            let stat = file.stat()?;
            let ratio = match (stat.stx_size, stat.stx_blocks) {
                (0, 0) => 1.0,
                (size, blocks) => 512.0 * blocks as f64 / size as f64,
            };
            general(ratio).into_bytes()
        }
    })
}

/// A number as C's `%g` prints it: six digits, no zeros behind them.
fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        let text = format!("{value:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let text = format!("{value:.*}", (5 - exponent).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The directory of a path: what is before its last name.
fn directory(path: &[u8]) -> &[u8] {
    let kept = path.len() - path.iter().rev().take_while(|byte| **byte == b'/').count();
    let before = path.get(..kept).unwrap_or_default();
    match before.iter().rposition(|byte| *byte == b'/') {
        _ if before.is_empty() => b"",
        Some(at) => &before[..at],
        None => b".",
    }
}

fn letter(kind: u8) -> u8 {
    match kind {
        libc::DT_REG => b'f',
        libc::DT_DIR => b'd',
        libc::DT_LNK => b'l',
        libc::DT_FIFO => b'p',
        libc::DT_SOCK => b's',
        libc::DT_CHR => b'c',
        libc::DT_BLK => b'b',
        _ => b'U',
    }
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// One part of a time, in UTC. Seconds have their fraction, as find prints it.
fn part((seconds, nanos): (i64, u32), letter: u8) -> Vec<u8> {
    let t = units::utc(seconds);
    let fraction = format!(".{nanos:09}0");
    let weekday = (seconds.div_euclid(86_400) + 4).rem_euclid(7) as usize;
    let day_of_year = {
        let days = |year: i64| (year - 1) * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
        seconds.div_euclid(86_400) - (days(t.year) - days(1970)) + 1
    };
    let month = MONTHS[usize::from(t.month.clamp(1, 12)) - 1];
    let hour12 = (t.hour + 11) % 12 + 1;
    let half = if t.hour < 12 { "AM" } else { "PM" };
    let clock = format!("{:02}:{:02}:{:02}{fraction}", t.hour, t.minute, t.second);
    let slashes = format!("{:02}/{:02}/{:02}", t.month, t.day, t.year.rem_euclid(100));
    let plain_clock = format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    let local =
        |clock: String| format!("{} {} {:>2} {clock} {}", &DAYS[weekday][..3], &month[..3], t.day, t.year);
    let text = match letter {
        b'@' => format!("{seconds}{fraction}"),
        b's' => seconds.to_string(),
        b'H' => format!("{:02}", t.hour),
        b'I' => format!("{hour12:02}"),
        b'k' => format!("{:>2}", t.hour),
        b'l' => format!("{hour12:>2}"),
        b'M' => format!("{:02}", t.minute),
        b'p' => half.to_owned(),
        b'r' => format!("{hour12:02}:{:02}:{:02} {half}", t.minute, t.second),
        b'R' => format!("{:02}:{:02}", t.hour, t.minute),
        b'S' => format!("{:02}{fraction}", t.second),
        b'T' | b'X' => clock,
        b'Z' => "UTC".to_owned(),
        b'a' => DAYS[weekday][..3].to_owned(),
        b'A' => DAYS[weekday].to_owned(),
        b'b' | b'h' => month[..3].to_owned(),
        b'B' => month.to_owned(),
        b'c' => local(plain_clock),
        b't' => local(clock),
        b'e' => format!("{:>2}", t.day),
        b'C' => format!("{:02}", t.year.div_euclid(100)),
        b'd' => format!("{:02}", t.day),
        b'D' | b'x' => slashes,
        b'F' => format!("{}-{:02}-{:02}", t.year, t.month, t.day),
        b'j' => format!("{day_of_year:03}"),
        b'm' => format!("{:02}", t.month),
        b'n' => "\n".to_owned(),
        b'U' => format!("{:02}", (day_of_year + 6 - weekday as i64) / 7),
        b'w' => weekday.to_string(),
        b'W' => format!("{:02}", (day_of_year + 6 - (weekday as i64 + 6) % 7) / 7),
        b'y' => format!("{:02}", t.year.rem_euclid(100)),
        b'Y' => t.year.to_string(),
        _ => format!("{}-{:02}-{:02}+{clock}", t.year, t.month, t.day),
    };
    text.into_bytes()
}
