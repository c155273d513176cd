//! `wharf serve`: the binary, real workloads, and clients that speak HTTP.
mod attacked;
mod cost;
mod created;
mod editing;
mod events;
mod gate;
mod logs;
mod main_job;
mod metrics;
mod operations;
mod places;
mod plugins;
mod reconciling;
mod rig;
mod slow_disk;
mod unit;
