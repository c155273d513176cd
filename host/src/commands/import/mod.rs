//! `import`: makes wharf workloads out of those of other products.
pub(crate) mod report;
pub(crate) mod run;
pub mod toolhive;
