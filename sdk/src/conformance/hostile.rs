//! Cases about hosts that cancel calls, make many calls at once, or ask for what is gone; and about two hosts on one
//! engine.
use super::breach::{Breach, Checked, ensure};
use super::case::{Case, Profile};
use super::client::{Answer, Client};
use super::fixture::Fixture;
use super::material::Role;
use crate::{ErrorCode, ListQuery, WorkloadSpec, WorkloadState};
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long each call runs before the case cancels it.
const GIVEN_UP_AFTER_MS: [u64; 4] = [0, 1, 10, 100];
/// How long a workload that a listing did not show is looked for again, and how often.
const LOOKED_FOR: Duration = Duration::from_millis(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "core.deploy-cancelled",
        sentence: "A deployment that is dropped leaves nothing behind that stands in the way of the next one",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(deploy_cancelled(fixture))],
    },
    Case {
        id: "core.list-cancelled",
        sentence: "Asked about a workload whose deployment was dropped, a listing answers once nothing more can come of it",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_cancelled(fixture))],
    },
    Case {
        id: "core.stop-cancelled",
        sentence: "A 'stop' that is dropped in mid-call can be called again",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(stop_cancelled(fixture))],
    },
    Case {
        id: "core.wait-cancelled",
        sentence: "A 'wait' that is dropped ends nothing, and can be called again",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(wait_cancelled(fixture))],
    },
    Case {
        id: "core.questions-at-once",
        sentence: "Every method may be called from several tasks at once",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(questions_at_once(fixture))],
    },
    Case {
        id: "core.start-missing",
        sentence: "Start of a missing workload is an error, never success without effect",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(start_missing(fixture))],
    },
    Case {
        id: "core.wait-missing",
        sentence: "Wait for a missing workload resolves",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(wait_missing(fixture))],
    },
    Case {
        id: "core.recover-missing",
        sentence: "Recover of a missing workload is the error 'not_found'",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(recover_missing(fixture))],
    },
    Case {
        id: "core.list-own-alone",
        sentence: "Two hosts can share one engine and the same names: each lists its own workloads alone",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(list_own_alone(fixture))],
    },
    Case {
        id: "core.foreign-untouched",
        sentence: "A workload of another host is neither touched nor mistaken for this host's",
        profile: Profile::Core,
        needs: &[],
        steps: &[|fixture| Box::pin(foreign_untouched(fixture))],
    },
];

/// Cancels a call after a while. A value is returned if the call was over before.
async fn given_up<T>(after_ms: u64, call: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(after_ms), call).await.ok()
}

async fn deploy_cancelled(fixture: &Fixture) -> Checked {
    for after_ms in GIVEN_UP_AFTER_MS {
        let spec = fixture.spec(Role::Idle);
        let _ = given_up(after_ms, fixture.host.deploy(&spec)).await;
        // The cancellation may have come too late: then the workload exists, and the listing must show it.
        clear(&fixture.host, &spec.uid).await?;
        let handle = fixture.launch(&spec).await.map_err(|Breach(why)| {
            Breach(format!("after a deployment that was dropped after {after_ms} ms: {why}"))
        })?;
        fixture.expect(&handle, WorkloadState::Running, "deployed again").await?;
        let there = fixture.host.listed(&spec.uid).await?.is_some();
        ensure(there, || "deployed again, it is not in the listing".to_owned())?;
    }
    Ok(())
}

/// Removes a workload if a listing shows it.
async fn clear(client: &Client, uid: &str) -> Checked {
    let Some(seen) = client.listed(uid).await? else { return Ok(()) };
    let handle = seen
        .handle
        .ok_or_else(|| Breach("a workload that was left is listed without a handle".to_owned()))?;
    client.remove(&handle).await.doing("remove of a workload that was left")
}

async fn list_cancelled(fixture: &Fixture) -> Checked {
    for after_ms in GIVEN_UP_AFTER_MS {
        let spec = fixture.spec(Role::Idle);
        let _ = given_up(after_ms, fixture.host.deploy(&spec)).await;
        if fixture.host.listed_alone(&spec.uid).await?.is_none() {
            stays_missing(&fixture.host, &spec.uid).await.map_err(|Breach(why)| {
                Breach(format!("after a deployment that was dropped after {after_ms} ms: {why}"))
            })?;
        }
        clear(&fixture.host, &spec.uid).await?;
    }
    Ok(())
}

/// A host takes the first listing without the workload as proof that there is none, and drops its record.
async fn stays_missing(client: &Client, uid: &str) -> Checked {
    let began = Instant::now();
    while began.elapsed() < LOOKED_FOR {
        tokio::time::sleep(LOOK_EVERY).await;
        if client.listed_alone(uid).await?.is_some() {
            clear(client, uid).await?;
            return Err(Breach("a listing did not show the workload, and a later one does".to_owned()));
        }
    }
    Ok(())
}

async fn stop_cancelled(fixture: &Fixture) -> Checked {
    for after_ms in GIVEN_UP_AFTER_MS {
        let handle = fixture.running().await?;
        let _ = given_up(after_ms, fixture.stop(&handle)).await;
        fixture.host.stop(&handle, 0).await.doing("stop, after one that was dropped")?;
    }
    Ok(())
}

async fn wait_cancelled(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    for after_ms in GIVEN_UP_AFTER_MS {
        let too_early = given_up(after_ms, fixture.host.wait(&handle)).await;
        ensure(too_early.is_none(), || "it resolves while the workload runs".to_owned())?;
    }
    fixture.expect(&handle, WorkloadState::Running, "after a 'wait' that was dropped").await?;
    let (exit, ()) = tokio::try_join!(
        async { fixture.host.wait(&handle).await.doing("wait, after one that was dropped") },
        fixture.stop_later(&handle)
    )?;
    drop(exit);
    Ok(())
}

async fn questions_at_once(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    let host = &fixture.host;
    let inspect = async || host.inspect(&handle).await.doing("inspect, several at once").map(drop);
    let list = async || host.list(&ListQuery::ALL).await.doing("list, several at once").map(drop);
    let health = async || host.health().await.doing("health, several at once").map(drop);
    tokio::try_join!(inspect(), inspect(), inspect(), inspect(), list(), list(), health(), health())?;
    Ok(())
}

async fn start_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.start(&handle).await.fails("start of a missing workload")?;
    Ok(())
}

async fn wait_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.running().await?;
    fixture.stop(&handle).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    // The exit of the workload or `not_found`: both are right answers.
    match fixture.host.wait(&handle).await {
        Ok(_) => Ok(()),
        error => error.refused("wait for a missing workload", ErrorCode::NotFound),
    }
}

async fn recover_missing(fixture: &Fixture) -> Checked {
    let handle = fixture.deploy(&fixture.spec(Role::Idle)).await?;
    fixture.host.remove(&handle).await.doing("remove")?;
    fixture.host.recover(&handle).await.refused("recover of a missing workload", ErrorCode::NotFound)
}

/// A workload of the other host.
fn others(fixture: &Fixture) -> WorkloadSpec {
    WorkloadSpec { host_id: fixture.other.host_id.clone(), ..fixture.spec(Role::Idle) }
}

async fn list_own_alone(fixture: &Fixture) -> Checked {
    let own = fixture.running().await?;
    let theirs = fixture.launch(&others(fixture)).await?;
    let mixed = "a host is shown a workload of the other one";
    ensure(fixture.host.listed(&theirs.uid).await?.is_none(), || mixed.to_owned())?;
    ensure(fixture.other.listed(&own.uid).await?.is_none(), || mixed.to_owned())?;
    ensure(fixture.other.listed(&theirs.uid).await?.is_some(), || "the other host misses its own".to_owned())
}

async fn foreign_untouched(fixture: &Fixture) -> Checked {
    let own = fixture.running().await?;
    let theirs = fixture.launch(&others(fixture)).await?;
    fixture.other.stop(&theirs, 0).await.doing("stop by the other host")?;
    fixture.other.remove(&theirs).await.doing("remove by the other host")?;
    fixture
        .expect(&own, WorkloadState::Running, "after the other host has removed its own of that name")
        .await
}
