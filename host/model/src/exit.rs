//! Words for an exit. Supervisors and commands use them.
use wharf_sdk::Exit;

/// The exit in words that follow the workload's name.
pub fn how(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) if exit.reason.is_empty() => "ended".to_owned(),
        (None, None) => format!("ended: {}", exit.reason),
    }
}
