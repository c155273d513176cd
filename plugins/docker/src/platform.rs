//! [`Platform`]: what an image is for, and what an engine runs.

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
}
