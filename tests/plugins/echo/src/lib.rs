//! The runtime that the SDK's README shows, as its text is (`build.rs`).
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/echo.rs"));
