//! What a resolver reads of a container: resolv.conf(5), hosts(5) and the hosts line of nsswitch.conf(5), bounded.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::open::{Refused, read_bounded};

/// Larger resolv.conf and nsswitch.conf are not read.
pub const LIMIT: usize = 64 << 10;
/// Larger hosts files are not read: 4 MiB, some 100,000 lines.
pub const HOSTS_LIMIT: usize = 4 << 20;

const MAX_SERVERS: usize = 3;
/// As many as Kubernetes allows in a pod.
const MAX_SEARCH: usize = 32;
const MAX_NAME: usize = 255;
/// Odd lines that are kept.
const MAX_ODD: usize = 8;

/// Which of the files counted as empty although they are there, and why: what it is (`a FIFO`), or its error.
pub fn passed_over() -> Vec<(&'static str, Refused)> {
    [("/etc/resolv.conf", LIMIT), ("/etc/hosts", HOSTS_LIMIT), ("/etc/nsswitch.conf", LIMIT)]
        .into_iter()
        .filter_map(|(path, limit)| Some((path, read_bounded(OsStr::new(path), limit).err()?)))
        .filter(|(_, why)| !matches!(why, Refused::Io(error) if error.kind() == ErrorKind::NotFound))
        .collect()
}

/// The settings of resolv.conf(5) that a stub resolver acts on. `rotate`, `edns0` and the `single-request` pair are
/// passed over: a run asks once, and one question at a time would only be slower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name servers, asked in this order.
    pub servers: Vec<SocketAddr>,
    /// Domains that a short name is tried under, without trailing dots; the empty one is the root.
    pub search: Vec<String>,
    /// A name with at least this many dots is first tried as it is.
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How many times the servers are gone through.
    pub attempts: u32,
    /// TCP only.
    pub use_vc: bool,
    /// How many servers it names, those that are never asked too; 127.0.0.1 is asked where there is none.
    pub named: usize,
    /// The first lines that do not say what they seem to, and why.
    pub odd: Vec<(String, Odd)>,
}

/// Why a line of resolv.conf does not say what it seems to. Measured with glibc 2.36, musl 1.2.3 and Go 1.19.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// It begins with blanks.
    Indented,
    /// A carriage return ends it.
    CarriageReturn,
    /// A nameserver line without an address.
    NoAddress,
}

impl Odd {
    /// Whose resolver passes the line over, and who takes it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Indented => "begins with blanks: glibc and musl pass it over, Go takes it",
            Self::CarriageReturn => {
                "ends with a carriage return: glibc takes that for a part of its last word, musl and Go do not"
            }
            Self::NoAddress => "has no address",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            use_vc: false,
            named: 0,
            odd: Vec::new(),
        }
    }
}

impl Config {
    /// Reads `/etc/resolv.conf`; a missing, unreadable, special or oversized file counts as empty.
    pub fn read() -> Self {
        Self::parse(&read_bounded(OsStr::new("/etc/resolv.conf"), LIMIT).unwrap_or_default())
    }

    /// Parses resolv.conf as glibc does; [`Config::odd`] has what it passes over, and what musl and Go make of that.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut config = Self::default();
        for line in bytes.split(|b| *b == b'\n') {
            let text = String::from_utf8_lossy(line);
            if let Some(why) = config.line(&text)
                && config.odd.len() < MAX_ODD
            {
                config.odd.push((text.chars().take(MAX_NAME).collect(), why));
            }
        }
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        config
    }

    /// Takes one line; what is odd about it.
    fn line(&mut self, text: &str) -> Option<Odd> {
        // Only blanks stand between words for glibc, so a carriage return is part of one.
        let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
        match keyword {
            "nameserver" => {
                let word = words.next().unwrap_or_default();
                match server(word) {
                    Some(address) => {
                        self.named += 1;
                        self.servers.extend((self.named <= MAX_SERVERS).then_some(address));
                    }
                    None if server(word.trim_end()).is_some() => return Some(Odd::CarriageReturn),
                    None => return Some(Odd::NoAddress),
                }
                None
            }
            "domain" | "search" => {
                // The last of search and domain wins.
                let most = if keyword == "domain" { 1 } else { MAX_SEARCH };
                self.search = words.filter_map(domain).take(most).collect();
                text.contains('\r').then_some(Odd::CarriageReturn)
            }
            "options" => {
                words.for_each(|word| self.option(word.trim_end()));
                None
            }
            // A line that begins with a blank.
            "" => {
                let first = text.split_ascii_whitespace().next()?;
                ["nameserver", "search", "domain", "options"].contains(&first).then_some(Odd::Indented)
            }
            _ => None,
        }
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        // The caps are those of resolv.conf(5).
        match (name, value.parse::<u32>()) {
            ("ndots", Ok(n)) => self.ndots = n.min(15) as usize,
            ("timeout", Ok(n)) => self.timeout = Duration::from_secs(u64::from(n.clamp(1, 30))),
            ("attempts", Ok(n)) => self.attempts = n.clamp(1, 5),
            ("use-vc", _) => self.use_vc = true,
            _ => {}
        }
    }

    /// The full names that a typed name stands for, in the order they are tried, without trailing dots.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self
            .search
            .iter()
            .map(|domain| if domain.is_empty() { name.to_owned() } else { format!("{name}.{domain}") });
        let mut all: Vec<String> = if name.matches('.').count() >= self.ndots {
            std::iter::once(name.to_owned()).chain(searched).collect()
        } else {
            searched.chain(std::iter::once(name.to_owned())).collect()
        };
        all.retain(|name| name.len() <= MAX_NAME - 2);
        let mut seen = std::collections::HashSet::new();
        all.retain(|name| seen.insert(name.clone()));
        all
    }
}

/// A server's address, at port 53; an IPv6 one may name its interface (`fe80::1%eth0`, `fe80::1%2`). Where there is no
/// such interface none is set, as glibc has it: the kernel then refuses to send.
pub fn server(word: &str) -> Option<SocketAddr> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 53));
    }
    let (ip, zone) = word.split_once('%')?;
    let index = match zone.parse() {
        Ok(index) => index,
        Err(_) => nix::net::if_::if_nametoindex(zone).unwrap_or(0),
    };
    Some(SocketAddrV6::new(ip.parse().ok()?, 53, 0, index).into())
}

fn domain(word: &str) -> Option<String> {
    let name = word.strip_suffix('.').unwrap_or(word);
    (name.len() <= MAX_NAME).then(|| name.to_ascii_lowercase())
}

/// A hosts(5) file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<u8>);

impl Hosts {
    /// Reads `/etc/hosts`; counts as empty as [`Config::read`] says.
    pub fn read() -> Self {
        Self(read_bounded(OsStr::new("/etc/hosts"), HOSTS_LIMIT).unwrap_or_default())
    }

    /// The addresses of a name, in the order of the file, at most 64. A dot at its end is part of it, as for glibc and
    /// musl.
    pub fn lookup(&self, name: &str) -> Vec<IpAddr> {
        let name = name.as_bytes();
        let mut found = Vec::new();
        for line in self.0.split(|b| *b == b'\n') {
            let line = line.split(|b| *b == b'#').next().unwrap_or_default();
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let Some(address) = words.next() else { continue };
            if !words.any(|word| word.eq_ignore_ascii_case(name)) {
                continue;
            }
            if let Some(ip) = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok())
                && found.len() < 64
                && !found.contains(&ip)
            {
                found.push(ip);
            }
        }
        found
    }
}

/// A file with these contents.
impl From<Vec<u8>> for Hosts {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// `localhost` and all names under it are loopback, RFC 6761 section 6.3. curl and browsers never ask for them; glibc,
/// musl and Go do where the hosts file has none.
pub fn localhost(name: &str) -> Option<[IpAddr; 2]> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (name == "localhost" || name.ends_with(".localhost"))
        .then_some([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)])
}

/// A place that names are looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// hosts(5).
    Files,
    /// The servers of resolv.conf(5).
    Dns,
}

/// After which results of a source the next one is not asked, nsswitch.conf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// SUCCESS: it has addresses.
    pub found: bool,
    /// NOTFOUND: it has none.
    pub missing: bool,
    /// UNAVAIL: no server gave an answer that counts; glibc takes SERVFAIL and REFUSED for that too.
    pub failed: bool,
}

impl Ends {
    /// Where nothing else is said.
    pub const USUAL: Self = Self { found: true, missing: false, failed: false };

    /// Takes one `[STATUS=ACTION …]`, without its brackets.
    fn actions(&mut self, text: &str) {
        let text = text.replace('=', " = ").to_ascii_lowercase();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        for action in words.chunks(3) {
            let [status, "=", what] = action else { return };
            let (is_not, status) = status.strip_prefix('!').map_or((false, *status), |rest| (true, rest));
            let ends = *what == "return";
            for (name, end) in
                [("success", &mut self.found), ("notfound", &mut self.missing), ("unavail", &mut self.failed)]
            {
                if (name == status) != is_not {
                    *end = ends;
                }
            }
        }
    }
}

/// The order of sources that nsswitch.conf(5) asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(pub Vec<(Source, Ends)>);

impl Order {
    /// Reads `/etc/nsswitch.conf`; counts as empty as [`Config::read`] says.
    pub fn read() -> Self {
        Self::parse(&read_bounded(OsStr::new("/etc/nsswitch.conf"), LIMIT).unwrap_or_default())
    }

    /// Takes the hosts line. Modules other than `files` and `dns` would be the container's code and are left out with
    /// their actions; where nothing is left, it is files, then dns.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let line = text
            .lines()
            .find_map(|line| line.split('#').next().unwrap_or_default().trim_start().strip_prefix("hosts:"));
        let mut sources: Vec<(Source, Ends)> = Vec::new();
        let mut is_known = false;
        let mut rest = line.unwrap_or_default().trim_start();
        while !rest.is_empty() {
            if let Some((actions, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
                if let Some((_, ends)) = sources.last_mut().filter(|_| is_known) {
                    ends.actions(actions);
                }
                rest = behind.trim_start();
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '[').unwrap_or(rest.len()).max(1);
            let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let source = match word.to_ascii_lowercase().as_str() {
                "files" => Some(Source::Files),
                "dns" => Some(Source::Dns),
                _ => None,
            };
            let new = source.filter(|source| sources.iter().all(|(known, _)| known != source));
            is_known = new.is_some();
            sources.extend(new.map(|source| (source, Ends::USUAL)));
            rest = behind.trim_start();
        }
        if sources.is_empty() {
            sources = vec![(Source::Files, Ends::USUAL), (Source::Dns, Ends::USUAL)];
        }
        Self(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_as_glibc_reads_it() {
        let config = Config::parse(
            b"# by kubelet\nsearch a.svc.cluster.local svc.cluster.local. .\nnameserver 10.0.0.10\nnameserver bad\n\
              nameserver fe80::1%2 x\nnameserver fe80::1%lo\nnameserver 1.1.1.1\noptions ndots:5 timeout:99 attempts:0 rotate use-vc ; x\n\xff\xfe\n",
        );
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.10:53", "[fe80::1%2]:53", "[fe80::1%1]:53"]);
        assert_eq!(config.search, ["a.svc.cluster.local", "svc.cluster.local", ""]);
        assert_eq!((config.ndots, config.timeout.as_secs(), config.attempts), (5, 30, 1));
        assert!(config.use_vc);
        assert_eq!(config.odd, [("nameserver bad".to_owned(), Odd::NoAddress)]);
    }

    // Measured: glibc asks 127.0.0.1 for the first two, and x.a\r for the last.
    #[test]
    fn blanks_in_front_and_carriage_returns_are_odd() {
        for (line, odd, search) in [
            (" nameserver 10.0.0.1", Odd::Indented, &[][..]),
            ("nameserver 10.0.0.1\r", Odd::CarriageReturn, &[]),
            ("\tsearch a", Odd::Indented, &[]),
            ("search a\r", Odd::CarriageReturn, &["a\r"]),
        ] {
            let config = Config::parse(line.as_bytes());
            assert_eq!(config.odd, [(line.to_owned(), odd)]);
            assert_eq!(config.servers, ["127.0.0.1:53".parse().unwrap()]);
            assert_eq!(config.search, search);
        }
        assert!(Config::parse(b"options ndots:2\r\nnameserver\t10.0.0.1 \r\n").odd.is_empty());
    }

    #[test]
    fn empty_resolv_conf_asks_the_loopback() {
        for bytes in [&b""[..], b"\0\0\0", b"nameserver", b"options ndots:x timeout:"] {
            assert_eq!(Config::parse(bytes).servers, ["127.0.0.1:53".parse().unwrap()]);
        }
        assert_eq!(Config::parse(b"search a b\ndomain c d\n").search, ["c"]);
    }

    #[test]
    fn candidates_follow_ndots() {
        let config = |ndots| Config { search: vec!["x.y".into(), String::new()], ndots, ..Config::default() };
        assert_eq!(config(1).candidates("api"), ["api.x.y", "api"]);
        assert_eq!(config(1).candidates("a.b"), ["a.b", "a.b.x.y"]);
        assert_eq!(config(5).candidates("a.b"), ["a.b.x.y", "a.b"]);
        assert_eq!(config(5).candidates("a.b."), ["a.b"]);
        assert!(config(0).candidates(&"a".repeat(300)).is_empty());
    }

    #[test]
    fn hosts_give_all_addresses_of_a_name() {
        let hosts = Hosts::from(
            b"127.0.0.1 localhost # web\n10.0.0.1\tweb.local  WEB\n::2 web\nbad web\n10.0.0.1 web\n\xff\xff web".to_vec(),
        );
        assert!(hosts.lookup("web.").is_empty());
        assert_eq!(hosts.lookup("Web"), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::2".parse().unwrap()]);
        assert!(hosts.lookup("bad").is_empty() && hosts.lookup("10.0.0.1").is_empty());
    }

    #[test]
    fn nsswitch_orders_files_and_dns() {
        use Source::{Dns, Files};
        for (text, order) in [
            ("", "files dns"),
            ("passwd: files\nhosts: files dns\n", "files dns"),
            ("hosts: dns files\r", "dns files"),
            ("hosts:files mdns4_minimal [NOTFOUND=return] dns", "files dns"),
            ("hosts: files [NOTFOUND=return] dns", "files[missing] dns"),
            ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", "files dns"),
            ("hosts: resolve", "files dns"),
            ("# hosts: dns\nhosts: dns # files", "dns"),
            ("hosts: dns [ !unavail = return ] files", "dns[missing] files"),
            ("hosts: dns[UNAVAIL=return SUCCESS=continue]files", "dns[failed,more] files"),
            ("hosts: files [x] ] dns [", "files dns"),
        ] {
            let shown: Vec<String> = Order::parse(text.as_bytes())
                .0
                .iter()
                .map(|(source, ends)| {
                    let name = match source {
                        Files => "files",
                        Dns => "dns",
                    };
                    let said = [("missing", ends.missing), ("failed", ends.failed), ("more", !ends.found)];
                    let said: Vec<&str> = said.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
                    if said.is_empty() { name.to_owned() } else { format!("{name}[{}]", said.join(",")) }
                })
                .collect();
            assert_eq!(shown.join(" "), order, "{text}");
        }
    }

    #[test]
    fn localhost_is_loopback() {
        assert!(localhost("LocalHost.").is_some() && localhost("a.localhost").is_some());
        assert!(localhost("notlocalhost").is_none());
    }
}
