//! Tells a client how far something is, if it asked for that.
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use tokio::sync::mpsc;
use wharf_supervisor::Progress;

/// Steps that wait to be told; more are left out.
const WAITING_MAX: usize = 16;

/// The steps of one call.
pub(super) struct Steps(Option<mpsc::Sender<Told>>);

struct Told {
    message: String,
    amount: Option<(u64, u64)>,
}

impl Steps {
    /// For a call; they are told as long as this lives.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let Some(token) = context.meta.get_progress_token() else { return Self(None) };
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(tell(context.peer.clone(), token, receiver));
        Self(Some(sender))
    }

    fn tell(&self, message: &str, amount: Option<(u64, u64)>) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(Told { message: message.to_owned(), amount });
        }
    }
}

async fn tell(peer: rmcp::Peer<RoleServer>, token: ProgressToken, mut steps: mpsc::Receiver<Told>) {
    // Progress only ever grows: a step is one, and what is done of it a part of that.
    let (mut step, mut last) = (0.0_f64, String::new());
    while let Some(Told { message, amount }) = steps.recv().await {
        if message != last {
            step += 1.0;
            last.clone_from(&message);
        }
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let part =
            amount.map_or(0.0, |(done, total)| 0.99 * (done.min(total) as f64 / (total.max(1) as f64)));
        let mut told = ProgressNotificationParam::new(token.clone(), step + part);
        told.message = Some(message);
        if peer.notify_progress(told).await.is_err() {
            return;
        }
    }
}

impl Progress for Steps {
    fn step(&mut self, message: &str) {
        self.tell(message, None);
    }

    fn amount(&mut self, message: &str, done: u64, total: u64) {
        self.tell(message, Some((done, total)));
    }
}
