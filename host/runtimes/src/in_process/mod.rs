//! A library of a runtime inside this process: the bytes that were checked are mapped, and the code is entered on a thread
//! of its own. Only [`crate::registry`] and [`crate::libraries`] use it.
pub(crate) mod calls;
pub(crate) mod copy;
pub(crate) mod exit;
pub(crate) mod handed_over;
pub(crate) mod host_services;
pub(crate) mod last_words;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod plugin_connection;
pub(crate) mod plugin_thread;
pub(crate) mod probe_process;
pub(crate) mod stream;
pub(crate) mod turn;
