//! The sandbox of a workload: which parts of it can be enforced, and how they are. Called by the launcher, by init and by
//! the exec helper. It must not know which files and ports a profile means: the plugin decides that.
//!
//! ```text
//! launcher:     Plan::of(job) --> the parts that hold, those that do not, or a refusal;  cgroup::make
//! exec helper:  apply(plan): files and ports (Landlock), privileges (capabilities), system calls (seccomp)
//! ```
//!
//! The launcher finds out which parts can be enforced before it promises any. The exec helper enforces all of them on
//! itself, directly before it executes the program, or does not execute it. Each layer works without the others:
//!
//! | part | enforced by |
//! |---|---|
//! | files | Landlock: an allow-list ([`opened`]); nothing else can be opened, made, renamed or removed |
//! | ports | Landlock for TCP, the system call filter for all other protocols |
//! | other processes | Landlock: no signal, no tracing, no abstract socket beyond the workload |
//! | privileges | `no_new_privs`, every set of capabilities emptied and locked |
//! | system calls | seccomp, an allow-list ([`syscalls`]) |
//! | set-id bits | seccomp: on no file, by no call that sets a mode ([`modes`]); on a folder by the launcher ([`crate::sharing`]) |
//! | visible processes and files, and the end of all processes | namespaces of processes, mounts, IPC, network, where they can be made ([`namespaces`]) |
//! | memory, processors, processes | control groups, version 2 or 1 ([`cgroup`]) |
//!
//! Landlock does not restrict metadata: names and attributes of files are visible outside of the list too, and without a
//! mount namespace, attributes of the user's own files can be changed.
pub(crate) mod cgroup;
mod kernel;
pub(crate) mod listener;
mod loopback;
mod modes;
mod mounts;
pub(crate) mod namespace_spec;
pub(crate) mod namespaces;
mod opened;
mod plan;
mod privileges;
pub(crate) mod processes;
mod rules;
mod syscalls;
mod verify;

pub(crate) use opened::{Exchanged, Opened};
pub(crate) use plan::{Plan, Refusal};
pub(crate) use privileges::drop_all as drop_privileges;
pub(crate) use verify::escaped;
