//! Cases about ports of workloads.
use super::Need;
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::Answer;
use super::fixture::Fixture;
use super::listening::{ATTEMPT, PAUSE, leads_nowhere, listener, until_answered};
use crate::{Address, Capability, Handle};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

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
    // A workload without an address on this machine can be reached by nobody but its runtime.
    let (_, Some(address)) = listening(fixture).await? else { return Ok(()) };
    ensure(address.ip().is_loopback(), || format!("{address} can be reached from other machines"))
}

async fn closed(fixture: &Fixture) -> Checked {
    let (handle, address) = listening(fixture).await?;
    fixture.stop(&handle).await?;
    let Some(address) = address else {
        return leads_nowhere(fixture, &handle, fixture.setting.port).await;
    };
    ensure(connect(address).is_err(), || format!("it is stopped, and {address} still accepts"))
}

/// Starts a workload that listens; returns its address, if it has one.
async fn listening(fixture: &Fixture) -> Checked<(Handle, Option<SocketAddr>)> {
    let handle = fixture.deploy(&listener(fixture)?).await?;
    let address = reached(fixture, &handle).await?;
    Ok((handle, address))
}

/// Starts a deployed workload, waits until it answers, and returns its address on this machine, if it has one.
pub(super) async fn reached(fixture: &Fixture, handle: &Handle) -> Checked<Option<SocketAddr>> {
    fixture.host.start(handle).await.doing("start")?;
    let seen = fixture.host.inspect(handle).await.doing("inspect")?;
    let address = match seen.address {
        Some(Address::Tcp { address }) => address,
        Some(Address::Dial) => {
            until_answered(fixture, handle).await;
            return Ok(None);
        }
        Some(Address::Unknown) => {
            return Err(Breach("its address is of a kind that is not known".to_owned()));
        }
        None => return Err(Breach("it is running, and has no address".to_owned())),
    };
    while exchange(address).is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Some(address))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, ATTEMPT)
}

/// Sends a byte and expects it back. A connection alone proves nothing: an engine may accept connections to a port whose
/// workload does not listen.
fn exchange(address: SocketAddr) -> io::Result<()> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    let (sent, mut received) = (*b"?", [0]);
    stream.write_all(&sent)?;
    stream.read_exact(&mut received)?;
    if received == sent { Ok(()) } else { Err(io::Error::other("another byte comes back")) }
}
