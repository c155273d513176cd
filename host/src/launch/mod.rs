//! launch (placeholder until its room is built).
pub const LAUNCHER_ARGUMENT: &str = "__launch";
