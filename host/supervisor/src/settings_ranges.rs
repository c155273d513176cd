//! The numbers that settings may have, each once: `settings_check.rs` refuses what a user writes beyond them, and `config.rs` holds
//! to them whatever a `Config` was filled from.
use std::ops::RangeInclusive;

pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;
pub(crate) const WEEK_MS: u64 = 7 * DAY_MS;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// `list_timeout_ms`: within less nobody answers.
pub const LIST_TIMEOUT_MS: RangeInclusive<u64> = 100..=HOUR_MS;
/// `proxy.memory_bytes`: what a proxy needs to hold anything, and more than any machine should give one.
pub(crate) const MEMORY_BYTES: RangeInclusive<u64> = 4 << 20..=64 << 30;
/// `proxy.session_idle_ms`.
pub(crate) const SESSION_IDLE_MS: RangeInclusive<u64> = 1000..=WEEK_MS;
/// `proxy.sessions` and `proxy.session_servers`.
pub(crate) const COUNT: RangeInclusive<u16> = 1..=u16::MAX;
