//! Records as files below one state directory: the store, how a file is written, the locks as byte ranges.
pub(crate) mod atomic;
pub(crate) mod byte_lock;
pub(crate) mod document;
pub(crate) mod file_stamp;
pub(crate) mod folder;
pub(crate) mod host_id;
pub(crate) mod inotify;
pub(crate) mod listing;
pub(crate) mod lock_waiters;
pub(crate) mod locks;
pub(crate) mod own_files;
pub(crate) mod proxy_secret;
pub(crate) mod recent;
pub(crate) mod removal;
pub(crate) mod shelf;
pub(crate) mod state_dir;
pub(crate) mod store;
mod store_secrets;
mod store_shown;

#[cfg(test)]
mod locks_tests;
#[cfg(test)]
mod proxy_secret_tests;
#[cfg(test)]
mod records_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_process;
