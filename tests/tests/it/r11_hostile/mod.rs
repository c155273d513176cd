//! Hostile surroundings: full disks, read-only ones, careless umasks, corrupt records, too few descriptors, clocks that
//! jump, reboots.
mod clocks;
mod descriptors;
mod disks;
mod files;
mod flood;
mod logs;
mod reboots;
mod tools;
mod users;
