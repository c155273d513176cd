//! `start --allow-weaker`: lets a workload run with less than its description asks for.
use crate::commands::context::Context;
use crate::commands::locking::lock_operation;
use crate::commands::lookup::read_run_config;
use wharf_model::{Result, WorkloadName};

/// Records that a workload may run although not all of its description can be enforced, from its next start on. Its owner
/// then reports what is not enforced.
pub async fn allow_weaker(context: &Context, name: &WorkloadName) -> Result<()> {
    read_run_config(context, name)?;
    let _operation = lock_operation(context, name).await?;
    let run = read_run_config(context, name)?;
    if !run.allow_weaker {
        context.store().update_run_config(name, &run.uid, |run| run.allow_weaker = true)?;
    }
    Ok(())
}
