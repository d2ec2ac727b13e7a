//! One open file: its JSON, and its line for people.

use serde::Serialize;

use crate::out::name::escape;
use crate::out::{Align, Column, Name, Narrow, Row};
use crate::sys::proc::fdinfo::About;

/// One open file of one process. Ids are the container's.
#[derive(Serialize, Default)]
pub struct OpenFile {
    pub command: Name,
    pub pid: i32,
    pub uid: u32,
    pub user: String,
    pub fd: String,
    pub mode: Option<&'static str>,
    pub lock: Option<char>,
    pub r#type: &'static str,
    pub device: Option<String>,
    pub size: Option<u64>,
    pub allocated: Option<u64>,
    pub position: Option<i64>,
    pub inode: Option<u64>,
    pub links: Option<u32>,
    pub path: Option<Name>,
    pub deleted: bool,
    /// Not in a mount that the container's root reaches.
    pub outside: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Peer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<serde_json::Value>,
    pub name: Name,
    #[serde(skip)]
    pub device_number: Option<(u32, u32)>,
    /// Whether SIZE/OFF is the position, as of devices, or where that is asked for.
    #[serde(skip)]
    pub shows_position: bool,
}

/// Who holds the other end of a pipe or a socket.
#[derive(Serialize)]
pub struct Peer {
    pub pid: i32,
    pub command: Name,
    pub fd: u32,
    pub mode: &'static str,
}

/// The word for a mode's letter.
pub fn mode_word(letter: char) -> &'static str {
    match letter {
        'r' => "read",
        'w' => "write",
        'p' => "path",
        _ => "read-write",
    }
}

/// The letter for a mode's word.
pub fn mode_letter(word: &str) -> char {
    match word {
        "read" => 'r',
        "write" => 'w',
        "path" => 'p',
        _ => 'u',
    }
}

impl OpenFile {
    /// `cwd`, `3u`, `4wW`.
    fn fd_cell(&self) -> String {
        let mut cell = self.fd.clone();
        cell.extend(self.mode.map(mode_letter));
        cell.extend(self.lock);
        cell
    }

    fn size_cell(&self) -> String {
        match (self.size, self.position) {
            (Some(size), _) if !self.shows_position => size.to_string(),
            (_, Some(position)) => format!("0t{position}"),
            (Some(size), None) => size.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The name, as the table shows it: with ` (deleted)`, peers, and marks.
    fn name_cell(&self) -> String {
        let mut cell = escape(self.name.as_bytes());
        if self.deleted {
            cell.push_str(" (deleted)");
        }
        if self.outside {
            cell.push_str(" (not in the container's mounts)");
        }
        cell
    }
}

impl Row for OpenFile {
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            header: "COMMAND",
            align: Align::Left,
            narrow: Narrow::shorten(8),
            cell: |row| escape(row.command.as_bytes()),
        },
        Column { header: "PID", align: Align::Right, narrow: Narrow::WHOLE, cell: |row| row.pid.to_string() },
        Column {
            header: "USER",
            align: Align::Left,
            narrow: Narrow::shorten(4).or_drop(4),
            cell: |row| escape(row.user.as_bytes()),
        },
        Column { header: "FD", align: Align::Right, narrow: Narrow::WHOLE, cell: Self::fd_cell },
        Column {
            header: "TYPE",
            align: Align::Left,
            narrow: Narrow::WHOLE.or_drop(5),
            cell: |row| row.r#type.to_owned(),
        },
        Column {
            header: "DEVICE",
            align: Align::Right,
            narrow: Narrow::drop(1),
            cell: |row| match (&row.protocol, row.inode) {
                // As lsof: where NODE is the protocol.
                (Some(_), Some(inode)) if row.local.is_some() => inode.to_string(),
                _ => row.device.clone().unwrap_or_default(),
            },
        },
        Column { header: "SIZE/OFF", align: Align::Right, narrow: Narrow::drop(3), cell: Self::size_cell },
        Column {
            header: "NODE",
            align: Align::Right,
            narrow: Narrow::drop(2),
            cell: |row| match (&row.protocol, row.inode) {
                (Some(protocol), _) if row.local.is_some() => protocol.clone(),
                (_, Some(inode)) => inode.to_string(),
                _ => String::new(),
            },
        },
        Column {
            header: "NAME",
            align: Align::Left,
            narrow: Narrow::shorten(32).keep("(/"),
            cell: Self::name_cell,
        },
    ];
}

/// What a descriptor without a path is, for people: `[eventfd: 5]`; and for JSON. `program` names a process.
pub fn about(
    link: &[u8],
    about: &About,
    program: &mut dyn FnMut(i32) -> String,
) -> (String, Option<serde_json::Value>) {
    use serde_json::json;
    let bare = link.strip_prefix(b"anon_inode:").unwrap_or(link);
    let kind = escape(bare);
    let more = |count: &usize| if *count == 0 { String::new() } else { format!(" and {count} more") };
    match about {
        About::Nothing => (kind, None),
        About::Event { count } => (format!("[eventfd: {count}]"), Some(json!({"count": count}))),
        About::Epoll(fds, left) => {
            let list: Vec<String> = fds.iter().map(ToString::to_string).collect();
            (
                format!("[eventpoll: {}{}]", list.join(","), more(left)),
                Some(json!({"watches": fds, "more": left})),
            )
        }
        About::Inotify(all, left) => {
            let list: Vec<String> =
                all.iter().map(|((major, minor), inode)| format!("{major},{minor}:{inode}")).collect();
            let watches: Vec<_> = all
                .iter()
                .map(|((major, minor), inode)| json!({"device": format!("{major},{minor}"), "inode": inode}))
                .collect();
            // On a terminal a few are enough.
            let shown = list.iter().take(4).cloned().collect::<Vec<_>>().join(" ");
            let rest = left + list.len().saturating_sub(4);
            (format!("[inotify: {shown}{}]", more(&rest)), Some(json!({"watches": watches, "more": left})))
        }
        About::Timer { clock, expires, interval } => {
            let clock = match clock {
                0 => "realtime",
                1 => "monotonic",
                7 => "boottime",
                8 => "realtime-alarm",
                9 => "boottime-alarm",
                _ => "unknown",
            };
            let seconds = |nanoseconds: &u64| *nanoseconds as f64 / 1e9;
            let armed = match (expires, interval) {
                (0, _) => "not armed".to_owned(),
                (_, 0) => format!("in {:.1}s", seconds(expires)),
                _ => format!("in {:.1}s, every {}s", seconds(expires), seconds(interval)),
            };
            (
                format!("[timerfd: {clock}, {armed}]"),
                Some(json!({"clock": clock, "expires": seconds(expires), "interval": seconds(interval)})),
            )
        }
        About::Process(pid) if *pid > 0 => {
            (format!("[pidfd: {}]", program(*pid)), Some(json!({"process": pid})))
        }
        // 0 is a process of an outer PID namespace.
        About::Process(0) => ("[pidfd: of a process outside]".to_owned(), Some(json!({"process": null}))),
        About::Process(_) => ("[pidfd: ended]".to_owned(), Some(json!({"process": null}))),
        About::Signals(mask) => {
            let signals: Vec<u32> = (0..64).filter(|bit| mask & (1 << bit) != 0).map(|bit| bit + 1).collect();
            let list: Vec<String> = signals.iter().map(ToString::to_string).collect();
            (format!("[signalfd: {}]", list.join(",")), Some(json!({"signals": signals})))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_without_a_path_say_what_they_are_about() {
        let said = |link: &str, what: About| about(link.as_bytes(), &what, &mut |pid| format!("{pid}/sh")).0;
        for (link, what, text) in [
            ("anon_inode:[io_uring]", About::Nothing, "[io_uring]"),
            ("anon_inode:[eventfd]", About::Event { count: 5 }, "[eventfd: 5]"),
            ("anon_inode:[eventpoll]", About::Epoll(vec![4, 6], 0), "[eventpoll: 4,6]"),
            ("anon_inode:[eventpoll]", About::Epoll(vec![4], 9), "[eventpoll: 4 and 9 more]"),
            ("anon_inode:inotify", About::Inotify(vec![((8, 1), 5)], 0), "[inotify: 8,1:5]"),
            (
                "anon_inode:[timerfd]",
                About::Timer { clock: 1, expires: 1_500_000_000, interval: 2_000_000_000 },
                "[timerfd: monotonic, in 1.5s, every 2s]",
            ),
            ("anon_inode:[pidfd]", About::Process(7), "[pidfd: 7/sh]"),
            ("pidfd:[9]", About::Process(-1), "[pidfd: ended]"),
            ("anon_inode:[signalfd]", About::Signals(0x4002), "[signalfd: 2,15]"),
            ("anon_inode:\u{1b}[2J", About::Nothing, "\\x1b[2J"),
        ] {
            assert_eq!(said(link, what), text);
        }
    }

    #[test]
    fn cells_as_lsof_writes_them() {
        let file = OpenFile {
            fd: "4".into(),
            mode: Some("write"),
            lock: Some('W'),
            size: Some(9),
            position: Some(3),
            ..OpenFile::default()
        };
        assert_eq!((file.fd_cell().as_str(), file.size_cell().as_str()), ("4wW", "9"));
        let device = OpenFile { shows_position: true, ..file };
        assert_eq!(device.size_cell(), "0t3");
        assert_eq!(OpenFile::default().size_cell(), "");
    }
}
