//! Runs one step of a case and reports its outcome.
use super::breach::Breach;
use super::case::Case;
use super::fixture::{Fixture, Setting};
use super::subject::Subject;
use crate::Handle;
use serde::{Deserialize, Serialize};
use std::{rc::Rc, time::Duration};

/// The outcome of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The reason why the runtime breaks the case's sentence.
    pub breach: Option<String>,
    /// The reason why there is no verdict: the runtime refused, by name, a field that it cannot honour, which is right; or
    /// the answer could not be found out here.
    pub untold: Option<String>,
    /// The workload for the next step.
    pub left: Option<Handle>,
}

/// Runs one step of a case. The caller gives it a process of its own, which a faulty runtime may crash.
pub async fn run(case: &Case, step: usize, subject: &dyn Subject, setting: Setting) -> Outcome {
    let patience = Duration::from_millis(setting.patience_ms);
    let asked = Rc::default();
    let fixture = match Fixture::connect(subject, setting, Rc::clone(&asked)).await {
        Ok(fixture) => fixture,
        Err(Breach(why)) => return Outcome { breach: Some(why), ..Outcome::default() },
    };
    let checked = match case.steps.get(step) {
        None => Err(Breach(format!("there is no step {step}"))),
        Some(run) => tokio::time::timeout(patience, run(&fixture)).await.unwrap_or_else(|_| {
            let (last, s) = (asked.last(), patience.as_secs_f32());
            Err(Breach(format!("not done within {s} s; the last operation that was asked for is '{last}'")))
        }),
    };
    let left = fixture.left.take();
    if left.is_none() || checked.is_err() {
        fixture.clean().await;
    }
    let untold = fixture.untold.take();
    let breach = checked.err().filter(|_| untold.is_none()).map(|Breach(why)| why);
    Outcome { breach, untold, left }
}
