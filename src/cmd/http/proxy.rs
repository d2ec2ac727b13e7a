//! Which proxy curl would go through.

use std::ffi::OsStr;
use std::net::IpAddr;

use super::url::Url;

/// The variable that names a proxy for this URL, unless `no_proxy` has its host. HTTP_PROXY in capitals is not looked at:
/// a CGI program has it from a request's header `Proxy`.
pub fn variable<'a>(url: &Url, var: impl Fn(&str) -> Option<&'a OsStr>) -> Option<&'static str> {
    let names: &[&str] = if url.https { &["https_proxy", "HTTPS_PROXY"] } else { &["http_proxy"] };
    let is_set = |name: &&&str| var(name).is_some_and(|value| !value.is_empty());
    let name = names.iter().chain(&["all_proxy", "ALL_PROXY"]).find(is_set)?;
    let except = var("no_proxy").or_else(|| var("NO_PROXY")).unwrap_or_default().to_string_lossy();
    let mut except = except.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
    (!except.any(|entry| covers(entry, &url.host))).then_some(name)
}

/// Whether an entry of `no_proxy` has this host: `*`, a name and all names under it, an address, or a network.
fn covers(entry: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if let Ok(ip) = host.parse::<IpAddr>() {
        let (network, bits) = entry.split_once('/').map_or((entry, None), |(ip, bits)| (ip, Some(bits)));
        let network = network.trim_start_matches('[').trim_end_matches(']');
        return entry == "*" || network.parse().is_ok_and(|network| is_in(ip, network, bits));
    }
    let entry = entry.trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    let above = host.strip_suffix(entry.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    entry == "*" || (!entry.is_empty() && above)
}

fn is_in(ip: IpAddr, network: IpAddr, bits: Option<&str>) -> bool {
    let (ip, network, all) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (u128::from(ip.to_bits()), u128::from(network.to_bits()), 32_u32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let Some(free) = bits.map_or(Some(0), |bits| all.checked_sub(bits.parse::<u32>().ok()?)) else {
        return false;
    };
    ip.checked_shr(free).unwrap_or(0) == network.checked_shr(free).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_that_of_curl() {
        for (url, set, found) in [
            ("http://web/", &[("http_proxy", "http://p:1")][..], Some("http_proxy")),
            ("http://web/", &[("HTTP_PROXY", "http://p:1"), ("https_proxy", "p")], None),
            ("https://web/", &[("HTTPS_PROXY", "p")], Some("HTTPS_PROXY")),
            ("https://web/", &[("https_proxy", ""), ("ALL_PROXY", "p")], Some("ALL_PROXY")),
            ("http://web.svc/", &[("http_proxy", "p"), ("no_proxy", "a,.svc")], None),
            ("http://websvc/", &[("http_proxy", "p"), ("no_proxy", "svc, b")], Some("http_proxy")),
            ("http://web/", &[("http_proxy", "p"), ("NO_PROXY", "*")], None),
            ("http://10.1.2.3/", &[("http_proxy", "p"), ("no_proxy", "10.0.0.0/8")], None),
            (
                "http://11.1.2.3/",
                &[("http_proxy", "p"), ("no_proxy", "10.0.0.0/8,11.1.2.4,x/y")],
                Some("http_proxy"),
            ),
            ("http://[::1]/", &[("http_proxy", "p"), ("no_proxy", "::1")], None),
        ] {
            let var =
                |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsStr::new(value));
            assert_eq!(variable(&Url::parse(url.as_bytes()).unwrap(), var), found, "{url} {set:?}");
        }
    }
}
