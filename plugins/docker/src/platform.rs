//! [`Platform`]: what an image is for, and what an engine runs.
use wharf_sdk::{Error, Result};

/// A platform, as `OS/ARCHITECTURE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
}

impl Platform {
    /// With the words of images, whatever the engine's own are.
    pub(crate) fn new(os: &str, architecture: &str) -> Self {
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i686" | "i386" => "386",
            other => other,
        };
        Self { os: os.to_owned(), architecture: architecture.to_owned() }
    }

    /// The one that the user asked for. Its variant, if it names one, is checked and left out: images do not tell theirs in
    /// one form.
    pub(crate) fn parse(given: &str) -> Result<Self> {
        let is_part = |part: &&str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        let parts: Vec<&str> = given.split('/').collect();
        match parts[..] {
            [os, architecture] | [os, architecture, _] if parts.iter().all(is_part) => {
                Ok(Self::new(&os.to_ascii_lowercase(), &architecture.to_ascii_lowercase()))
            }
            _ => Err(Error::invalid(format!(
                "'{}' is no platform; write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/arm64 or linux/arm/v7",
                given.escape_default()
            ))),
        }
    }

    /// That of this process.
    pub(crate) fn here() -> Self {
        Self::new("linux", std::env::consts::ARCH)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_has_one_name() {
        assert_eq!(Platform::new("linux", "x86_64"), Platform::new("linux", "amd64"));
        assert_eq!(Platform::new("linux", "aarch64").to_string(), "linux/arm64");
    }

    #[test]
    fn a_platform_has_two_parts_or_three() {
        let parsed = |given: &str| Platform::parse(given).map(|platform| platform.to_string());
        for (given, platform) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/arm/v7", "linux/arm"),
            ("Linux/x86_64", "linux/amd64"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(parsed(given).unwrap(), platform);
        }
        for given in [
            "",
            " ",
            "foo",
            "linux/",
            "/amd64",
            "linux//v8",
            "linux/amd64/",
            "linux/amd64/v8/x",
            "linux/am d",
        ] {
            let error = parsed(given).unwrap_err();
            assert_eq!(error.code, wharf_sdk::ErrorCode::InvalidArgument, "{given}");
            assert!(error.message.contains(&format!("'{given}'")), "{error}");
            assert!(
                error.message.contains("OS/ARCHITECTURE") && error.message.contains("linux/arm64"),
                "{error}"
            );
        }
    }
}
