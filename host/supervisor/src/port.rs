//! Chooses and binds the port of a proxy: the recorded one, or one that will still be free when the workload starts again.
//!
//! A stopped workload keeps its port, and nobody listens on it meanwhile. The kernel could give a port from its own range
//! to any outgoing connection, and the next start would find it taken. So ports are chosen here, outside of that range.
use std::{fs, io, ops::RangeInclusive};
use tokio::net::TcpListener;
use wharf_model::{Advice, RunConfig, Setting};
use wharf_model::{Error, ErrorKind, Result};

/// The range of chosen ports: above those of well-known servers.
const CHOSEN_PORTS: RangeInclusive<u16> = 10_000..=u16::MAX;
/// The kernel's own range, if the kernel does not tell it: RFC 6335 section 6.
const DEFAULT_EPHEMERAL_PORTS: RangeInclusive<u16> = 49_152..=u16::MAX;
/// After this many tries the kernel chooses after all.
const MAX_PORT_TRIES: usize = 64;

/// Listens on the proxy's port: the recorded one, or a new one. `is_free` says that no client knows the recorded one yet: if
/// another process has taken it, a new one is as good.
pub(crate) async fn bind(run: &RunConfig, is_free: bool) -> Result<TcpListener> {
    let listener = match run.port {
        0 => choose(&run.host).await,
        port => match TcpListener::bind((run.host.as_str(), port)).await {
            Err(error) if is_free && error.kind() == io::ErrorKind::AddrInUse => choose(&run.host).await,
            bound => bound,
        },
    };
    listener.map_err(|error| unbound(run, &error))
}

/// Why a proxy cannot listen where its workload's definition says: what of it must be another.
fn unbound(run: &RunConfig, error: &io::Error) -> Error {
    let doing = format!("the proxy of '{}' cannot listen on {}:{}", run.name, run.host, run.port);
    let another_port = Advice::Choose { setting: Setting::ProxyPort, value: None };
    match error.kind() {
        io::ErrorKind::AddrInUse => Error::new(ErrorKind::Conflict, format!("{doing}: the port is taken"))
            .hint("end what uses the port")
            .advise(another_port),
        io::ErrorKind::PermissionDenied => {
            let message = format!("{doing}: this user may not listen on that port");
            Error::new(ErrorKind::Usage, message)
                .hint("low ports are those of the system's own servers (net.ipv4.ip_unprivileged_port_start)")
                .advise(another_port)
        }
        io::ErrorKind::AddrNotAvailable => {
            let message = format!("{doing}: this machine does not have that address");
            Error::new(ErrorKind::Usage, message)
                .hint("127.0.0.1 is this machine alone, 0.0.0.0 all addresses that it has")
        }
        _ => Error::caused(ErrorKind::Failed, doing, error),
    }
}

/// Checks whether the proxy's port is free now.
///
/// # Errors
/// The same as the supervisor's own.
pub async fn check_port(run: &RunConfig) -> Result<()> {
    bind(run, false).await.map(drop)
}

/// Chooses a port for a proxy that will listen at this address. Recorded at once, it saves a second write of the RunConfig.
///
/// # Errors
/// No port can be bound at this address.
pub async fn choose_port(host: &str) -> io::Result<u16> {
    Ok(choose(host).await?.local_addr()?.port())
}

/// A free port for a server that is told its port.
pub async fn free_port() -> io::Result<u16> {
    choose_port("127.0.0.1").await
}

async fn choose(host: &str) -> io::Result<TcpListener> {
    let ports = ours(&lent(), &reserved());
    for _ in 0..MAX_PORT_TRIES.min(ports.len()) {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let port = ports[u32::from_ne_bytes(random) as usize % ports.len()];
        match TcpListener::bind((host, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    TcpListener::bind((host, 0)).await
}

fn ours(lent: &RangeInclusive<u16>, reserved: &[RangeInclusive<u16>]) -> Vec<u16> {
    let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
    CHOSEN_PORTS.filter(|port| !lent.contains(port) && !is_reserved(port)).collect()
}

/// The kernel's range for outgoing connections, ip(7).
fn lent() -> RangeInclusive<u16> {
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range(&told, char::is_whitespace).unwrap_or(DEFAULT_EPHEMERAL_PORTS)
}

/// The ports that the machine reserves for servers, Documentation/networking/ip-sysctl.
fn reserved() -> Vec<RangeInclusive<u16>> {
    let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    told.split(',').filter_map(|part| range(part, |between| between == '-')).collect()
}

/// Two numbers, or one that stands for both.
fn range(told: &str, is_between: impl Fn(char) -> bool) -> Option<RangeInclusive<u16>> {
    let told = told.trim();
    let (low, high) = told.split_once(is_between).unwrap_or((told, told));
    Some(low.parse().ok()?..=high.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::{bind, choose, choose_port, lent, ours, range, reserved, unbound};
    use wharf_model::{ErrorKind, RunConfig, Uid, WorkloadName};

    #[tokio::test]
    async fn a_chosen_port_is_none_that_connections_are_given() {
        let ours = ours(&lent(), &reserved());
        for _ in 0..64 {
            let port = choose("127.0.0.1").await.unwrap().local_addr().unwrap().port();
            assert!(ours.contains(&port) || ours.len() < 1000, "{port}");
        }
    }

    #[tokio::test]
    async fn a_chosen_port_that_was_taken_before_it_was_reported_is_replaced() {
        let name = WorkloadName::new("demo").unwrap();
        let mut run = RunConfig::new(Uid::random().unwrap(), name, "server");
        run.host = "127.0.0.1".to_owned();
        run.port = choose_port(&run.host).await.unwrap();
        let theirs = bind(&run, true).await.unwrap();
        assert_eq!(theirs.local_addr().unwrap().port(), run.port);
        let other = bind(&run, true).await.unwrap().local_addr().unwrap().port();
        assert!(other != 0 && other != run.port);
        assert_eq!(bind(&run, false).await.unwrap_err().kind, ErrorKind::Conflict);
    }

    #[test]
    fn ephemeral_and_reserved_ports_are_not_chosen() {
        let lent = range("32768\t60999\n", char::is_whitespace).unwrap();
        let keeps = |part| range(part, |between| between == '-').unwrap();
        let ours = ours(&lent, &[keeps("20000"), keeps("30000-32767\n")]);
        for (port, is_ours) in [
            (9_999, false),
            (10_000, true),
            (20_000, false),
            (29_999, true),
            (30_000, false),
            (32_768, false),
            (60_999, false),
            (61_000, true),
        ] {
            assert_eq!(ours.contains(&port), is_ours, "{port}");
        }
        assert_eq!(range("", char::is_whitespace), None);
    }

    #[tokio::test]
    async fn an_address_that_this_machine_does_not_have_is_refused_at_once() {
        assert!(choose("192.0.2.1").await.is_err());
        let mut run = RunConfig::new(Uid::random().unwrap(), WorkloadName::new("demo").unwrap(), "server");
        run.host = "192.0.2.1".to_owned();
        for port in [0, 20_000] {
            run.port = port;
            let refused = bind(&run, false).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Usage, "{refused}");
            assert!(refused.message.contains("does not have that address"), "{refused}");
        }
    }

    #[test]
    fn a_port_that_this_user_may_not_have_is_the_requests_fault_and_another_one_is_advised() {
        let run = RunConfig::new(Uid::random().unwrap(), WorkloadName::new("demo").unwrap(), "server");
        let refused = unbound(&run, &std::io::ErrorKind::PermissionDenied.into());
        assert_eq!((refused.kind, refused.advice.len()), (ErrorKind::Usage, 2), "{refused:?}");
        let broken = unbound(&run, &std::io::ErrorKind::OutOfMemory.into());
        assert_eq!(broken.kind, ErrorKind::Failed, "{broken:?}");
    }
}
