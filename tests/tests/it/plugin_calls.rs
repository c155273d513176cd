//! plugin_calls
