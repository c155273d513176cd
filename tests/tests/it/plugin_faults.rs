//! plugin_faults
