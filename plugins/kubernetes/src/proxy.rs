//! Whether the environment names a proxy for an API server, as kubectl reads it. Called where a connection is made; it must not
//! know what is done about a proxy.
use hyper::Uri;
use std::net::IpAddr;

/// The variables, in each of the two spellings that are usual.
const PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// What the environment says about proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// The variable that names a proxy for HTTPS.
    https: Option<&'static str>,
    /// The hosts that are reached without it.
    except: String,
}

impl Proxies {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let first = |names: [&'static str; 2]| {
            let mut set = names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
            set.find(|(_, value)| !value.is_empty())
        };
        let except = first(EXCEPT).map(|(_, hosts)| hosts).unwrap_or_default();
        Self { https: first(PROXY).map(|(name, _)| name), except }
    }

    /// The variable whose proxy is meant for this server. None: it is reached without one, as everything on this machine is.
    pub(crate) fn to(&self, server: &Uri) -> Option<&'static str> {
        let variable = self.https.filter(|_| server.scheme_str() == Some("https"))?;
        let host = server.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok();
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let port = server.port_u16().unwrap_or(443);
        let is_excepted = self.except.split(',').any(|entry| covers(entry.trim(), &host, address, port));
        (!is_here && !is_excepted).then_some(variable)
    }
}

/// Whether an entry of `NO_PROXY` is about this host: `*`, an address, a network, or a domain, each with a port if it is
/// about one alone. A domain that begins with a dot (or `*.`) means the names below it.
fn covers(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let entry = entry.to_ascii_lowercase();
    if let Some((network, bits)) = entry.split_once('/') {
        let network = network.parse().ok().zip(bits.parse().ok());
        return network
            .zip(address)
            .is_some_and(|((network, bits), address)| is_within(address, network, bits));
    }
    let (name, only) = match entry.rsplit_once(':') {
        // An address of IPv6 has colons of its own, and stands in brackets before a port.
        Some((name, only)) if !name.contains(':') || name.ends_with(']') => (name, only.parse().ok()),
        _ => (entry.as_str(), None),
    };
    let name = name.trim_matches(['[', ']']);
    if name.is_empty() || only.is_some_and(|only: u16| only != port) {
        return false;
    }
    let below = name.strip_prefix('*').unwrap_or(name);
    name == "*"
        || name.parse::<IpAddr>().is_ok_and(|named| Some(named) == address)
        || (below.starts_with('.') && host.ends_with(below))
        || host == name
        || host.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
}

/// Whether an address begins with the first bits of a network's.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u32::from(address).into(), u32::from(network).into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (u128::from(address), u128::from(network), 128),
        _ => return false,
    };
    bits <= width && (address ^ network).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
impl Proxies {
    pub(crate) fn named(except: &str) -> Self {
        Self { https: Some(PROXY[0]), except: except.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_proxied(except: &str, server: &str) -> bool {
        Proxies::named(except).to(&server.parse().unwrap()).is_some()
    }

    #[test]
    fn a_proxy_is_meant_for_servers_elsewhere_over_https() {
        assert!(is_proxied("", "https://a.example:6443"));
        assert!(is_proxied("", "https://10.0.0.1"));
        for here in
            ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443", "http://a.example"]
        {
            assert!(!is_proxied("", here), "{here}");
        }
        assert_eq!(Proxies::default().to(&"https://a.example".parse().unwrap()), None);
    }

    #[test]
    fn hosts_that_are_excepted_are_reached_without_it() {
        for (except, server) in [
            ("*", "https://a.example"),
            ("b.example, a.example", "https://A.example:6443"),
            ("example", "https://a.example"),
            (".example", "https://a.example"),
            ("*.example", "https://a.example"),
            ("a.example:6443", "https://a.example:6443"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("10.1.2.3", "https://10.1.2.3:6443"),
            ("0.0.0.0/0", "https://10.1.2.3"),
            ("fd00::/8", "https://[fd00::1]:6443"),
            ("fd00::1", "https://[fd00::1]:6443"),
            ("[fd00::1]:6443", "https://[fd00::1]:6443"),
        ] {
            assert!(!is_proxied(except, server), "{except} {server}");
        }
        for (except, server) in [
            ("a.example:443", "https://a.example:6443"),
            (".a.example", "https://a.example"),
            ("ample", "https://a.example"),
            ("10.0.0.0/8", "https://11.1.2.3"),
            ("10.0.0.0/33", "https://10.1.2.3"),
            ("10.0.0.0/8", "https://[fd00::1]"),
            (",:,/", "https://a.example"),
            ("fd00::2", "https://[fd00::1]:6443"),
        ] {
            assert!(is_proxied(except, server), "{except} {server}");
        }
    }
}
