//! A hundred processes on the same few names of three runtimes at the same time, and some fewer with Docker and Podman
//! among these: demonstration 7 of the ownership contract.
mod commands;
mod hundred;
mod quiet;
mod setup;
mod updates;
