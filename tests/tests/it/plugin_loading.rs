//! plugin_loading
