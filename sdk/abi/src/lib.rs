//! The frozen binary interface between wharf and its runtime plugins.
//!
//! Nobody writes against this crate: plugin authors use `wharf-sdk`, whose `export_runtime!` implements it, and the host
//! uses it from `host/runtimes` alone. It holds one root module and three trait objects with a handful of coarse
//! operations, and **none of them ever changes**: `abi_stable` accepts growth in one direction only (a newer host refuses
//! an older plugin), so whatever evolves is a JSON document inside an `RString`, under serde's rules and not under layout
//! rules. The package's name and major version are themselves part of the layout check.
//!
//! Rules that both sides rely on:
//! - Nothing unwinds across: the SDK catches panics before they reach an entry of these vtables.
//! - Memory is freed on the side that allocated it: all types here carry their own destructor.
//! - A dropped future is a cancellation. Its drop may only signal; the author's values are dropped by the plugin.
//! - Nothing is ever unloaded.
#![expect(unsafe_code, reason = "abi_stable's derives write the unsafe glue of the stable ABI")]
#![expect(non_camel_case_types, reason = "abi_stable names its prefix references NAME_Ref")]
#![expect(non_local_definitions, reason = "abi_stable's derives place impls in inner scopes")]

use abi_stable::{
    StableAbi, declare_root_module_statics,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RResult, RString, RVec},
};
pub use async_ffi::FfiFuture;

/// The version of this interface, as the stamp of a plugin names it.
pub const ABI_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A JSON document, or a JSON error document.
pub type Reply = RResult<RString, RString>;

/// One runtime of a plugin, reached through one endpoint.
#[sabi_trait]
pub trait Plugin: Send + Sync + 'static {
    /// Runs the named operation on a document and answers with a document. Returns at once.
    fn call(&self, operation: RString, document: RString) -> FfiFuture<Reply>;

    /// Opens a byte stream (logs, attached stdio). Returns at once.
    fn open(&self, operation: RString, document: RString) -> FfiFuture<RResult<StreamBox, RString>>;

    /// Ends the plugin's tasks in this process within `deadline_ms`; workloads stay as they are.
    #[sabi(last_prefix_field)]
    fn shut_down(&self, deadline_ms: u64) -> FfiFuture<()>;
}

/// A byte stream with both directions apart from each other.
#[sabi_trait]
pub trait Stream: Send + Sync + 'static {
    /// The next bytes, at most `max`; empty at the end. One read at a time.
    fn read(&self, max: u32) -> FfiFuture<RResult<RVec<u8>, RString>>;

    /// Hands bytes over; resolves when there is room for more (back-pressure).
    fn write(&self, bytes: RVec<u8>) -> FfiFuture<RResult<(), RString>>;

    /// Half-close: no more writes; reading goes on.
    fn finish(&self) -> FfiFuture<RResult<(), RString>>;

    /// If the stream is a pair of plain descriptors of this process: reading end, writing end (-1 for none). The caller
    /// owns them from then on, and uses no other method. Empty if it is no such pair, or if they were taken already.
    #[sabi(last_prefix_field)]
    fn take_descriptors(&self) -> RVec<i32>;
}

/// The host's services for a plugin.
#[sabi_trait]
pub trait Host: Send + Sync + 'static {
    /// A log record or an event, as a JSON document. Never blocks; may drop what is too much.
    #[sabi(last_prefix_field)]
    fn notify(&self, kind: RString, document: RString);
}

/// A [`Plugin`] that crosses the boundary.
pub type PluginBox = Plugin_TO<RBox<()>>;
/// A [`Stream`] that crosses the boundary.
pub type StreamBox = Stream_TO<RBox<()>>;
/// A [`Host`] that crosses the boundary.
pub type HostBox = Host_TO<RBox<()>>;

/// The exports of a plugin library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    /// The library's stamp, as the JSON document that also lies in its section.
    pub describe: extern "C" fn() -> RString,
    /// Connects one of its runtimes: host services and a JSON document that names the runtime.
    #[sabi(last_prefix_field)]
    pub connect: extern "C" fn(host: HostBox, document: RString) -> FfiFuture<RResult<PluginBox, RString>>,
}

impl RootModule for PluginModule_Ref {
    declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "wharf_plugin";
    const NAME: &'static str = "wharf_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
