//! Ports of workloads.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use crate::{Capability, Handle, Transport, WorkloadSpec};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an attempt may take; what is tried lies on this machine.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Between two attempts: there is nothing that would tell when a workload has begun to listen.
const PAUSE: Duration = Duration::from_millis(50);

const NEEDS: &[Need] = &[Need::Capability(Capability::HTTP), Need::Listener];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "ports.address",
        sentence: "A running workload's port answers at the address that is told, on this machine alone",
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

/// Starts one that is deployed, and waits until it answers; tells where.
pub(super) async fn reached(fixture: &Fixture, handle: &Handle) -> Checked<SocketAddr> {
    fixture.host.start(handle).await.doing("start")?;
    let seen = fixture.host.inspect(handle).await.doing("inspect")?;
    let told = seen.address.ok_or_else(|| Breach("it is running, and has no address".to_owned()))?;
    let address = told.parse().map_err(|_| Breach(format!("'{told}' is not ip:port")))?;
    while exchange(address).is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(address)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, ATTEMPT)
}

/// Sends a byte and wants it back: what an engine has in the place of its workloads' ports accepts connections that lead
/// to nobody.
fn exchange(address: SocketAddr) -> io::Result<()> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    let (sent, mut received) = (*b"?", [0]);
    stream.write_all(&sent)?;
    stream.read_exact(&mut received)?;
    if received == sent { Ok(()) } else { Err(io::Error::other("another byte comes back")) }
}
