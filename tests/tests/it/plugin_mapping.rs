//! plugin_mapping
