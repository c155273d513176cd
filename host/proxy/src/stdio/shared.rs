//! [`Shared`]: the part that clones of a proxy, its connections and its tasks share; and the end of a server's process.
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::admission::Gate;
use crate::http::budget::Budget;
use crate::protocol::options::ProxyOptions;
use crate::protocol::own_error::OUTPUT_ENDED;
use crate::stdio::broker::State;
use crate::stdio::client_capabilities::ClientCapabilities;
use crate::stdio::family::{Family, Kind, Source};
use crate::stdio::upstream::connection::Phase;

/// How long queued lines may take to reach a server whose stdin is being closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The part that clones of a proxy, its connections and its tasks share.
pub(crate) struct Shared {
    pub(crate) options: ProxyOptions,
    pub(crate) gate: Gate,
    /// The memory of the proxy.
    pub(crate) budget: Arc<Budget>,
    state: Mutex<State>,
    /// The connected server process.
    pub(crate) generation: watch::Sender<Option<u64>>,
    last_generation: AtomicU64,
    /// Told when there are sessions to watch over.
    pub(crate) watch: Arc<Notify>,
    sweeps: AtomicBool,
    /// Cancelled when the only session of an instance has ended.
    pub(crate) over: CancellationToken,
    pub(crate) kind: Kind<Self>,
    pub(crate) stop: CancellationToken,
    _stop: DropGuard,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("workload", &self.options.workload).finish_non_exhaustive()
    }
}

impl Shared {
    /// A proxy with a server for all sessions; with a source, a proxy that opens each session in a server of its own.
    pub(crate) fn new(options: ProxyOptions, source: Option<Box<dyn Source<Self>>>) -> Self {
        let budget = Budget::new(options.limits.memory_bytes);
        let kind = source.map_or(Kind::Alone, |source| Kind::Front(Family::new(source)));
        Self::made(options, budget, kind)
    }

    /// The proxy of one session, behind a proxy that has a server for each of them. The server is told what its client offers.
    pub(crate) fn instance(front: &Self, family: Arc<Family<Self>>, offered: Value) -> Self {
        let mut options = front.options.clone();
        options.client_capabilities.get_or_insert(offered);
        Self::made(options, front.budget.clone(), Kind::Instance(family))
    }

    fn made(options: ProxyOptions, budget: Arc<Budget>, kind: Kind<Self>) -> Self {
        let (stop, over) = (CancellationToken::new(), CancellationToken::new());
        let mut state = State::new(options.limits.clone(), budget.clone(), ClientCapabilities::default());
        state.operations = options.operations.clone();
        if let Kind::Instance(_) = kind {
            state.over = Some(over.clone());
        }
        let mut shared = Self {
            gate: Gate::new(&options),
            budget,
            state: Mutex::new(state),
            options,
            generation: watch::Sender::new(None),
            last_generation: AtomicU64::new(0),
            watch: Arc::new(Notify::new()),
            sweeps: AtomicBool::new(false),
            over,
            kind,
            _stop: stop.clone().drop_guard(),
            stop,
        };
        let declared = shared.declared_capabilities().to_string();
        let state = shared.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.declared = ClientCapabilities::from_json(Some(declared.as_bytes()));
        shared
    }

    /// The capabilities that wharf declares to the server. Of a shared one: neither union nor intersection of the clients',
    /// which come later; not roots, since one client would set another's directories.
    pub(crate) fn declared_capabilities(&self) -> Value {
        self.options
            .client_capabilities
            .clone()
            .unwrap_or_else(|| json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} } }))
    }

    /// Works on the state, makes room if that took more memory than the budget, then writes the queued lines to the server.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state);
        let is_alone = matches!(self.kind, Kind::Alone);
        if is_alone && self.budget.is_over() {
            state.free_memory();
        }
        let outbox = state.take_dirty_outbox();
        let resting = match &self.kind {
            Kind::Instance(family) if state.rests() => Some(family),
            _ => None,
        };
        drop(state);
        if let Some(outbox) = outbox {
            outbox.flush();
        }
        if let Some(family) = resting {
            family.rests.notify_one();
        }
        if !is_alone && self.budget.are_lines_over() {
            self.free_lines();
        }
        if !is_alone && self.budget.is_over() {
            self.free_memory();
        }
        result
    }

    /// Works on the state and nothing else.
    pub(crate) fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn next_generation(&self) -> u64 {
        self.last_generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// True if the sweeper is to be started, which is once.
    pub(crate) fn begins_sweeping(&self) -> bool {
        !self.sweeps.swap(true, Ordering::Relaxed)
    }

    /// The server's output has ended, or the server is given up.
    pub(crate) fn generation_ended(&self, generation: u64) {
        let ended = self.with(|state| {
            if state.upstream.as_ref().is_none_or(|upstream| upstream.generation != generation) {
                return None;
            }
            let upstream = state.upstream.take();
            state.last_junk = upstream.as_ref().and_then(|upstream| upstream.junk.excerpt.clone());
            state.fail_everything(OUTPUT_ENDED);
            upstream
        });
        if ended.is_some() {
            tracing::debug!(workload = %self.options.workload, generation, "the server's output has ended");
            self.generation.send_replace(None);
        }
    }

    /// The server's input may have broken: a server that can hear nothing is over, though its output is open.
    /// During the handshake its output decides, which may say why; afterwards this is asked again.
    pub(crate) fn input_ended(&self, generation: u64) {
        let is_over = self.with(|state| {
            state.upstream.as_ref().is_some_and(|upstream| {
                upstream.generation == generation
                    && upstream.phase == Phase::Ready
                    && upstream.outbox.is_broken()
            })
        });
        if is_over {
            tracing::warn!(workload = %self.options.workload, "the server has closed its input");
            self.generation_ended(generation);
        }
    }

    pub(crate) async fn close_upstream(&self, reason: &str) {
        let outbox = self.with(|state| {
            let upstream = state.upstream.as_mut()?;
            if std::mem::replace(&mut upstream.phase, Phase::Closing) == Phase::Closing {
                return None;
            }
            let outbox = upstream.outbox.clone();
            state.fail_everything(reason);
            Some(outbox)
        });
        if let Some(outbox) = outbox {
            outbox.close(CLOSE_WITHIN).await;
        }
    }
}
