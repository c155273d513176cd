//! The conformance suite as `wharf runtime test` runs it: the SDK's cases, each in processes of its own.
//!
//! Called by the command line, and by `main` for the processes that it starts. A plugin may crash, abort or hang in one
//! of them: that is a failed case, and the next one runs. It must not know what a case does.
//!
//! Invariants: the process that judges loads no plugin; a case has a folder, two host ids and a deadline of its own; what
//! a case that crashed leaves behind is swept up, in a process of its own too, and what is still left then is killed.
mod case_process;
mod leftovers;
mod listen;
mod report;
mod run;
mod subject;

pub use case_process::{CASE_ARGUMENT, run_case};
pub use listen::{CONNECT_ARGUMENT, LISTEN_ARGUMENT, connect, listen};
pub use report::{CaseReport, CaseResult, ProfileReport, Report, Verdict};
pub use run::{Suite, run};
