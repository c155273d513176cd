//! What can be wrong with a plugin, and with a call to one.
use std::path::PathBuf;
use wharf_model::{Advice, Error, ErrorKind, chain};
use wharf_sdk::ErrorCode;

/// Why a library, or a runtime by name, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No library provides a runtime of that name.
    #[error("no plugin provides a runtime named '{name}'{}", available_text(.available, .nearest.as_deref(), .unusable))]
    UnknownRuntime {
        /// The name asked for.
        name: String,
        /// The names that there are.
        available: Vec<String>,
        /// The one that is spelled most like it.
        nearest: Option<String>,
        /// Libraries that were found and cannot be used: what was asked for may be in one of them.
        unusable: Vec<PathBuf>,
    },
    /// Two libraries of one folder provide the same name.
    #[error("two plugins in one folder provide the runtime '{name}': {} and {}; remove one of them", .first.display(), .second.display())]
    Duplicate {
        /// The name.
        name: String,
        /// One of the libraries.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file or a folder above it could be changed by somebody else.
    #[error("{} is not trusted", .path.display())]
    Untrusted {
        /// The library.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TrustError,
    },
    /// The file is no plugin for wharf.
    #[error("{} is not a wharf plugin: {why}", .path.display())]
    NotAPlugin {
        /// Which file.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// It is a plugin, and cannot work in this host.
    #[error("{} cannot be loaded: {why}", .path.display())]
    Incompatible {
        /// Which file.
        path: PathBuf,
        /// What does not fit, on both sides, and what to do.
        why: String,
    },
    /// The digest differs from the pinned one.
    #[error("{} has changed: its SHA-256 is {found}, and {pinned} is pinned in {}; if you replaced it, change the pin", .path.display(), .lock.display())]
    Digest {
        /// Which file.
        path: PathBuf,
        /// The digest of its bytes.
        found: String,
        /// The pinned one.
        pinned: String,
        /// The file with the pins.
        lock: PathBuf,
    },
    /// What the loaded library says of itself is not what its stamp says.
    #[error("{} says something else once loaded than its stamp does; rebuild it with the SDK's macro", .path.display())]
    StampDisagrees {
        /// Which file.
        path: PathBuf,
    },
    /// The library does not answer.
    #[error("{} did not answer within {deadline_ms} ms while it was being loaded", .path.display())]
    Hangs {
        /// Which file.
        path: PathBuf,
        /// The deadline.
        deadline_ms: u64,
    },
    /// The library ends the process that loads it: one that was started to try that did not come back.
    #[error("{} is not loaded, since the process that tried it {how}{}", .path.display(), words_text(.words))]
    Ends {
        /// Which file.
        path: PathBuf,
        /// How that process ended, in words that follow its name.
        how: String,
        /// The last that it said; empty where it said nothing.
        words: String,
    },
    /// The process that tried the library was ended from outside, as far as that can be told: it is tried again.
    #[error("{} is not loaded, since the process that tried it {how}; it is tried again by the next command", .path.display())]
    Interrupted {
        /// Which file.
        path: PathBuf,
        /// How that process ended, in words that follow its name.
        how: String,
    },
    /// The library waits for another one that is being loaded and does not come to an end.
    #[error("{} was not loaded within {deadline_ms} ms, because {} is still being loaded", .path.display(), .other.display())]
    Behind {
        /// Which file.
        path: PathBuf,
        /// The one that is at fault.
        other: PathBuf,
        /// The deadline.
        deadline_ms: u64,
    },
    /// The host's own trouble: no thread, no memory file.
    #[error("{} could not be set up", .path.display())]
    Host {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The runtime could not be connected.
    #[error("the runtime '{name}' cannot be connected")]
    Connect {
        /// Its name.
        name: String,
        /// What the plugin says.
        #[source]
        source: CallError,
    },
}

fn available_text(available: &[String], nearest: Option<&str>, unusable: &[PathBuf]) -> String {
    let mut text = match available {
        [] if unusable.is_empty() => "; no plugin was found at all".to_owned(),
        [] => String::new(),
        names => format!("; there are: {}", names.join(", ")),
    };
    if let Some(nearest) = nearest {
        text.push_str(&format!("; did you mean '{nearest}'?"));
    }
    if !unusable.is_empty() {
        let paths: Vec<String> = unusable.iter().map(|path| path.display().to_string()).collect();
        text.push_str(&format!("; these plugins cannot be used: {}", paths.join(", ")));
    }
    text
}

fn words_text(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}

/// Why a file is not trusted, naming the component of its path that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, and must belong to you or to root", .component.display())]
    Owner {
        /// The file or folder.
        component: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others can write to it.
    #[error("{} can be written by others (mode {mode:04o}); run: chmod go-w {}", .component.display(), .component.display())]
    Writable {
        /// The file or folder.
        component: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no ordinary file.
    #[error("{} is not a regular file", .component.display())]
    NotAFile {
        /// The path.
        component: PathBuf,
    },
    /// It cannot be examined.
    #[error("{} cannot be examined", .component.display())]
    Unreadable {
        /// The file or folder.
        component: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a call to a runtime gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The runtime answered with an error.
    #[error("{0}")]
    Answered(wharf_sdk::Error),
    /// No answer in time. Whether it was done is not known.
    #[error("'{operation}' gave no answer within {deadline_ms} ms; whether it was done is not known")]
    Deadline {
        /// The operation.
        operation: &'static str,
        /// The host's deadline.
        deadline_ms: u64,
    },
    /// An answer that makes no sense. The plugin is at fault; nothing may be concluded from it.
    #[error("the plugin's answer to '{operation}' makes no sense: {why}")]
    Malformed {
        /// The operation.
        operation: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The plugin is no longer there to answer.
    #[error("the plugin died while it was asked for '{operation}'")]
    Died {
        /// The operation.
        operation: &'static str,
    },
}

impl CallError {
    /// The code of an answered error.
    pub fn code(&self) -> Option<wharf_sdk::ErrorCode> {
        match self {
            Self::Answered(error) => Some(error.code),
            _ => None,
        }
    }
}

impl From<PluginError> for Error {
    fn from(error: PluginError) -> Self {
        let advice = match &error {
            PluginError::UnknownRuntime { .. }
            | PluginError::Untrusted { .. }
            | PluginError::Incompatible { .. } => Some(Advice::ListRuntimes),
            PluginError::Ends { path, .. } => Some(Advice::ForgetVerdict { path: path.clone() }),
            _ => None,
        };
        let shown = Self::new(ErrorKind::Owner, chain(&error));
        advice.into_iter().fold(shown, Self::advise)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::Answered(answered) => match answered.code {
                ErrorCode::Unavailable => ErrorKind::Owner,
                ErrorCode::Timeout | ErrorCode::Cancelled => ErrorKind::Deadline,
                ErrorCode::NotFound
                | ErrorCode::AlreadyExists
                | ErrorCode::InvalidArgument
                | ErrorCode::FailedPrecondition
                | ErrorCode::PermissionDenied
                | ErrorCode::Unsupported
                | ErrorCode::Internal => ErrorKind::Runtime,
            },
            CallError::Deadline { .. } => ErrorKind::Deadline,
            CallError::Malformed { .. } | CallError::Died { .. } => ErrorKind::Runtime,
        };
        Self::new(kind, chain(&error))
    }
}
