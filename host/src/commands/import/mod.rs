//! `import`: the workloads of other products, made into workloads of wharf.
pub(crate) mod report;
mod run;
pub(crate) mod takeover;
pub mod toolhive;
