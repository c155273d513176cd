//! `version`.
use super::console::{Console, Format};
use super::environment;
use super::failure::{DONE, Outcome};
use super::installation::Installation;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use wharf_sdk::stamp::{ABI_VERSION, RUSTC, SDK_VERSION, TARGET};

const EXAMPLES: &str = "Examples:
  wharf version
  wharf version --format json";

/// Show the versions of wharf and of its plugin interface, and what was installed where
///
/// JSON: an object of version, abi, sdk, rustc, target, executable, installation.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Version {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// The versions of wharf and of its plugin interface, and where they are.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct Versions {
    /// Of wharf.
    version: &'static str,
    /// Of the interface between wharf and plugins.
    abi: &'static str,
    /// Of the SDK.
    sdk: &'static str,
    /// The compiler that built it.
    rustc: &'static str,
    /// The target that it was built for.
    target: &'static str,
    /// The executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<PathBuf>,
    /// What was installed with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    installation: Option<Installation>,
}

impl Version {
    pub(super) fn execute(&self, console: &Console) -> Outcome {
        let executable = environment::executable().ok().filter(|path| path.to_str().is_some());
        let versions = Versions {
            version: env!("CARGO_PKG_VERSION"),
            abi: ABI_VERSION,
            sdk: SDK_VERSION,
            rustc: RUSTC,
            target: TARGET,
            installation: executable.as_deref().and_then(Installation::of),
            executable,
        };
        match self.format {
            Format::Json => console.json(&versions)?,
            Format::Text => {
                console.line(&format!(
                    "wharf {}\nplugin interface {} (SDK {})\nbuilt by {} for {}",
                    versions.version, versions.abi, versions.sdk, versions.rustc, versions.target
                ))?;
                if let Some(executable) = &versions.executable {
                    console.line(&format!("executable {}", executable.display()))?;
                }
                for line in versions.installation.iter().flat_map(Installation::lines) {
                    console.line(&line)?;
                }
            }
        }
        Ok(DONE)
    }
}
