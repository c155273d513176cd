//! Performs the orders for a call, as far as they are the same for all calls.
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use wharf_sdk::{Error, ErrorCode, Result};
use wharf_test_engine::{Act, Flaw};

/// The order for a call, after its first part was performed, before there is a future.
pub(crate) struct OrderedCall {
    act: Option<Act>,
    /// The operation and the workload.
    call: String,
}

impl OrderedCall {
    /// Blocks or panics where that was the order.
    pub(crate) fn in_call(act: Option<Act>, call: String) -> Self {
        match act {
            Some(Act::Block) => loop {
                std::thread::park();
            },
            Some(Act::Abort) => std::process::abort(),
            Some(Act::Panic) => panic!("ordered to panic"),
            act => Self { act, call },
        }
    }

    /// Waits or fails if that was the order; returns the order for the operation itself.
    /// True if it does not go on at once.
    pub(crate) const fn takes_time(&self) -> bool {
        matches!(
            self.act,
            Some(
                Act::SpoiltIfGivenUp
                    | Act::OneAtATime
                    | Act::Delay(_)
                    | Act::Hang
                    | Act::PanicInDrop
                    | Act::Flawed(Flaw::MadeLate)
            )
        )
    }

    pub(crate) async fn in_future(self) -> Result<Option<Act>> {
        match self.act {
            Some(Act::SpoiltIfGivenUp) => spoilt_if_given_up(self.call).await,
            Some(Act::OneAtATime) => one_at_a_time().await,
            Some(Act::Delay(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(None)
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::PanicInDrop) => {
                let _guard = PanicsInDrop;
                std::future::pending().await
            }
            Some(Act::Fail(code)) => {
                let code = serde_json::from_value(code.into()).unwrap_or(ErrorCode::Internal);
                Err(Error::new(code, "ordered to fail"))
            }
            other => Ok(other),
        }
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("ordered to panic in drop");
    }
}

/// Workloads whose call was given up in the middle, with an order that this must spoil them.
static SPOILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// How long calls take that tests give up or make at the same time.
pub(crate) const A_WHILE: Duration = Duration::from_millis(400);

fn spoilt() -> MutexGuard<'static, BTreeSet<String>> {
    SPOILT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spoils a call when it is dropped before it was done.
struct Spoils(Option<String>);

impl Drop for Spoils {
    fn drop(&mut self) {
        spoilt().extend(self.0.take());
    }
}

async fn spoilt_if_given_up(call: String) -> Result<Option<Act>> {
    if spoilt().contains(&call) {
        return Err(Error::internal("an earlier call was given up"));
    }
    let mut spoils = Spoils(Some(call));
    tokio::time::sleep(A_WHILE).await;
    spoils.0 = None;
    Ok(None)
}

async fn one_at_a_time() -> Result<Option<Act>> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let Ok(_alone) = ALONE.try_lock() else { return Err(Error::internal("another call is under way")) };
    tokio::time::sleep(A_WHILE / 8).await;
    Ok(None)
}
