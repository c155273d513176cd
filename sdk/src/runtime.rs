//! The traits that the author of a runtime implements: [`Runtime`], and a small one for each optional ability.
//!
//! Every method may be called from several tasks at once, but never do two of `deploy`, `start`, `stop`, `remove` and
//! `recover` run at the same time for one uid: the SDK orders them, and a cancelled one has been dropped before the next
//! begins. All run on a Tokio runtime of the plugin's own, one for each name and endpoint, so any async crate works in
//! them; work that blocks goes to `tokio::task::spawn_blocking`. A panic becomes an error of that call.
use crate::types::{
    Confinement, DialOptions, Exit, ForeignListing, Handle, Health, Instance, LabelSelector, ListQuery,
    Listing, LogOptions, NetworkVerdict, Observation, Pins, Result, StopOptions, WorkloadSpec,
};
use crate::{ByteStream, Context};
use std::future::Future;

/// A runtime runs workloads. `async fn` may be written for each of the methods.
pub trait Runtime: Send + Sync + Sized + 'static {
    /// Makes the runtime for one endpoint: the one in the context if there is one, else the one that this machine offers.
    /// The SDK calls it once per process and endpoint, before all else. It changes nothing. An engine that does not answer
    /// is no error here: `health` reports it.
    fn connect(context: Context) -> impl Future<Output = Result<Self>> + Send;

    /// The engine that answers, and how it was reached. The host asks before each use of recorded workloads, so the call
    /// must be cheap.
    fn instance(&self) -> impl Future<Output = Result<Instance>> + Send;

    /// Whether the runtime can be used here and now; if not, the cause and, in a field of its own, the remedy.
    fn health(&self) -> impl Future<Output = Health> + Send;

    /// Whether `deploy` would accept this specification. A missing tool, an unknown kind or a value out of range is refused
    /// here, before any side effect, with the name of the field. It changes nothing. A runtime with the ability `pin` is
    /// asked for its pins instead where a workload is created ([`Pin::pin`]).
    fn validate(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything that `start` needs, and runs none of the workload's code. Everything that it makes carries host id
    /// and uid. On an error, or when the future is dropped, nothing stays behind: if an engine may still make what it was
    /// asked for, a task of the author's removes it, and a `list` with this uid is not answered before that task has ended
    /// ([`crate::keyed_lock::KeyedLock::until_free`]). The host stores the handle before it calls `start`.
    fn deploy(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Handle>> + Send;

    /// Lets a deployed or stopped workload run. If it runs already, that is a success, and nothing is done.
    fn start(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send;

    /// Ends the whole workload: asks it to end, and kills it after the timeout. Success if it is stopped or missing.
    fn stop(&self, handle: &Handle, options: StopOptions) -> impl Future<Output = Result<()>> + Send;

    /// Removes everything that the runtime has of the workload, killing it if it runs. Success if it is missing.
    fn remove(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send;

    /// The present state of the workload. A missing workload is the error `not_found`, which is positive evidence; an
    /// engine that does not answer is `unavailable`, which is no evidence.
    fn inspect(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send;

    /// The workloads of this host that the query asks for, running or not, found by their labels and never by name, in one
    /// request to the engine, with the instance that has them in the same answer. The host asks about one workload before
    /// and after each change of it, so a runtime should ask its engine for that one alone, where the engine can do so. A
    /// uid that is missing in a complete listing is positive evidence that there is no such workload; no row is of a uid
    /// that was not asked for.
    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Listing>> + Send;

    /// Resolves when the workload ends, at once if it has ended. The host calls it for as long as it watches the workload.
    /// It must not poll where the engine can report the end. Of an engine that restarts workloads by itself, the answer says
    /// whether it does so after this end ([`Exit::restarts`]).
    fn wait(&self, handle: &Handle) -> impl Future<Output = Result<Exit>> + Send;

    /// Finds, by its stored handle, a workload that an earlier process deployed, so that all other operations work on it. A
    /// handle of a version that the plugin does not know is refused, with the version in the message.
    fn recover(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send;
}

/// A runtime that has the logs of its workloads (ability `logs`).
pub trait Logs: Runtime {
    /// The workload's output (stderr, and stdout where it is not the protocol), oldest first.
    fn logs(&self, handle: &Handle, options: LogOptions) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime whose workloads can speak over stdin and stdout (ability `attach`).
pub trait Attach: Runtime {
    /// The workload's stdin and stdout. The host calls it after `deploy` and before `start` for a new workload, so that
    /// nothing is missed, and once per start.
    fn attach(&self, handle: &Handle) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime that carries connections to the ports of its workloads (ability `dial`): for ports that have no address on
/// this machine (a pod behind a port-forward, a virtual machine behind vsock, a server on a Unix socket), or need not have
/// one. Such a runtime gives [`crate::Address::Dial`] as the address of a workload that cannot be reached in any other way.
pub trait Dial: Runtime {
    /// Makes a new connection to a port of a running workload. Bytes arrive at the server in the order in which they were
    /// written, and the other way round. When the host closes its writing side, the server reads the end of its input, and
    /// nothing else ends ([`crate::Capability::DIAL_HALF_CLOSE`]; without it the host closes no side, and only drops both).
    /// When the server or the workload ends, the host's reading side ends; if the connection breaks, it ends with an error.
    /// The host may drop either side at any time, which ends the connection.
    ///
    /// # Errors
    /// [`crate::ErrorCode::NotFound`] where the workload is missing; `FailedPrecondition` where it does not run or nobody
    /// listens. A runtime that can find out only later returns a stream that ends.
    fn dial(&self, handle: &Handle, options: DialOptions) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime that can tell which confinement it is able to enforce here (ability `confine`).
pub trait Confine: Runtime {
    /// The confinement that the runtime can enforce on this machine, as this user. It finds out by trying, not from a
    /// version. Leaves nothing behind.
    fn confinement(&self) -> impl Future<Output = Result<Confinement>> + Send;
}

/// A runtime whose workloads use files of this machine by their names (ability `pin`).
pub trait Pin: Runtime {
    /// Resolves the names of files in this specification: where each leads now, as far as anybody but the system's owner
    /// could make it lead elsewhere. The host asks once for a workload, when it is created (or at its next start, if an
    /// older version created it), and passes the answer in every later specification. It refuses what
    /// [`Runtime::validate`] refuses, in the same words: at a creation the host asks only for the pins, so that a runtime
    /// that makes sure of both in one go does so once. Changes nothing.
    fn pin(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Pins>> + Send;
}

/// A runtime that can show resources that others made (ability `discover`). An import asks each such runtime which of another
/// product's workloads it has: if one alone shows a workload, and all others have answered completely, that one has it.
pub trait Discover: Runtime {
    /// All resources with these labels that no host of wharf made, running or not, in one request. Changes nothing.
    fn discover(&self, selector: &LabelSelector) -> impl Future<Output = Result<ForeignListing>> + Send;
}

/// A runtime that can try out what no interface of its engine tells (ability `probe`).
pub trait Probe: Runtime {
    /// Tries out whether the instance enforces the rules by which this runtime closes the networks of workloads: a connection
    /// that succeeds without a rule must fail under it. Called when a user asks for it. What it makes for that carries the
    /// host's id, and nothing of it stays, also if the future is dropped.
    ///
    /// # Errors
    /// It cannot be tried out, such as where the connection fails without the rule, too: then there is no verdict.
    fn probe_network(&self) -> impl Future<Output = Result<NetworkVerdict>> + Send;
}
