//! The runtime in the SDK's README, taken from its text (`build.rs`).
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/echo.rs"));
