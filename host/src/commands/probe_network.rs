//! Has a runtime try out whether it enforces the rules of networks, and keeps the verdict for later workloads.
use crate::commands::choose_runtime::check_options;
use crate::commands::context::Context;
use std::collections::BTreeMap;
use wharf_model::{Error, ErrorKind, Result};
use wharf_sdk::NetworkVerdict;
use wharf_supervisor::NetworkVerdicts;

/// Has it tried out in the instance that these options lead to, and keeps the verdict for it.
///
/// # Errors
/// The runtime cannot try it out, or could not: then an earlier verdict stays.
pub async fn probe_network(
    context: &Context,
    runtime: &str,
    options: &BTreeMap<String, String>,
) -> Result<NetworkVerdict> {
    check_runtime_options(context, runtime, options)?;
    // Everything that is made for the trial is labelled as this host's.
    let host_id = context.host_id()?;
    let client = context.plugins().connect_with(runtime, options, &host_id).await?;
    let verdict = client.probe_network().await?;
    let answered = client.instance().await?.instance;
    if answered != verdict.instance {
        let message = format!("the trial was made in {}, and {answered} answers now", verdict.instance);
        return Err(Error::new(ErrorKind::Owner, message));
    }
    network_verdicts(context).keep(runtime, &verdict)?;
    Ok(verdict)
}

/// Whether a plugin provides this runtime, and the runtime declares these options.
///
/// # Errors
/// The one that a creation with them would have.
pub fn check_runtime_options(
    context: &Context,
    runtime: &str,
    options: &BTreeMap<String, String>,
) -> Result<()> {
    let provided = context.plugins().catalog().find(runtime).map_err(Error::from)?;
    check_options(options, provided.runtime)
}

/// The verdicts that are kept.
pub fn network_verdicts(context: &Context) -> NetworkVerdicts {
    NetworkVerdicts::of(context.store().state().clone())
}
