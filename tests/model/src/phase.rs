//! [`Phase`] and its table, as `host/model/src/phase.rs` has them. The arrows between packages keep this one from
//! using the host's own.

/// What a workload was last recorded to be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A start has begun and is not ready yet.
    Starting,
    /// It was ready.
    Running,
    /// A stop has begun.
    Stopping,
    /// It ended as it was asked to.
    Stopped,
    /// Its removal has begun.
    Removing,
    /// It could not be started, or ended for good with a fault.
    Error,
}

/// What happens to a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A command starts it.
    StartBegun,
    /// The supervisor serves it.
    Ready,
    /// It did not become ready.
    StartFailed,
    /// A command stops it.
    StopBegun,
    /// The stop is done.
    Stopped,
    /// It ended with a fault and will not be restarted.
    Failed,
    /// A command removes it.
    RemoveBegun,
}

impl Phase {
    /// The phase after an event; nothing if it is refused.
    #[must_use]
    pub fn next(self, event: Event) -> Option<Self> {
        match (self, event) {
            (_, Event::RemoveBegun) => Some(Self::Removing),
            (Self::Removing, _) => None,
            (_, Event::StartBegun) => Some(Self::Starting),
            (_, Event::StopBegun) => Some(Self::Stopping),
            (Self::Starting | Self::Running, Event::Ready) => Some(Self::Running),
            (Self::Stopping | Self::Stopped, Event::Stopped) => Some(Self::Stopped),
            (Self::Starting, Event::StartFailed) | (Self::Running, Event::Failed) => Some(Self::Error),
            (_, Event::Ready | Event::Stopped | Event::StartFailed | Event::Failed) => None,
        }
    }

    /// Whether a command is under way, or was interrupted.
    #[must_use]
    pub fn is_transitional(self) -> bool {
        matches!(self, Self::Starting | Self::Stopping | Self::Removing)
    }
}
