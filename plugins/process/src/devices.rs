//! The devices that every workload has. No home is private that holds one of them.

/// Devices that may be read and written.
pub(crate) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
