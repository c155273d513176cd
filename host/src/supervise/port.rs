//! Ports: the recorded one, or one that will still be there when the workload starts again.
//!
//! A port stays a workload's own while it is stopped, and nobody listens on it meanwhile. One that the kernel chose
//! could then be given to any connection that goes out, and the next start would find it taken: ports are chosen
//! here, outside the range that the kernel takes them from.
use crate::error::{Error, ErrorKind, Result};
use crate::status::RunConfig;
use std::{io, ops::RangeInclusive};
use tokio::net::TcpListener;

/// Where ports are chosen: above those that well-known servers use.
const CHOSEN: RangeInclusive<u16> = 10_000..=u16::MAX;
/// The kernel's own range where it does not tell: RFC 6335 section 6.
const DYNAMIC: RangeInclusive<u16> = 49_152..=u16::MAX;
/// How many ports are tried before the kernel chooses after all.
const TRIES: usize = 64;

/// Listens on the proxy's port: the recorded one, or one that is chosen now.
pub(super) async fn bind(run: &RunConfig) -> Result<TcpListener> {
    let listener = match run.port {
        0 => choose(&run.host).await,
        port => TcpListener::bind((run.host.as_str(), port)).await,
    };
    listener.map_err(|error| {
        let doing = format!("the proxy of '{}' cannot listen on {}:{}", run.name, run.host, run.port);
        if error.kind() == io::ErrorKind::AddrInUse {
            Error::new(ErrorKind::Conflict, format!("{doing}: the port is taken"))
                .hint("end what uses the port, or choose another --proxy-port")
        } else {
            Error::caused(ErrorKind::Failed, doing, &error)
        }
    })
}

/// Whether the proxy's port can be had, now.
///
/// # Errors
/// As it will be told by the supervisor.
pub(crate) async fn check_port(run: &RunConfig) -> Result<()> {
    bind(run).await.map(drop)
}

/// A free port for a server that is told its port.
pub(crate) async fn free_port() -> io::Result<u16> {
    Ok(choose("127.0.0.1").await?.local_addr()?.port())
}

async fn choose(host: &str) -> io::Result<TcpListener> {
    let lent = lent();
    for _ in 0..TRIES {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let port = u16::from_ne_bytes(random);
        if !is_ours(port, &lent) {
            continue;
        }
        match TcpListener::bind((host, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    TcpListener::bind((host, 0)).await
}

fn is_ours(port: u16, lent: &RangeInclusive<u16>) -> bool {
    CHOSEN.contains(&port) && !lent.contains(&port)
}

/// The ports that the kernel lends to connections that go out, ip(7).
fn lent() -> RangeInclusive<u16> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    told.and_then(|told| parse(&told)).unwrap_or(DYNAMIC)
}

fn parse(told: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = told.split_once(char::is_whitespace)?;
    Some(low.trim().parse().ok()?..=high.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::{choose, is_ours, lent, parse};

    #[tokio::test]
    async fn a_chosen_port_is_none_that_connections_are_given() {
        let lent = lent();
        for _ in 0..64 {
            let port = choose("127.0.0.1").await.unwrap().local_addr().unwrap().port();
            assert!(is_ours(port, &lent), "{port}");
        }
    }

    #[test]
    fn the_kernels_range_is_read_as_it_is_written() {
        assert_eq!(parse("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse("32768"), None);
        assert!(is_ours(32_767, &(32_768..=60_999)) && !is_ours(32_768, &(32_768..=60_999)));
        assert!(is_ours(61_000, &(32_768..=60_999)) && !is_ours(9_999, &(32_768..=60_999)));
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_told_at_once() {
        assert!(choose("192.0.2.1").await.is_err());
    }
}
