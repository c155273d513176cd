//! Ports of workloads.
use super::Need;
use super::case::{Breach, Case, Checked, Profile, ensure};
use super::client::Answer;
use super::fixture::Fixture;
use crate::{Capability, Handle, Transport, WorkloadSpec};
use std::{net::SocketAddr, time::Duration};

const NEEDS: &[Need] = &[Need::Capability(Capability::HTTP), Need::Listener];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "ports.address",
        sentence: "A running workload's port can be reached from the host at the address that is told, on this machine alone",
        profile: Profile::Ports,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(reachable(fixture))],
    },
    Case {
        id: "ports.closed",
        sentence: "Stop ends the workload, all of it: nobody listens any more",
        profile: Profile::Ports,
        needs: NEEDS,
        steps: &[|fixture| Box::pin(closed(fixture))],
    },
];

async fn reachable(fixture: &Fixture) -> Checked {
    let (_, address) = listening(fixture).await?;
    ensure(address.ip().is_loopback(), || format!("{address} can be reached from other machines"))
}

async fn closed(fixture: &Fixture) -> Checked {
    let (handle, address) = listening(fixture).await?;
    fixture.stop(&handle).await?;
    ensure(connect(address).is_err(), || format!("it is stopped, and {address} still accepts"))
}

/// A workload that listens, and where.
async fn listening(fixture: &Fixture) -> Checked<(Handle, SocketAddr)> {
    let handle = fixture.deploy(&listener(fixture)?).await?;
    let address = reached(fixture, &handle).await?;
    Ok((handle, address))
}

/// A workload that will listen.
pub(super) fn listener(fixture: &Fixture) -> Checked<WorkloadSpec> {
    let missing = || Breach("there is nothing that listens".to_owned());
    let listener = fixture.setting.material.listener.as_ref().ok_or_else(missing)?;
    let port = fixture.setting.port;
    let transport = Transport::Http { target_port: port };
    Ok(fixture.spec_of(listener.source.clone(), listener.args(port), transport))
}

/// Starts one that is deployed, and waits until it accepts; tells where.
pub(super) async fn reached(fixture: &Fixture, handle: &Handle) -> Checked<SocketAddr> {
    fixture.host.start(handle).await.doing("start")?;
    let seen = fixture.host.inspect(handle).await.doing("inspect")?;
    let told = seen.address.ok_or_else(|| Breach("it is running, and has no address".to_owned()))?;
    let address = told.parse().map_err(|_| Breach(format!("'{told}' is not ip:port")))?;
    while connect(address).is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(address)
}

fn connect(address: SocketAddr) -> std::io::Result<()> {
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(drop)
}
