//! Colours of `ip -c`, those of iproute2.

use std::net::IpAddr;

const NAME: u8 = 36;
const HARDWARE: u8 = 33;
const V4: u8 = 35;
const V6: u8 = 34;
const UP: u8 = 32;
const DOWN: u8 = 31;

/// Colours what it is given, or does not.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, color: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The name of an interface.
    pub fn name(self, text: &str) -> String {
        self.with(NAME, text)
    }

    /// A hardware address.
    pub fn hardware(self, text: &str) -> String {
        self.with(HARDWARE, text)
    }

    /// An address, with what else has its colour.
    pub fn address(self, address: IpAddr, text: &str) -> String {
        self.with(if address.is_ipv6() { V6 } else { V4 }, text)
    }

    /// The state of an interface, with blanks behind it.
    pub fn state(self, text: &str) -> String {
        match text.trim_end() {
            "UP" => self.with(UP, text),
            "DOWN" => self.with(DOWN, text),
            _ => text.to_owned(),
        }
    }
}
