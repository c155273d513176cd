//! Fuzz targets of this package: messages on a control socket, and the SERVER that a user types. Called by `fuzz/` and by
//! the tests below.
use crate::client::messages::{Answer, Request};

/// A request or an answer is read or refused; one that was read is written and read again as the same.
///
/// # Panics
/// If it is not the same.
pub fn control_socket(input: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(input) {
        let text = serde_json::to_vec(&request).expect("a request can be written");
        assert_eq!(serde_json::from_slice::<Request>(&text).expect("a request can be read again"), request);
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(input) {
        let text = serde_json::to_vec(&answer).expect("an answer can be written");
        serde_json::from_slice::<Answer>(&text).expect("an answer can be read again");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_messages_stand_their_corpus() {
        wharf_fuzz_replay::replay("control_socket", super::control_socket);
    }
}
