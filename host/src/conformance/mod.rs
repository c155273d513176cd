//! The conformance suite as `wharf runtime test` runs it: the SDK's cases, each in processes of its own.
//!
//! Called by the command line, and by `main` for the processes that it starts. A plugin may crash, abort or hang in one of
//! them: that is a failed case, and the next one runs. It must not know the contents of a case.
//!
//! Invariants: the process that reports the verdicts loads no plugin; each case has its own folder, two host ids and a
//! deadline; resources that a crashed case leaves are removed, again in a process of its own, and processes that are still
//! left then are killed.
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
