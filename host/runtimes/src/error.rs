//! The errors of plugins, and of calls to them.
use std::path::PathBuf;
use wharf_model::{Advice, Error, ErrorKind};
use wharf_sdk::ErrorCode;

/// The reason why a library, or a runtime of a name, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No library provides a runtime of that name.
    #[error("no plugin provides a runtime named '{name}'{}", available_text(.available, .nearest.as_deref(), .unusable))]
    UnknownRuntime {
        /// The name asked for.
        name: String,
        /// The names that plugins provide.
        available: Vec<String>,
        /// The available name that is closest to it.
        nearest: Option<String>,
        /// Libraries that were found and cannot be used; one of them may provide the runtime.
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
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file or a folder above it could be changed by somebody else.
    #[error("{} is not trusted", .path.display())]
    Untrusted {
        /// The library.
        path: PathBuf,
        /// The reason.
        #[source]
        source: TrustError,
    },
    /// The file is no plugin for wharf.
    #[error("{} is not a wharf plugin: {why}", .path.display())]
    NotAPlugin {
        /// The file.
        path: PathBuf,
        /// The part that is missing or wrong.
        why: String,
    },
    /// The file is a plugin, but cannot work in this host.
    #[error("{} cannot be loaded: {why}", .path.display())]
    Incompatible {
        /// The file.
        path: PathBuf,
        /// The values that do not fit, on both sides, and the remedy.
        why: String,
    },
    /// The digest differs from the pinned one.
    #[error("{} has changed: its SHA-256 is {found}, and {pinned} is pinned in {}; if you replaced it, change the pin", .path.display(), .lock.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest of its bytes.
        found: String,
        /// The pinned one.
        pinned: String,
        /// The file with the pins.
        lock: PathBuf,
    },
    /// The loaded library describes itself otherwise than its manifest does.
    #[error("{} says something else once loaded than its manifest does; rebuild it with the SDK's macro", .path.display())]
    ManifestDisagrees {
        /// The file.
        path: PathBuf,
    },
    /// The library did not answer in time. A busy machine looks the same.
    #[error("{} did not load within {} s: this machine is busy, or the library hangs", .path.display(), .deadline_ms / 1000)]
    Hangs {
        /// The file.
        path: PathBuf,
        /// The deadline.
        deadline_ms: u64,
    },
    /// The library ends the process that loads it: a child process that tried it did not survive.
    #[error("{} is not loaded, since the process that tried it {how}{}", .path.display(), words_text(.words))]
    Ends {
        /// The file.
        path: PathBuf,
        /// The end of that process, in words that follow its name.
        how: String,
        /// The last line that it wrote; empty if it wrote none.
        words: String,
    },
    /// The child process that tried the library was probably ended from outside. The library is tried again.
    #[error("{} is not loaded, since the process that tried it {how}; it is tried again by the next command", .path.display())]
    Interrupted {
        /// The file.
        path: PathBuf,
        /// The end of that process, in words that follow its name.
        how: String,
    },
    /// Another library is being loaded and does not come to an end; this one had to wait for it.
    #[error("{} did not load within {} s, because {} is still being loaded: this machine is busy, or that library hangs", .path.display(), .deadline_ms / 1000, .other.display())]
    Behind {
        /// The file.
        path: PathBuf,
        /// The library that is at fault.
        other: PathBuf,
        /// The deadline.
        deadline_ms: u64,
    },
    /// The host itself failed: it got no thread, or no memory file.
    #[error("{} could not be set up", .path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The runtime could not be connected.
    #[error("the runtime '{name}' cannot be connected")]
    Connect {
        /// Its name.
        name: String,
        /// The plugin's error.
        #[source]
        source: CallError,
    },
}

/// The way on where a library was not loaded in time.
const SLOW: &str = "try again in a minute; if it stays so on a machine at rest, replace the library";

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

/// The reason why a file is not trusted, with the part of its path that is at fault.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, and must belong to you or to root", .component.display())]
    Owner {
        /// The file or folder.
        component: PathBuf,
        /// The user.
        owner: u32,
    },
    /// Other users can write to it.
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
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// The reason why a call to a runtime gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The runtime answered with an error.
    #[error("{0}")]
    Answered(wharf_sdk::Error),
    /// There was no answer in time. Whether the operation took effect is unknown.
    #[error("'{operation}' gave no answer within {deadline_ms} ms; whether it was done is not known")]
    Deadline {
        /// The operation.
        operation: &'static str,
        /// The host's deadline.
        deadline_ms: u64,
    },
    /// The answer makes no sense. The plugin is at fault; nothing may be concluded from the answer.
    #[error("the plugin's answer to '{operation}' makes no sense: {why}")]
    Malformed {
        /// The operation.
        operation: &'static str,
        /// The fault.
        why: String,
    },
    /// The plugin ended before it answered.
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
            PluginError::Hangs { .. } | PluginError::Behind { .. } => Some(Advice::note(SLOW)),
            _ => None,
        };
        let shown = Self::from_cause(ErrorKind::Owner, &error);
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
        Self::from_cause(kind, &error)
    }
}
