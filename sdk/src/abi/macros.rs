//! `export_runtime!`.

/// Exports the runtimes of this library.
///
/// ```
/// # use wharf_sdk::*;
/// # struct MyRuntime;
/// # impl Runtime for MyRuntime {
/// #     async fn connect(_: Context) -> Result<Self> { Ok(Self) }
/// #     async fn instance(&self) -> Result<Instance> { Err(Error::unavailable("")) }
/// #     async fn health(&self) -> Health { Health::undetected("") }
/// #     async fn validate(&self, _: &WorkloadSpec) -> Result<()> { Ok(()) }
/// #     async fn deploy(&self, _: &WorkloadSpec) -> Result<Handle> { Err(Error::unavailable("")) }
/// #     async fn start(&self, _: &Handle) -> Result<()> { Ok(()) }
/// #     async fn stop(&self, _: &Handle, _: StopOptions) -> Result<()> { Ok(()) }
/// #     async fn remove(&self, _: &Handle) -> Result<()> { Ok(()) }
/// #     async fn inspect(&self, _: &Handle) -> Result<Observation> { Err(Error::unavailable("")) }
/// #     async fn list(&self, _: &ListQuery) -> Result<Listing> { Err(Error::unavailable("")) }
/// #     async fn wait(&self, _: &Handle) -> Result<Exit> { Err(Error::unavailable("")) }
/// #     async fn recover(&self, _: &Handle) -> Result<Observation> { Err(Error::unavailable("")) }
/// # }
/// # impl Logs for MyRuntime {
/// #     async fn logs(&self, _: &Handle, _: LogOptions) -> Result<ByteStream> { Err(Error::unavailable("")) }
/// # }
/// # impl Attach for MyRuntime {
/// #     async fn attach(&self, _: &Handle) -> Result<ByteStream> { Err(Error::unavailable("")) }
/// # }
/// # fn main() {}
/// wharf_sdk::export_runtime! {
///     "mine": MyRuntime {
///         capabilities: [Capability::STDIO, Capability::HTTP],
///         abilities: [logs, attach],
///         accepts: ["command"],
///         priority: 10,
///     }
/// }
/// ```
///
/// One entry for each name: a library may provide several, also with the same type. `capabilities` are constants of
/// [`crate::Capability`]; `abilities` are the traits that the type has beside [`crate::Runtime`] (`logs` for
/// [`crate::Logs`], `attach` for [`crate::Attach`], `dial` for [`crate::Dial`], `confine` for [`crate::Confine`], `pin` for
/// [`crate::Pin`], `discover` for [`crate::Discover`], `probe` for [`crate::Probe`]) and are declared as capabilities too; `accepts` are kinds of
/// [`crate::Source`]. To be written once, in the root of a crate of type `cdylib`.
#[macro_export]
macro_rules! export_runtime {
    ($( $name:literal : $runtime:ty {
        capabilities: [ $($capability:expr),* $(,)? ],
        abilities: [ $($ability:ident),* $(,)? ],
        accepts: [ $($accepts:literal),* $(,)? ],
        priority: $priority:literal $(,)?
    } ),+ $(,)?) => {
        const _: () = {
            const PARTS: &[&str] = &[
                "{\"stamp\":1,\"abi\":\"", $crate::stamp::ABI_VERSION,
                "\",\"sdk\":\"", $crate::stamp::SDK_VERSION,
                "\",\"documents\":", $crate::stamp::DOCUMENTS, ",",
                "\"plugin\":\"", env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                "\",\"panic\":\"", if cfg!(panic = "unwind") { "unwind" } else { "abort" },
                "\",\"target\":\"", $crate::stamp::TARGET,
                "\",\"rustc\":\"", $crate::stamp::RUSTC,
                "\",\"runtimes\":[",
                $(
                    "{\"name\":\"", $crate::stamp::checked_name($name),
                    "\",\"capabilities\":[",
                    $( "\"", { const NAME: &str = { const C: &$crate::Capability = &$capability; C.as_str() }; NAME }, "\"", ",", )*
                    $( "\"", stringify!($ability), "\"", ",", )*
                    "],\"accepts\":[",
                    $( "\"", $accepts, "\"", ",", )*
                    "],\"priority\":", $crate::stamp::checked_number(stringify!($priority)), "}",
                    ",",
                )+
                "]", "}",
            ];

            const TEXT: [u8; $crate::stamp::assembled_len(PARTS)] = $crate::stamp::assemble(PARTS);

            #[used]
            #[unsafe(link_section = ".wharf.stamp")]
            static STAMP: [u8; TEXT.len()] = TEXT;

            fn registrations() -> Vec<$crate::abi::Registration> {
                vec![$( $crate::abi::Registration::new::<$runtime>($name)$(.$ability::<$runtime>())* ),+]
            }

            extern "C" fn describe() -> $crate::abi::abi_stable::std_types::RString {
                // This text is not read from the section. The host compares the two: if somebody altered the stamp in the
                // file, they differ.
                String::from_utf8_lossy(&TEXT).into_owned().into()
            }

            extern "C" fn connect(
                host: $crate::abi::wharf_abi::HostBox,
                document: $crate::abi::abi_stable::std_types::RString,
            ) -> $crate::abi::wharf_abi::FfiFuture<
                $crate::abi::abi_stable::std_types::RResult<
                    $crate::abi::wharf_abi::PluginBox,
                    $crate::abi::abi_stable::std_types::RString,
                >,
            > {
                $crate::abi::connect(host, document, registrations, module_path!())
            }

            fn root() -> $crate::abi::wharf_abi::PluginModule_Ref {
                $crate::abi::module(describe, connect)
            }

            extern "C" fn erased_root() -> $crate::abi::abi_stable::library::RootModuleResult {
                $crate::abi::abi_stable::library::__call_root_module_loader(root)
            }

            // abi_stable 0.11 looks for this symbol in a library. Its own attribute macro writes the same, but names its
            // crate by a path that a plugin does not have, so it cannot be used here.
            #[unsafe(no_mangle)]
            static _1as_0lib_1header_0root_bmodule_bloader: $crate::abi::abi_stable::library::LibHeader =
                // SAFETY: `erased_root` returns a `PluginModule_Ref`, the type named here.
                unsafe {
                    $crate::abi::abi_stable::library::LibHeader::from_constructor::<
                        $crate::abi::wharf_abi::PluginModule_Ref,
                    >(erased_root, $crate::abi::abi_stable::library::CheckTypeLayout::Yes)
                };
        };
    };
}
