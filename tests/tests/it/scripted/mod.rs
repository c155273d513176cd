//! Whole hosts on the scripted runtimes: engines that go away, change, lie, are slow or are shared.
mod asked;
mod away;
mod dialed;
mod late;
mod lies;
mod proof;
mod remote;
mod shared;
