//! [`Departed`]: the sessions that have ended while the server may still have been at work for them.
use std::collections::HashMap;

use tokio::time::Instant;

use crate::stdio::session::SessionId;
use crate::stdio::work::Work;

/// Sessions that have ended while the server may still have been at work for them.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    pub(crate) by_session: HashMap<SessionId, (Instant, Work)>,
    /// Until then, work of a session that is not remembered may go on.
    pub(crate) unknown_until: Option<Instant>,
}
