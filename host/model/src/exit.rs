//! How an exit is told to people.
use wharf_sdk::Exit;

/// How a workload ended, in words that follow its name.
pub fn how(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) if exit.reason.is_empty() => "ended".to_owned(),
        (None, None) => format!("ended: {}", exit.reason),
    }
}
