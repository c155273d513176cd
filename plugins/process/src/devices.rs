//! The devices that every workload has. [`crate::guard`] does not count a user's home as private if it contains one of
//! them.

/// Devices that may be read and written.
pub(crate) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
