//! Whole hosts on the scripted runtimes: engines that go away, change, lie, are slow or are shared.
mod away;
mod late;
mod lies;
mod proof;
mod remote;
mod shared;
