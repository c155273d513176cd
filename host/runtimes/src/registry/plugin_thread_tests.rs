//! Runtimes of one library, one of which blocks the thread that calls it.
use super::*;
use crate::deadlines::Deadlines;
use crate::in_process::load::Loaded;
use crate::in_process::plugin_thread::PluginThread;
use abi_stable::{
    prefix_type::PrefixTypeTrait,
    sabi_trait::prelude::TD_Opaque,
    std_types::{RResult, RString},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, mpsc},
};
use wharf_abi::{
    FfiFuture, HostBox, Plugin, Plugin_TO, PluginBox, PluginModule, PluginModule_Ref, Reply, StreamBox,
};
use wharf_sdk::stamp::Stamp;

/// Blocks the thread that enters it, if `blocks` is set.
struct Rude {
    blocks: bool,
}

static ENTERED: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);

impl Plugin for Rude {
    fn call(&self, _: RString, _: RString) -> FfiFuture<Reply> {
        if self.blocks {
            let entered = ENTERED.lock().unwrap().take();
            entered.unwrap().send(()).unwrap();
            loop {
                std::thread::park();
            }
        }
        FfiFuture::new(async { RResult::ROk("answered".into()) })
    }
    fn open(&self, _: RString, _: RString) -> FfiFuture<RResult<StreamBox, RString>> {
        FfiFuture::new(async { RResult::RErr("".into()) })
    }
    fn shut_down(&self, _: u64) -> FfiFuture<()> {
        FfiFuture::new(async {})
    }
}

extern "C" fn describe() -> RString {
    RString::new()
}

extern "C" fn connect(_: HostBox, document: RString) -> FfiFuture<RResult<PluginBox, RString>> {
    let blocks = document.contains("\"rude\"");
    FfiFuture::new(async move { RResult::ROk(Plugin_TO::from_value(Rude { blocks }, TD_Opaque)) })
}

fn key(name: &str) -> ConnectionKey {
    ConnectionKey { name: name.to_owned(), ..ConnectionKey::default() }
}

fn library() -> Library {
    let module: PluginModule_Ref = PluginModule { describe, connect }.leak_into_prefix();
    let runtime =
        |name| serde_json::json!({ "name": name, "capabilities": [], "accepts": [], "priority": 0 });
    let stamp: Stamp = serde_json::from_value(serde_json::json!({
        "stamp": 1, "abi": "1.0.0", "sdk": "1", "plugin": "p", "version": "1", "panic": "unwind", "target": "t",
        "rustc": "", "runtimes": [runtime("rude"), runtime("polite")],
    }))
    .unwrap();
    let thread = PluginThread::start().unwrap();
    Library::new(PathBuf::new(), thread, Loaded { stamp, module }, Arc::default())
}

#[tokio::test]
async fn a_runtime_that_blocks_its_thread_holds_up_no_other_runtime_of_its_library() {
    let data = tempfile::tempdir().unwrap();
    let plugins = Plugins::with(
        Catalog::default(),
        ConnectOptions {
            dirs: Vec::new(),
            pins: BTreeMap::new(),
            pins_file: PathBuf::new(),
            prober: None,
            data_dir: data.path().to_owned(),
            cache_dir: None,
            log_dir: PathBuf::new(),
            private_dirs: Vec::new(),
            launcher: Vec::new(),
            configurations: BTreeMap::new(),
            log_level: "warn".to_owned(),
            deadlines: Deadlines::default(),
        },
    );
    let library = library();
    let rude = plugins.connect_in(&library, &key("rude")).await.unwrap();
    let polite = plugins.connect_in(&library, &key("polite")).await.unwrap();
    let (sender, entered) = mpsc::channel();
    *ENTERED.lock().unwrap() = Some(sender);
    let stuck = tokio::spawn(rude.connection().call("list", String::new()));
    tokio::task::spawn_blocking(move || entered.recv().unwrap()).await.unwrap();
    let answer = polite.connection().call("list", String::new());
    let answer = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("it is held up");
    assert_eq!(answer.unwrap(), "answered");
    stuck.abort();
}
