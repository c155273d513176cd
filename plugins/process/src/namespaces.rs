//! A workload shares the machine's namespaces where a launcher cannot give it any of its own: what is changed in the job
//! before another launcher gets it.
use wharf_sdk::{
    Error,
    launch::{Job, NAMESPACES},
};

/// Whether a launcher could not give the workload namespaces of its own; then another one is not to try it.
pub(crate) fn shares_instead(job: &mut Job, error: &Error) -> bool {
    let field = error.details.as_ref().and_then(|details| details["field"].as_str());
    match &mut job.sandbox {
        Some(sandbox) if field == Some(NAMESPACES) && sandbox.shared.is_none() => {
            sandbox.shared = Some(error.message.clone());
            true
        }
        _ => false,
    }
}
