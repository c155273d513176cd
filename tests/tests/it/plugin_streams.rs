//! plugin_streams
