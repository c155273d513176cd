//! Reports lines of the server that can be used for nothing in the log, with their beginning. A part of [`State`].
use tokio::time::Instant;

use crate::stdio::broker::State;
use crate::stdio::upstream::connection::excerpt;

impl State {
    /// Tells the log of a line that is no message.
    pub(crate) fn tell_no_message(&mut self, workload: &str, why: &str, line: &[u8], length: usize) {
        if let Some(not_logged) = self.no_messages.note(Instant::now()) {
            let line = excerpt(line);
            tracing::warn!(
                workload,
                why,
                bytes = length,
                not_logged,
                line,
                "the server wrote what is no message"
            );
        }
    }

    /// Tells the log of an answer whose id nobody gave.
    pub(crate) fn tell_stray_answer(&mut self, answer: &[u8]) {
        if let Some(not_logged) = self.stray_answers.note(Instant::now()) {
            tracing::warn!(
                not_logged,
                line = excerpt(answer),
                "the server answered with an id that no call has"
            );
        }
    }
}
