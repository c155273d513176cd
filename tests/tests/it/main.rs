//! One test binary for the whole package; a module for each subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod adopting;
mod arrows;
mod bad_input;
mod capabilities;
mod circles;
mod conformance;
mod containers;
mod foreground;
mod forgetting;
mod importing;
mod interruptions;
mod listing_cost;
mod main_job;
mod mapped;
mod plugin_calls;
mod plugin_ends;
mod plugin_faults;
mod plugin_last_words;
mod plugin_loading;
mod plugin_mapping;
mod plugin_refusals;
mod plugin_streams;
mod processes;
mod r11_contention;
mod r11_crash_points;
mod r11_hostile;
mod real_servers;
mod reconciling;
mod sandbox;
mod scripted;
mod sdk_readme;
mod seclusion;
mod untold;
mod watching;
