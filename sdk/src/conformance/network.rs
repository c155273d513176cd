//! Cases about the network of permission profiles: their workloads try to connect to a listener on this machine.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::{Fixture, Tried, names_field};
use super::material::Role;
use super::permissions::{none, under};
use crate::{
    Capability, NetworkPermissions, OutboundPermissions, PermissionProfile, Transport, WorkloadSpec,
};
use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

const NEEDS: &[Need] = &[Need::Capability(Capability::PERMISSION_PROFILE), Need::Connector];
const NEEDS_PORT: &[Need] =
    &[Need::Capability(Capability::PERMISSION_PROFILE), Need::Capability(Capability::HTTP), Need::Connector];
const NEEDS_LISTENER: &[Need] =
    &[Need::Capability(Capability::PERMISSION_PROFILE), Need::Capability(Capability::HTTP), Need::Listener];
/// An address that no machine has, RFC 5737.
const NOBODY: &str = "192.0.2.1";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "permissions.no-network",
        sentence: "Under the profile 'none' a workload opens no connection",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(no_network(fixture))],
    },
    Case {
        id: "permissions.no-network-with-port",
        sentence: "Under the profile 'none' a workload with a port opens no connection either, or it is refused by name",
        profile: Profile::Permissions,
        needs: NEEDS_PORT,
        steps: &[|fixture| Box::pin(no_network_with_port(fixture))],
    },
    Case {
        id: "permissions.no-network-reached",
        sentence: "Under the profile 'none' a workload with a port answers at it, or it is refused by name",
        profile: Profile::Permissions,
        needs: NEEDS_LISTENER,
        steps: &[|fixture| Box::pin(no_network_reached(fixture))],
    },
    Case {
        id: "permissions.network",
        sentence: "Under the profile 'network' a workload opens connections as without a profile",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(network(fixture))],
    },
    Case {
        id: "permissions.outbound-ports",
        sentence: "A list of ports to go out to is kept to, or it is refused by name",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(outbound_ports(fixture))],
    },
    Case {
        id: "permissions.outbound-hosts",
        sentence: "A list of hosts to go out to is kept to, or it is refused by name",
        profile: Profile::Permissions,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(outbound_hosts(fixture))],
    },
    Case {
        id: "permissions.refused-by-name",
        sentence: "What of a profile cannot be honoured is refused by name, and never ignored",
        profile: Profile::Permissions,
        needs: &[Need::Capability(Capability::PERMISSION_PROFILE)],
        steps: &[|fixture| Box::pin(refused_by_name(fixture))],
    },
];

/// A listener beside the workloads, on all addresses of this machine, which ends each connection at once.
struct Beside<'a> {
    fixture: &'a Fixture,
    /// The wire of the workloads that connect to it.
    transport: Transport,
    port: u16,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // The thread looks at `is_over` after each connection that it accepts: this one wakes it.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

impl<'a> Beside<'a> {
    /// Starts the listener. If a workload without a profile cannot reach it, the case ends without a verdict: then a
    /// workload that is confined and fails proves nothing.
    async fn in_reach(fixture: &'a Fixture, transport: Transport) -> Checked<Self> {
        let beside = Self::listen(fixture, transport)?;
        if fixture.succeeds(&beside.seeker()?).await? {
            return Ok(beside);
        }
        let addresses = &fixture.setting.addresses;
        Err(fixture
            .untold(format!("workloads without a profile reach none of {addresses:?}, so nothing is told")))
    }

    fn listen(fixture: &'a Fixture, transport: Transport) -> Checked<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0));
        let listener = listener.map_err(|error| Breach(format!("nothing can listen here: {error}")))?;
        let port = listener.local_addr().map_err(|error| Breach(error.to_string()))?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let accepting = std::thread::spawn(move || {
            listener.incoming().take_while(|_| !ends.load(Ordering::Relaxed)).for_each(drop);
        });
        Ok(Self { fixture, transport, port, is_over, accepting: Some(accepting) })
    }

    /// A workload that connects to the listener.
    fn seeker(&self) -> Checked<WorkloadSpec> {
        let missing = || Breach("there is nothing that connects".to_owned());
        let setting = &self.fixture.setting;
        let connector = setting.material.connector.as_ref().ok_or_else(missing)?;
        let args = connector.args(&setting.addresses, self.port);
        Ok(self.fixture.spec_of(connector.source.clone(), args, self.transport))
    }

    /// True if a workload under this profile reaches the listener. If the runtime refuses the profile, the case ends
    /// without a verdict.
    async fn is_reached(&self, profile: PermissionProfile) -> Checked<bool> {
        self.fixture.succeeds(&under(profile, self.seeker()?)).await
    }

    /// The outcome of a workload under this profile that tries to reach the listener.
    async fn tried(&self, profile: PermissionProfile) -> Checked<Tried> {
        self.fixture.tries(&under(profile, self.seeker()?)).await
    }
}

/// A wire without a port, if the runtime has one.
fn without_port(fixture: &Fixture) -> Transport {
    let stdio = fixture.setting.capabilities.contains(&Capability::STDIO);
    if stdio { Transport::Stdio } else { with_port(fixture) }
}

fn with_port(fixture: &Fixture) -> Transport {
    Transport::Http { target_port: fixture.setting.port }
}

fn of_outbound(outbound: OutboundPermissions) -> PermissionProfile {
    let network = NetworkPermissions { outbound: Some(outbound), ..NetworkPermissions::default() };
    PermissionProfile { name: "outbound".to_owned(), network: Some(network), ..PermissionProfile::default() }
}

async fn no_network(fixture: &Fixture) -> Checked {
    let beside = Beside::in_reach(fixture, without_port(fixture)).await?;
    ensure(!beside.is_reached(none()?).await?, || "it opens a connection".to_owned())
}

async fn no_network_with_port(fixture: &Fixture) -> Checked {
    let beside = Beside::in_reach(fixture, with_port(fixture)).await?;
    ensure(beside.tried(none()?).await? != Tried::Succeeded, || "it opens a connection".to_owned())
}

async fn no_network_reached(fixture: &Fixture) -> Checked {
    let spec = under(none()?, super::listening::listener(fixture)?);
    match fixture.may_deploy(&spec).await? {
        Some(handle) => super::ports::reached(fixture, &handle).await.map(drop),
        None => Ok(()),
    }
}

async fn network(fixture: &Fixture) -> Checked {
    let beside = Beside::in_reach(fixture, without_port(fixture)).await?;
    let missing = || Breach("there is no profile 'network'".to_owned());
    let profile = PermissionProfile::built_in("network").ok_or_else(missing)?;
    ensure(beside.is_reached(profile).await?, || "it opens no connection".to_owned())
}

async fn outbound_ports(fixture: &Fixture) -> Checked {
    let beside = Beside::in_reach(fixture, without_port(fixture)).await?;
    for (port, wanted, otherwise) in [
        (beside.port ^ 1, Tried::Failed, "it connects to a port that is not listed"),
        (beside.port, Tried::Succeeded, "it does not connect to the port that is listed"),
    ] {
        let outbound = OutboundPermissions { allow_port: vec![port], ..OutboundPermissions::default() };
        let tried = beside.tried(of_outbound(outbound)).await?;
        ensure(tried == wanted || tried == Tried::Refused, || otherwise.to_owned())?;
    }
    Ok(())
}

async fn outbound_hosts(fixture: &Fixture) -> Checked {
    let beside = Beside::in_reach(fixture, without_port(fixture)).await?;
    let outbound =
        OutboundPermissions { allow_host: vec![NOBODY.to_owned()], ..OutboundPermissions::default() };
    let tried = beside.tried(of_outbound(outbound)).await?;
    ensure(tried != Tried::Succeeded, || "it connects to a host that is not listed".to_owned())
}

async fn refused_by_name(fixture: &Fixture) -> Checked {
    let outbound = OutboundPermissions { insecure_allow_all: true, ..OutboundPermissions::default() };
    let mut profile = of_outbound(outbound);
    if let Some(network) = &mut profile.network {
        "no-such-network".clone_into(&mut network.mode);
    }
    let spec = under(profile, fixture.spec(Role::Idle));
    let error = fixture.host.validate(&spec).await.fails("validate of a network that there is not")?;
    ensure(names_field(&error), || format!("the refusal names no field: {}", error.message))
}
