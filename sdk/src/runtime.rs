//! What the author of a runtime writes: one trait, and a small one for each optional ability.
//!
//! Every method may be called from several tasks at once, but never do two of `deploy`, `start`, `stop`, `remove`
//! and `recover` run at the same time for one uid: the SDK orders them, and a cancelled one has been dropped before
//! the next begins. All run on a Tokio runtime of the plugin's own, one for each name and endpoint, so any async crate
//! works in them; work that blocks goes to `tokio::task::spawn_blocking`. A panic becomes an error of that call.
use crate::types::{
    Confinement, DialOptions, Exit, Handle, Health, Instance, ListQuery, Listing, LogOptions, Observation,
    Pins, Result, Sought, StopOptions, Strangers, TakenOver, WorkloadSpec,
};
use crate::{ByteStream, Context};
use std::future::Future;

/// A runtime: something that runs workloads. `async fn` may be written for each of the methods.
pub trait Runtime: Send + Sync + Sized + 'static {
    /// Makes the runtime for one endpoint: the one in the context if there is one, else what this machine offers.
    /// Called once per process and endpoint, before all else. Makes no change to anything. An engine that does not
    /// answer is no error here: `health` tells.
    fn connect(context: Context) -> impl Future<Output = Result<Self>> + Send;

    /// Which engine answers, and how it was reached. Asked before each use of recorded workloads, so cheap.
    fn instance(&self) -> impl Future<Output = Result<Instance>> + Send;

    /// The verdict on the runtime, here and now: if it cannot be used, with the cause and, in a field of its own, the
    /// remedy.
    fn health(&self) -> impl Future<Output = Health> + Send;

    /// Whether `deploy` would accept this: a missing tool, an unknown kind, a value out of range is told here,
    /// before any side effect, naming the field. Makes no change.
    fn validate(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<()>> + Send;

    /// Makes everything that `start` needs, and runs none of the workload's code. What it makes carries host id and
    /// uid. On an error, or when dropped, nothing stays behind. The host stores the handle before it calls `start`.
    fn deploy(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Handle>> + Send;

    /// Lets a deployed or stopped workload run. A running one: success, nothing done.
    fn start(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send;

    /// Ends the workload, all of it: asks first, and kills after the timeout. Stopped or missing: success.
    fn stop(&self, handle: &Handle, options: StopOptions) -> impl Future<Output = Result<()>> + Send;

    /// Removes whatever is left of the workload, killing it if it runs. Missing: success.
    fn remove(&self, handle: &Handle) -> impl Future<Output = Result<()>> + Send;

    /// The workload now. Missing is the error `not_found`, and positive evidence; an engine that does not answer is
    /// `unavailable`, and none.
    fn inspect(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send;

    /// The workloads of this host that the query asks for, running or not, found by their labels and never by name, in
    /// one request to the engine, with the instance that has them in the same answer. Asked for one workload before and
    /// after each change of it, so an engine is asked for that one alone, where it can be. A uid that is missing in a
    /// complete listing is positive evidence that there is no such workload; no row is of a uid that was not asked for.
    fn list(&self, query: &ListQuery) -> impl Future<Output = Result<Listing>> + Send;

    /// Resolves when the workload ends, at once if it has. Called for as long as the workload is watched; must not
    /// poll where the engine can tell.
    fn wait(&self, handle: &Handle) -> impl Future<Output = Result<Exit>> + Send;

    /// Takes a workload of an earlier process up again, by its stored handle, so that all other operations work on
    /// it. Refuses in words a version of handle that it does not know.
    fn recover(&self, handle: &Handle) -> impl Future<Output = Result<Observation>> + Send;
}

/// A runtime that has the logs of its workloads (ability `logs`).
pub trait Logs: Runtime {
    /// The workload's output (stderr, and stdout where it is not the protocol), oldest first.
    fn logs(&self, handle: &Handle, options: LogOptions) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime whose workloads can speak over stdin and stdout (ability `attach`).
pub trait Attach: Runtime {
    /// The workload's stdin and stdout. Called after `deploy` and before `start` for a new workload, so that
    /// nothing is missed, and once per start.
    fn attach(&self, handle: &Handle) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime that carries connections to the ports of its workloads (ability `dial`): where a port has no address on this
/// machine (a pod behind a port-forward, a virtual machine behind vsock, a server on a Unix socket), or need not have one.
/// It says [`crate::Address::Dial`] of a workload that is reached in no other way.
pub trait Dial: Runtime {
    /// A new connection to a port of a running workload, each call another one: whatever is written arrives at the server
    /// as it was written and in its order, and the other way round. The end of the writing side reaches the server as the
    /// end of its input, and nothing else ends; the server's end, and the workload's, end the reading side, and a
    /// connection that breaks off ends it with an error. Both sides may be dropped at any time, which ends the connection.
    ///
    /// # Errors
    /// [`crate::ErrorCode::NotFound`] where the workload is missing; `FailedPrecondition` where it does not run or nobody
    /// listens. A runtime that can find out only later returns a stream that ends.
    fn dial(&self, handle: &Handle, options: DialOptions) -> impl Future<Output = Result<ByteStream>> + Send;
}

/// A runtime that can tell what it is able to enforce here (ability `confine`).
pub trait Confine: Runtime {
    /// What holds a workload back on this machine, as this user, found out by trying it and not by the version of
    /// anything. Leaves nothing behind.
    fn confinement(&self) -> impl Future<Output = Result<Confinement>> + Send;
}

/// A runtime whose workloads use files of this machine by their names (ability `pin`).
pub trait Pin: Runtime {
    /// Where the names of files that this specification leads to lead now, as far as anything but the system's owner
    /// could make them lead elsewhere. Asked once for a workload, when it is created, before [`Runtime::validate`] (or
    /// at its next start, if an older version created it); what it says is in the specification ever after. Changes
    /// nothing.
    fn pin(&self, spec: &WorkloadSpec) -> impl Future<Output = Result<Pins>> + Send;
}

/// A runtime that can take over what others made (ability `takeover`).
///
/// What is taken over stays as it is: it carries neither host id nor uid. Its handle alone says whose it is, until
/// `remove` and `deploy` make the runtime's own of it. Every operation takes such a handle, and finds the resource only
/// while it is the one that `strangers` showed and no host of wharf has labelled it.
pub trait Takeover: Runtime {
    /// Everything with these labels that no host of wharf made, running or not, in one request. Changes nothing.
    fn strangers(&self, sought: &Sought) -> impl Future<Output = Result<Strangers>> + Send;

    /// The workloads with these handles, which `strangers` gave, in one request: what `list` cannot find by labels.
    /// Each carries the uid of its handle and the host id of the context. One that is gone is left out.
    fn taken(&self, taken: &TakenOver) -> impl Future<Output = Result<Listing>> + Send;
}
