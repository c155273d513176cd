//! plugin_refusals
