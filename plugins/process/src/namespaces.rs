//! Changes a job after a launcher failed to give the workload its own namespaces: the next launcher lets it share the
//! machine's.
use wharf_sdk::{
    Error,
    launch::{Job, NAMESPACES},
};

/// If the error is that the workload cannot have its own namespaces, changes the job so that the next launcher does not
/// try. False for any other error.
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
