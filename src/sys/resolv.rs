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
        }
    }
}

impl Config {
    /// Reads `/etc/resolv.conf`; a missing, unreadable, special or oversized file counts as empty.
    pub fn read() -> Self {
        Self::parse(&read_bounded(OsStr::new("/etc/resolv.conf"), LIMIT).unwrap_or_default())
    }

    /// Parses resolv.conf. What is wrong in it is passed over, as libc does.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut config = Self::default();
        for line in bytes.split(|b| *b == b'\n') {
            let text = String::from_utf8_lossy(line);
            // A comment starts a line, or follows blank: libc takes both characters.
            let mut words = text.split_ascii_whitespace().take_while(|w| !w.starts_with(['#', ';']));
            match words.next() {
                Some("nameserver") if config.servers.len() < MAX_SERVERS => {
                    config.servers.extend(words.next().and_then(server));
                }
                // The last of search and domain wins.
                Some("domain") => config.search = words.take(1).filter_map(domain).collect(),
                Some("search") => config.search = words.filter_map(domain).take(MAX_SEARCH).collect(),
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        config
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

/// A server's address, at port 53; an IPv6 one may name its interface by number (`fe80::1%2`).
pub fn server(word: &str) -> Option<SocketAddr> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 53));
    }
    let (ip, zone) = word.split_once('%')?;
    Some(SocketAddrV6::new(ip.parse().ok()?, 53, 0, zone.parse().ok()?).into())
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

    /// The addresses of a name, in the order of the file, at most 64.
    pub fn lookup(&self, name: &str) -> Vec<IpAddr> {
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
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

/// `localhost` and all names under it are loopback and never asked of a server, RFC 6761 section 6.3.
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

/// The order of sources that nsswitch.conf(5) asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(pub Vec<Source>);

impl Order {
    /// Reads `/etc/nsswitch.conf`; counts as empty as [`Config::read`] says.
    pub fn read() -> Self {
        Self::parse(&read_bounded(OsStr::new("/etc/nsswitch.conf"), LIMIT).unwrap_or_default())
    }

    /// Takes the hosts line. Modules other than `files` and `dns` would be the container's code and are left out;
    /// where nothing is left, it is files, then dns. `[NOTFOUND=return]` after one of the two ends the list.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut sources = Vec::new();
        for line in bytes.split(|b| *b == b'\n') {
            let text = String::from_utf8_lossy(line);
            let text = text.split('#').next().unwrap_or_default().trim_start();
            let Some(rest) = text.strip_prefix("hosts:") else { continue };
            let mut known = false;
            for word in rest.replace('[', " [").split_ascii_whitespace() {
                let source = match word.to_ascii_lowercase().as_str() {
                    "files" => Source::Files,
                    "dns" => Source::Dns,
                    "[notfound=return]" | "[!success=return]" if known => break,
                    other => {
                        known &= other.starts_with('[');
                        continue;
                    }
                };
                known = true;
                if !sources.contains(&source) {
                    sources.push(source);
                }
            }
            break;
        }
        if sources.is_empty() { Self(vec![Source::Files, Source::Dns]) } else { Self(sources) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_as_libc_reads_it() {
        let config = Config::parse(
            b"# by kubelet\nsearch a.svc.cluster.local svc.cluster.local. .\nnameserver 10.0.0.10\nnameserver bad\n\
              nameserver fe80::1%2\nnameserver ::1\nnameserver 1.1.1.1\noptions ndots:5 timeout:99 attempts:0 rotate use-vc ; x\n\xff\xfe\n",
        );
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.10:53", "[fe80::1%2]:53", "[::1]:53"]);
        assert_eq!(config.search, ["a.svc.cluster.local", "svc.cluster.local", ""]);
        assert_eq!((config.ndots, config.timeout.as_secs(), config.attempts), (5, 30, 1));
        assert!(config.use_vc);
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
        assert_eq!(hosts.lookup("Web."), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::2".parse().unwrap()]);
        assert!(hosts.lookup("bad").is_empty() && hosts.lookup("10.0.0.1").is_empty());
    }

    #[test]
    fn nsswitch_orders_files_and_dns() {
        use Source::{Dns, Files};
        for (text, order) in [
            ("", vec![Files, Dns]),
            ("passwd: files\nhosts: files dns\n", vec![Files, Dns]),
            ("hosts: dns files", vec![Dns, Files]),
            ("hosts:files mdns4_minimal [NOTFOUND=return] dns", vec![Files, Dns]),
            ("hosts: files [NOTFOUND=return] dns", vec![Files]),
            ("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns", vec![Files, Dns]),
            ("hosts: resolve", vec![Files, Dns]),
            ("# hosts: dns\nhosts: dns # files", vec![Dns]),
        ] {
            assert_eq!(Order::parse(text.as_bytes()).0, order, "{text}");
        }
    }

    #[test]
    fn localhost_is_never_asked() {
        assert!(localhost("LocalHost.").is_some() && localhost("a.localhost").is_some());
        assert!(localhost("notlocalhost").is_none());
    }
}
