//! Words for an exit. Supervisors and commands use them.
use wharf_sdk::Exit;

/// The exit in words that follow the workload's name.
pub fn how(exit: &Exit) -> String {
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    if exit.reason.is_empty() { how } else { format!("{how}: {}", exit.reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_with_its_cause() {
        let exit = |code, reason: &str| Exit { code, reason: reason.to_owned(), ..Exit::default() };
        assert_eq!(how(&exit(Some(137), "out of memory")), "exited with code 137: out of memory");
        assert_eq!(how(&exit(Some(3), "")), "exited with code 3");
        assert_eq!(how(&exit(None, "the machine was restarted")), "ended: the machine was restarted");
        assert_eq!(how(&Exit::default()), "ended");
    }
}
