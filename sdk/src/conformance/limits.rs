//! Cases about limits of resources: their workloads try to use more.
use super::Need;
use super::breach::{Checked, ensure};
use super::case::{Case, Profile};
use super::fixture::Fixture;
use super::material::Role;
use crate::{Capability, WorkloadSpec};
use std::time::{Duration, Instant};

/// The reason why it cannot be told whether a limit of processors holds.
const BUSY: &str = "the processors are too busy: a workload without a limit has next to nothing of them";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "limits.memory",
        sentence: "A workload has at most so much memory as its specification says",
        profile: Profile::Limits,
        needs: &[Need::Capability(Capability::MEMORY), Need::Shell],
        steps: &[|fixture| Box::pin(memory(fixture))],
    },
    Case {
        id: "limits.pids",
        sentence: "A workload has at most as many processes as its specification says",
        profile: Profile::Limits,
        needs: &[Need::Capability(Capability::PIDS), Need::Shell],
        steps: &[|fixture| Box::pin(pids(fixture))],
    },
    Case {
        id: "limits.cpus",
        sentence: "A workload has at most so much of the processors as its specification says",
        profile: Profile::Limits,
        needs: &[Need::Capability(Capability::CPUS), Need::Shell],
        steps: &[|fixture| Box::pin(cpus(fixture))],
    },
];

async fn memory(fixture: &Fixture) -> Checked {
    let free = fixture.spec(Role::Allocate);
    let limited = WorkloadSpec { memory_bytes: Some(64 * 1024 * 1024), ..fixture.spec(Role::Allocate) };
    only_the_free_one(fixture, &free, &limited, "256 MiB with a limit of 64 MiB").await
}

async fn pids(fixture: &Fixture) -> Checked {
    let free = WorkloadSpec { pids_limit: Some(512), ..fixture.spec(Role::Fork) };
    let limited = WorkloadSpec { pids_limit: Some(16), ..fixture.spec(Role::Fork) };
    only_the_free_one(fixture, &free, &limited, "64 processes with a limit of 16").await
}

/// Runs a workload with a limit and one without at the same time. If the one without gets twice what the other one may
/// have, the limit works. Other programs may want the processors too, so the case tries again for half of its time.
async fn cpus(fixture: &Fixture) -> Checked {
    let until = Instant::now() + Duration::from_millis(fixture.setting.patience_ms / 2);
    loop {
        let limited = WorkloadSpec { cpus: Some(0.05), ..fixture.spec(Role::Burn("34")) };
        let [limited, free] = fixture.succeed_beside([&limited, &fixture.spec(Role::Burn("68"))]).await?;
        ensure(!limited, || {
            "the workload had a ninth of a processor with a limit of a twentieth".to_owned()
        })?;
        if free {
            return Ok(());
        }
        if Instant::now() >= until {
            // The runtime is not to blame for busy processors: no verdict.
            return Err(fixture.untold(BUSY.to_owned()));
        }
    }
}

/// The same workload must succeed without the limit; otherwise its failure with the limit proves nothing.
async fn only_the_free_one(
    fixture: &Fixture,
    free: &WorkloadSpec,
    limited: &WorkloadSpec,
    what: &str,
) -> Checked {
    ensure(fixture.succeeds(free).await?, || "the workload fails without a limit".to_owned())?;
    ensure(!fixture.succeeds(limited).await?, || format!("the workload had {what}"))
}
