//! `kill -9` at every named point between two effects, by enumeration and then at random: demonstration 6 of the ownership
//! contract. And every effect that can fail, failing ([`faults`]).
//!
//! A [`lab::Lab`] is one host with one workload, on the process runtime, on the scripted one with bystanders on the others,
//! or on Docker or Podman beside a process. An [`act::Act`] is a command with the state before it. A scenario is an act in
//! which one process is killed at one point; then [`check`] demands that nothing is lost, that the next command finishes or
//! undoes the interrupted one, and that nothing is left after a removal. `WHARF_TEST_REPORT=FILE` writes a line for each
//! kill, with the state right after it and the effects of the next commands, and how often a process died at each point;
//! [`selection`] has the variables that leave kills out, repeat them and fix their order.
mod act;
mod beside;
mod check;
mod enumeration;
mod faults;
mod kill;
mod lab;
mod next;
mod random;
mod report;
mod selection;
