//! `import`: the workloads of other products, made into workloads of wharf.
pub(crate) mod report;
pub(crate) mod run;
pub mod toolhive;
