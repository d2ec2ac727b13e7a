//! ICMP in words.

use crate::sys::icmp::Icmp;

/// What an ICMP message says, in ping's words. `info` is the MTU where a packet is too large.
pub fn icmp(message: &Icmp, info: u32) -> String {
    let words = match (message.v6, message.kind, message.code) {
        (false, 3, 0) => "Destination Net Unreachable",
        (false, 3, 1) => "Destination Host Unreachable",
        (false, 3, 2) => "Destination Protocol Unreachable",
        (false, 3, 3) => "Destination Port Unreachable",
        (false, 3, 4) => return format!("Frag needed and DF set (mtu = {info})"),
        (false, 3, 5) => "Source Route Failed",
        (false, 3, 6) => "Destination Net Unknown",
        (false, 3, 7) => "Destination Host Unknown",
        (false, 3, 8) => "Source Host Isolated",
        (false, 3, 9) => "Destination Net Prohibited",
        (false, 3, 10) => "Destination Host Prohibited",
        (false, 3, 11) => "Destination Net Unreachable for Type of Service",
        (false, 3, 12) => "Destination Host Unreachable for Type of Service",
        (false, 3, 13) => "Packet filtered",
        (false, 3, 14) => "Precedence Violation",
        (false, 3, 15) => "Precedence Cutoff",
        (false, 4, _) => "Source Quench",
        (false, 11, 0) => "Time to live exceeded",
        (false, 11, _) => "Frag reassembly time exceeded",
        (false, 12, _) => "Parameter problem",
        (true, 1, 0) => "Destination unreachable: No route",
        (true, 1, 1) => "Destination unreachable: Administratively prohibited",
        (true, 1, 2) => "Destination unreachable: Beyond scope of source address",
        (true, 1, 3) => "Destination unreachable: Address unreachable",
        (true, 1, 4) => "Destination unreachable: Port unreachable",
        (true, 1, 5) => "Destination unreachable: Source address failed ingress/egress policy",
        (true, 1, 6) => "Destination unreachable: Reject route to destination",
        (true, 2, _) => return format!("Packet too big: mtu={info}"),
        (true, 3, 0) => "Time exceeded: Hop limit",
        (true, 3, _) => "Time exceeded: Defragmentation failure",
        (true, 4, _) => "Parameter problem",
        (_, kind, code) => return format!("ICMP type {kind} code {code}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icmp_in_pings_words() {
        let said = |v6, kind, code| icmp(&Icmp { v6, kind, code, from: None }, 1400);
        assert_eq!(said(false, 3, 13), "Packet filtered");
        assert_eq!(said(true, 1, 1), "Destination unreachable: Administratively prohibited");
        assert_eq!(said(true, 2, 0), "Packet too big: mtu=1400");
        assert_eq!(said(false, 99, 1), "ICMP type 99 code 1");
    }
}
