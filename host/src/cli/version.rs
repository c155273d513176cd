//! `version`.
use super::console::{Console, Format};
use super::failure::{DONE, Outcome};
use clap::Args;
use serde::Serialize;
use wharf_sdk::stamp::{ABI_VERSION, RUSTC, SDK_VERSION, TARGET};

/// Show the versions of wharf and of its plugin interface
///
/// JSON: an object of version, abi, sdk, rustc, target.
#[derive(Args)]
pub(super) struct Version {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Serialize)]
struct Versions {
    version: &'static str,
    abi: &'static str,
    sdk: &'static str,
    rustc: &'static str,
    target: &'static str,
}

impl Version {
    pub(super) fn execute(&self, console: &Console) -> Outcome {
        let versions = Versions {
            version: env!("CARGO_PKG_VERSION"),
            abi: ABI_VERSION,
            sdk: SDK_VERSION,
            rustc: RUSTC,
            target: TARGET,
        };
        match self.format {
            Format::Json => console.json(&versions)?,
            Format::Text => console.line(&format!(
                "wharf {}\nplugin interface {} (SDK {})\nbuilt by {} for {}",
                versions.version, versions.abi, versions.sdk, versions.rustc, versions.target
            ))?,
        }
        Ok(DONE)
    }
}
