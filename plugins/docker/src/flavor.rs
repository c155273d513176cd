//! [`Flavor`]: Docker or Podman.

/// The two kinds of engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    Docker,
    Podman,
}

impl Flavor {
    /// The runtime's name.
    pub(crate) const fn runtime(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// The engine's name.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        }
    }
}
