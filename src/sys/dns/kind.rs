//! Types and classes of records.

use std::fmt::Write;

/// A type of record, IANA's "Resource Record (RR) TYPEs".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(u16);

impl Kind {
    /// IPv4 addresses.
    pub const A: Self = Self(1);
    /// IPv6 addresses.
    pub const AAAA: Self = Self(28);
    /// The name of an address.
    pub const PTR: Self = Self(12);

    /// What people ask for.
    pub const USUAL: [&'static str; 17] = [
        "A", "AAAA", "ANY", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA",
        "SRV", "SVCB", "TLSA", "TXT",
    ];

    /// The type with this number.
    pub fn of_code(code: u16) -> Self {
        Self(code)
    }

    /// Its number.
    pub fn code(self) -> u16 {
        self.0
    }

    /// As it is written; `TYPE65280` is the form of RFC 3597 for one without a name.
    pub fn name(self) -> String {
        match NAMES.iter().find(|(_, code)| *code == self.0) {
            Some((name, _)) => (*name).to_owned(),
            None => {
                let mut name = String::from("TYPE");
                let _ = write!(name, "{}", self.0);
                name
            }
        }
    }

    /// Reads a name in any case, `TYPE65280` among them.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((_, code)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(Self(*code));
        }
        let (word, digits) = text.split_at_checked(4)?;
        let is_number = digits.bytes().all(|b| b.is_ascii_digit());
        (word.eq_ignore_ascii_case("TYPE") && is_number).then(|| digits.parse().ok().map(Self))?
    }

    /// Whether it asks for a whole zone: AXFR and IXFR.
    pub fn is_transfer(self) -> bool {
        matches!(self.0, 251 | 252)
    }
}

/// A class of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The Internet.
    In,
    /// Chaos, in which servers tell about themselves: `version.bind`.
    Ch,
    /// Hesiod.
    Hs,
}

impl Class {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Ch => "CH",
            Self::Hs => "HS",
        }
    }

    /// Its number.
    pub fn code(self) -> u16 {
        match self {
            Self::In => 1,
            Self::Ch => 3,
            Self::Hs => 4,
        }
    }

    /// Reads a name in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::In, Self::Ch, Self::Hs].into_iter().find(|class| class.name().eq_ignore_ascii_case(text))
    }
}

const NAMES: [(&str, u16); 79] = [
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("X25", 19),
    ("ISDN", 20),
    ("RT", 21),
    ("NSAP", 22),
    ("NSAP-PTR", 23),
    ("SIG", 24),
    ("KEY", 25),
    ("PX", 26),
    ("GPOS", 27),
    ("AAAA", 28),
    ("LOC", 29),
    ("NXT", 30),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("A6", 38),
    ("DNAME", 39),
    ("OPT", 41),
    ("APL", 42),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("TALINK", 58),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("EUI48", 108),
    ("EUI64", 109),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
    ("AVC", 258),
    ("AMTRELAY", 260),
    ("RESINFO", 261),
    ("TA", 32_768),
    ("DLV", 32_769),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_written() {
        for (text, code, name) in [
            ("https", 65, "HTTPS"),
            ("TYPE65", 65, "HTTPS"),
            ("type65280", 65_280, "TYPE65280"),
            ("Nsap-Ptr", 23, "NSAP-PTR"),
        ] {
            let kind = Kind::parse(text).unwrap();
            assert_eq!((kind.code(), kind.name().as_str()), (code, name));
        }
        for wrong in ["FOO", "TYPE", "TYPE65536", "TYPE+1", "é", "typé1"] {
            assert_eq!(Kind::parse(wrong), None, "{wrong}");
        }
        assert!(Kind::USUAL.iter().all(|name| Kind::parse(name).unwrap().name() == *name));
    }
}
