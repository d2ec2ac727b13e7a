//! `ip neigh`.

use std::fmt::Write;

use serde::Serialize;

use super::names::{NEIGHBOUR_FLAGS, NEIGHBOUR_STATES, PROTOCOLS, bits, hardware_address, known, name};
use super::{Devices, Show, lost};
use crate::cmd::{Context, Fault, Result, Status};
use crate::out::name::escape;
use crate::out::table::NoRow;
use crate::out::{Name, Output};
use crate::sys::netlink::neighbour::{Neighbour, PROXY, RTM_GETNEIGH, neighbour, request};
use crate::sys::netlink::{self, Dump};

const NOARP: u16 = 0x40;
/// Stands for no state at all, NUD_NONE.
const NONE: u16 = 0x100;
/// NTF_EXT_LEARNED.
const LEARNED: u8 = 0x10;

/// Which neighbours are shown.
struct Filter {
    device: Option<u32>,
    states: u16,
    proxy: bool,
}

impl Filter {
    fn parse(words: &[String], devices: &Devices) -> Result<Self> {
        let mut filter = Self { device: None, states: 0, proxy: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().ok_or_else(|| Fault::usage(format!("a word is missing behind '{word}'")));
            match word.as_str() {
                "dev" => filter.device = Some(devices.index(value()?)?),
                "nud" => filter.states |= state(value()?)?,
                "proxy" => filter.proxy = true,
                word => {
                    let word = escape(word.as_bytes());
                    return Err(Fault::usage(format!("unknown word '{word}': it is dev, nud or proxy")));
                }
            }
        }
        if filter.states == 0 {
            filter.states = 0xff & !NOARP;
        }
        Ok(filter)
    }

    fn has(&self, neighbour: &Neighbour) -> bool {
        let is_told = neighbour.flags & (PROXY | LEARNED) != 0;
        let state = if neighbour.state == 0 { NONE } else { neighbour.state };
        self.device.is_none_or(|index| index == neighbour.interface) && (is_told || self.states & state != 0)
    }
}

fn state(word: &str) -> Result<u16> {
    match word {
        "all" => Ok(0x1ff),
        "none" => Ok(NONE),
        _ => NEIGHBOUR_STATES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(word))
            .map(|(bit, _)| *bit as u16)
            .ok_or_else(|| Fault::usage(format!("'{}' is not a neighbour state", escape(word.as_bytes())))),
    }
}

/// A neighbour as JSON.
#[derive(Serialize)]
struct Row {
    destination: String,
    interface: Name,
    link_address: Option<String>,
    state: Option<String>,
    flags: Vec<String>,
    protocol: Option<String>,
    probes: Option<u32>,
    used_seconds: Option<u32>,
    confirmed_seconds: Option<u32>,
    updated_seconds: Option<u32>,
}

/// Shows neighbours.
pub fn show(show: &Show, words: &[String], cx: &Context, out: &mut Output<NoRow>) -> Result<Status> {
    let socket = super::socket(cx)?;
    let devices = Devices::read(socket)?;
    let filter = Filter::parse(words, &devices)?;
    let request = request(show.family.unwrap_or(0), filter.proxy);
    let mut written = Ok(());
    let ended = netlink::dump(socket, RTM_GETNEIGH, &request, &mut Vec::new(), &mut |kind, body| {
        let Some(found) = neighbour(kind, body).filter(|found| filter.has(found)) else { return };
        if written.is_ok() {
            written = if out.is_json() {
                out.json(&row(&found, &devices))
            } else {
                out.bytes().write_all(line(show, &filter, &found, &devices).as_bytes())
            };
        }
    });
    written.map_err(|e| lost(&e))?;
    match ended {
        Ok(Dump::Whole) => Ok(Status::OK),
        Ok(Dump::Interrupted) => {
            cx.note(super::CHANGED);
            Ok(Status::OK)
        }
        Err(errno) => Err(Fault::errno("list", "neighbours", errno)),
    }
}

fn line(show: &Show, filter: &Filter, found: &Neighbour, devices: &Devices) -> String {
    let address = |bytes: &Vec<u8>| hardware_address(bytes, devices.hardware(found.interface));
    if show.is_brief {
        let link = found.link_address.as_ref().map(address).unwrap_or_default();
        let address = show.paint.address(found.address, &format!("{:<39} ", found.address.to_string()));
        let device = show.paint.name(&format!("{:<16} ", devices.name(found.interface)));
        let link = if link.is_empty() { link } else { show.paint.hardware(&link) };
        return format!("{address}{device}{link}\n");
    }
    let mut text = show.paint.address(found.address, &format!("{} ", found.address));
    if filter.device.is_none() {
        _ = write!(text, "dev {}", show.paint.name(&format!("{} ", devices.name(found.interface))));
    }
    if let Some(link) = &found.link_address {
        _ = write!(text, "lladdr {}", show.paint.hardware(&format!("{} ", address(link))));
    }
    for flag in bits(NEIGHBOUR_FLAGS, found.flags.into()) {
        _ = write!(text, "{flag} ");
    }
    if show.stats > 0 {
        if let Some([confirmed, used, updated]) = found.times {
            if found.references > 0 {
                _ = write!(text, " ref {}", found.references);
            }
            _ = write!(text, " used {}/{}/{}", used / 100, confirmed / 100, updated / 100);
        }
        if let Some(probes) = found.probes {
            _ = write!(text, "probes {probes} ");
        }
    }
    for state in bits(NEIGHBOUR_STATES, found.state.into()) {
        _ = write!(text, "{state} ");
    }
    if let Some(protocol) = found.protocol.filter(|protocol| *protocol != 0) {
        _ = write!(text, "proto {} ", name(PROTOCOLS, protocol.into()));
    }
    text.push('\n');
    text
}

fn row(found: &Neighbour, devices: &Devices) -> Row {
    let seconds = |at: usize| found.times.and_then(|times| times.get(at).map(|ticks| ticks / 100));
    let hardware = devices.hardware(found.interface);
    Row {
        destination: found.address.to_string(),
        interface: Name::from(devices.raw_name(found.interface)),
        link_address: found.link_address.as_ref().map(|bytes| hardware_address(bytes, hardware)),
        state: known(NEIGHBOUR_STATES, found.state.into()).map(str::to_owned),
        flags: bits(NEIGHBOUR_FLAGS, found.flags.into()),
        protocol: found.protocol.map(|protocol| name(PROTOCOLS, protocol.into())),
        probes: found.probes,
        used_seconds: seconds(1),
        confirmed_seconds: seconds(0),
        updated_seconds: seconds(2),
    }
}
