//! A workload that listens on a port, and a check whether it answers over a connection that its runtime carries. Called by
//! the cases about ports, networks and connections; it does not know what they test.
use super::breach::{Breach, Checked, ensure};
use super::fixture::Fixture;
use crate::{Handle, Transport, WorkloadSpec};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long an attempt may take; the listener is on this machine.
pub(super) const ATTEMPT: Duration = Duration::from_secs(1);
/// The pause between two attempts: no event tells when a workload has begun to listen.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// A workload that listens.
pub(super) fn listener(fixture: &Fixture) -> Checked<WorkloadSpec> {
    let missing = || Breach("there is nothing that listens".to_owned());
    let listener = fixture.setting.material.listener.as_ref().ok_or_else(missing)?;
    let port = fixture.setting.port;
    let transport = Transport::Http { target_port: port };
    Ok(fixture.spec_of(listener.source.clone(), listener.args(port), transport))
}

/// Resolves when the workload answers over a connection. No event tells when a workload has begun to listen, so this tries
/// again; the case's own deadline ends the attempts.
pub(super) async fn until_answered(fixture: &Fixture, handle: &Handle) {
    let answered = || tokio::time::timeout(ATTEMPT, answers(fixture, handle, fixture.setting.port));
    while !answered().await.unwrap_or(false) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// True if a byte that is sent to a port comes back.
async fn answers(fixture: &Fixture, handle: &Handle, port: u16) -> bool {
    let Ok(mut pipe) = fixture.host.dial(handle, port).await else { return false };
    let mut back = [0];
    let sent = pipe.writer.write_all(b"?").await.is_ok() && pipe.writer.flush().await.is_ok();
    sent && pipe.reader.read_exact(&mut back).await.is_ok() && back == *b"?"
}

/// Fails if anybody answers on a port on which nobody listens. The connection may be refused, or it may end.
pub(super) async fn leads_nowhere(fixture: &Fixture, handle: &Handle, port: u16) -> Checked {
    let Ok(mut pipe) = fixture.host.dial(handle, port).await else { return Ok(()) };
    let _ = pipe.writer.write_all(b"?").await;
    let _ = pipe.writer.flush().await;
    let mut rest = Vec::new();
    let _ = pipe.reader.read_to_end(&mut rest).await;
    ensure(rest.is_empty(), || format!("nobody answers {:?}", String::from_utf8_lossy(&rest)))
}
