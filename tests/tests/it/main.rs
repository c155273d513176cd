//! One test binary for the whole package; a module for each subject.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests, which clippy does not see")]
mod arrows;
mod plugin_calls;
mod plugin_faults;
mod plugin_loading;
mod plugin_mapping;
mod plugin_refusals;
mod plugin_streams;
