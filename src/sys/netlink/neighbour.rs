//! Neighbours (ARP and NDP) through rtnetlink(7). Layouts from linux/neighbour.h.

use std::net::IpAddr;

use super::{address, attributes, u8_at, u16_at, u32_at};

/// Asks for neighbours.
pub const RTM_GETNEIGH: u16 = 30;
const RTM_NEWNEIGH: u16 = 28;

/// The flag of an entry that is answered for another: NTF_PROXY.
pub const PROXY: u8 = 8;

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Index of the interface.
    pub interface: u32,
    /// NUD_ bit of its state.
    pub state: u16,
    /// NTF_ flags.
    pub flags: u8,
    /// Its hardware address, where it is known.
    pub link_address: Option<Vec<u8>>,
    /// Probes that were sent.
    pub probes: Option<u32>,
    /// When it was confirmed, used and updated, in hundredths of a second ago.
    pub times: Option<[u32; 3]>,
    /// How many use it.
    pub references: u32,
    /// RTPROT_ number.
    pub protocol: Option<u8>,
}

/// The request for neighbours of a family, 0 is all; or for those that are answered for.
pub fn request(family: u8, proxy: bool) -> Vec<u8> {
    let mut request = vec![family];
    request.resize(12, 0);
    if proxy && let Some(flags) = request.get_mut(10) {
        *flags = PROXY;
    }
    request
}

/// One answer, `struct ndmsg` and its attributes.
pub fn neighbour(kind: u16, body: &[u8]) -> Option<Neighbour> {
    if kind != RTM_NEWNEIGH {
        return None;
    }
    let family = i32::from(u8_at(body, 0)?);
    if family != libc::AF_INET && family != libc::AF_INET6 {
        return None;
    }
    let (mut ip, mut link_address, mut probes, mut times) = (None, None, None, None);
    let (mut references, mut protocol) = (0, None);
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => ip = address(value),
            2 => link_address = Some(value.to_vec()),
            // struct nda_cacheinfo.
            3 => {
                times = Some([u32_at(value, 0)?, u32_at(value, 4)?, u32_at(value, 8)?]);
                references = u32_at(value, 12)?;
            }
            4 => probes = u32_at(value, 0),
            12 => protocol = u8_at(value, 0),
            _ => {}
        }
    }
    Some(Neighbour {
        address: ip?,
        interface: u32_at(body, 4)?,
        state: u16_at(body, 8)?,
        flags: u8_at(body, 10)?,
        link_address,
        probes,
        times,
        references,
        protocol,
    })
}

#[cfg(test)]
mod tests {
    use super::super::attribute;
    use super::*;

    #[test]
    fn neighbours_cut_at_any_length_never_panic() {
        let mut body = vec![2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 1];
        attribute(&mut body, 1, &[10, 0, 0, 9]);
        attribute(&mut body, 2, &[2, 0, 0, 0, 0, 9]);
        for end in 0..body.len() {
            let _ = neighbour(RTM_NEWNEIGH, &body[..end]);
        }
        let found = neighbour(RTM_NEWNEIGH, &body).unwrap();
        assert_eq!((found.address, found.interface, found.state), ([10, 0, 0, 9].into(), 3, 2));
        assert_eq!(found.link_address.as_deref(), Some(&[2, 0, 0, 0, 0, 9][..]));
    }
}
