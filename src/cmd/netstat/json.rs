//! JSON rows of sockets.

use serde::Serialize;

use super::sockets::{Holder, Socket};
use super::text::{Shown, path_name, state, timer_kind, unix_state, unix_type};
use super::{CLOSE, LISTEN};
use crate::cmd::elsewhere::Owner;
use crate::out::Name;

/// One socket. Ids are the container's; a port of 0 is any.
#[derive(Serialize, Default)]
pub struct Row {
    proto: &'static str,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v6_only: Option<bool>,
    recv_queue: u32,
    send_queue: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u32>,
    uid: Option<u32>,
    user: Option<String>,
    inode: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_pid: Option<i32>,
    timer: Option<TimerRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
}

#[derive(Serialize)]
struct TimerRow {
    kind: &'static str,
    expires_seconds: f64,
    retransmits: u8,
}

impl Row {
    /// The row of a socket. Of a listening one `send_queue` is 0 and `backlog` how many connections may wait.
    pub fn new(socket: &Socket, holder: Option<Holder>, shown: &Shown) -> Self {
        let mut row = match socket {
            Socket::Inet(proto, socket) => Self {
                proto,
                state: match state(proto, socket.state) {
                    "" | "7" if socket.state == CLOSE => "CLOSE".to_owned(),
                    named => named.to_owned(),
                },
                local_address: Some(socket.local.0.to_string()),
                local_port: Some(socket.local.1),
                remote_address: Some(socket.remote.0.to_string()),
                remote_port: Some(socket.remote.1),
                v6_only: socket.v6_only,
                recv_queue: socket.recv_queue,
                send_queue: socket.send_queue,
                uid: Some(socket.uid),
                inode: socket.inode,
                timer: socket.timer.map(|timer| TimerRow {
                    kind: timer_kind(timer.kind),
                    expires_seconds: f64::from(timer.expires) / 1000.0,
                    retransmits: timer.retransmits,
                }),
                ..Self::default()
            },
            Socket::Unix(socket) => Self {
                proto: "unix",
                state: unix_state(socket.state).to_owned(),
                recv_queue: socket.recv_queue,
                send_queue: socket.send_queue,
                uid: socket.uid,
                inode: socket.inode,
                path: path_name(&socket.name),
                r#type: Some(unix_type(socket.kind)),
                ..Self::default()
            },
        };
        let listens = match socket {
            Socket::Inet(proto, socket) => socket.state == LISTEN && proto.starts_with("tcp"),
            Socket::Unix(socket) => socket.state == LISTEN,
        };
        if listens {
            row.send_queue = 0;
            row.backlog = match socket {
                Socket::Inet(_, socket) => socket.backlog,
                Socket::Unix(socket) => socket.backlog,
            };
        }
        row.uid = row.uid.map(|uid| shown.uids.inside(uid));
        row.user = row.uid.map(|uid| shown.users.user_name(uid));
        match holder {
            None => {}
            Some(Holder::Inside(pid, name)) => (row.pid, row.program) = (Some(pid), Some(Name::from(name))),
            Some(Holder::Elsewhere(Owner { pid, name, container })) => {
                (row.node_pid, row.program) = (Some(*pid), Some(Name::from(name.as_slice())));
                row.container.clone_from(container);
            }
        }
        row
    }
}
