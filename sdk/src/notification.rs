//! The kinds of notifications that a plugin sends its host. Authors and hosts have them from [`crate::document`].

/// The kind of notification that is a log record.
pub const LOG: &str = "log";
/// The kind of notification that is an [`Event`](crate::document::Event).
pub const EVENT: &str = "event";
