//! Every reason for which a library is not loaded, with its message.
use std::{
    fs::{File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
};
use wharf_runtimes::{PluginDir, PluginError, Plugins};
use wharf_sdk::{
    Capability,
    stamp::{ABI_VERSION, RuntimeStamp, SDK_VERSION, SECTION, STAMP_VERSION, Stamp, TARGET},
};
use wharf_tests::{HOST_ID, Rack, compile, mapped, patch_stamp, stamp_text};

/// The error and all its causes, as people see them, without the test's folder.
fn told(rack: &Rack, error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text.replace(rack.path().to_str().unwrap(), "RACK")
}

/// The reason why the search cannot use the only library. None of its code has run.
fn refusal(rack: &Rack) -> String {
    let host = rack.host();
    let [library] = host.catalog().libraries() else { panic!("one library") };
    let error = library.stamp.as_ref().expect_err("it should have been refused");
    assert_eq!(mapped(&rack.plugins_dir()), Vec::<String>::new());
    told(rack, error)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A stamp that fits.
pub(crate) fn fitting(name: &str) -> String {
    let runtime = RuntimeStamp {
        name: name.to_owned(),
        capabilities: vec![Capability::STDIO],
        accepts: vec!["command".to_owned()],
        priority: 0,
    };
    let stamp = Stamp {
        stamp: STAMP_VERSION,
        abi: ABI_VERSION.to_owned(),
        sdk: SDK_VERSION.to_owned(),
        documents: wharf_sdk::document::VERSION,
        plugin: "by-hand".to_owned(),
        version: "1.0.0".to_owned(),
        panic: "unwind".to_owned(),
        target: TARGET.to_owned(),
        rustc: String::new(),
        runtimes: vec![runtime],
    };
    serde_json::to_string(&stamp).unwrap()
}

/// Rust source with a manifest, and any other code.
pub(crate) fn stamped(stamp: &str, rest: &str) -> String {
    format!(
        "#[used] #[unsafe(link_section = \"{SECTION}\")] static STAMP: [u8; {}] = *b{stamp:?};\n{rest}",
        stamp.len()
    )
}

#[test]
fn a_library_with_another_version_of_the_abi_is_refused() {
    let rack = Rack::new();
    patch_stamp(&rack.add("alpha"), r#""abi":"1."#, r#""abi":"2."#);
    assert_eq!(
        refusal(&rack),
        "RACK/plugins/alpha.so cannot be loaded: it was built for version 2.0.0 of the plugin interface, and this host has 1.0.0; rebuild it with the SDK of this wharf"
    );
}

#[test]
fn a_library_that_aborts_on_panic_is_refused() {
    let rack = Rack::new();
    // The same length: the blank lies outside of the text.
    patch_stamp(&rack.add("alpha"), r#""panic":"unwind""#, r#""panic":"abort" "#);
    assert_eq!(
        refusal(&rack),
        "RACK/plugins/alpha.so cannot be loaded: it was built with panic=abort, and a panic in it would end the host; build it with panic=\"unwind\""
    );
}

#[test]
fn a_library_for_another_target_is_refused() {
    let rack = Rack::new();
    let other: String = TARGET.chars().map(|c| if c == '-' { '_' } else { c }).collect();
    patch_stamp(&rack.add("alpha"), TARGET, &other);
    assert_eq!(
        refusal(&rack),
        format!("RACK/plugins/alpha.so cannot be loaded: it was built for {other}, and this is {TARGET}")
    );
}

#[test]
fn a_library_with_a_newer_form_of_manifest_is_refused() {
    let rack = Rack::new();
    patch_stamp(&rack.add("alpha"), r#"{"stamp":1,"#, r#"{"stamp":7,"#);
    let refused = refusal(&rack);
    assert!(refused.contains("its manifest has version 7, and only 1 is known here"), "{refused}");
}

#[test]
fn a_library_with_another_version_of_the_documents_is_refused() {
    for (version, advice) in [(1, "rebuild it with the SDK of this wharf"), (7, "use a newer wharf")] {
        let rack = Rack::new();
        patch_stamp(&rack.add("alpha"), r#""documents":2,"#, &format!(r#""documents":{version},"#));
        let refused = refusal(&rack);
        assert!(refused.contains(&format!("it speaks version {version} of the documents")), "{refused}");
        assert!(refused.contains(advice), "{refused}");
    }
}

#[test]
fn a_library_whose_manifest_is_no_json_is_refused() {
    let rack = Rack::new();
    let path = rack.add("alpha");
    patch_stamp(&path, r#"{"stamp""#, r#"["stamp""#);
    let refused = refusal(&rack);
    assert!(refused.contains("alpha.so is not a wharf plugin: its manifest cannot be read"), "{refused}");
}

#[test]
fn a_text_file_named_like_a_library_is_refused() {
    let rack = Rack::new();
    File::create(rack.plugins_dir().join("x.so")).unwrap().write_all(b"#!/bin/sh\n").unwrap();
    assert_eq!(refusal(&rack), "RACK/plugins/x.so is not a wharf plugin: it is not a 64-bit ELF library");
}

#[test]
fn a_library_without_a_manifest_is_refused() {
    let rack = Rack::new();
    compile(&rack.plugins_dir().join("x.so"), "");
    assert_eq!(
        refusal(&rack),
        "RACK/plugins/x.so is not a wharf plugin: it has no manifest (section .wharf.stamp); plugins are made with wharf-sdk's export_runtime!"
    );
}

#[test]
fn a_truncated_library_is_refused() {
    let rack = Rack::new();
    let path = rack.add("alpha");
    let whole = path.metadata().unwrap().len();
    for kept in [0, 10, 64, 4096, whole / 2, whole - 1] {
        File::options().write(true).open(&path).unwrap().set_len(kept).unwrap();
        let refused = refusal(&rack);
        assert!(refused.starts_with("RACK/plugins/alpha.so is not a wharf plugin: it"), "{kept}: {refused}");
        rack.add("alpha");
    }
}

#[test]
fn a_folder_named_like_a_library_is_refused() {
    let rack = Rack::new();
    std::fs::create_dir(rack.plugins_dir().join("x.so")).unwrap();
    assert_eq!(refusal(&rack), "RACK/plugins/x.so is not trusted: RACK/plugins/x.so is not a regular file");
}

#[test]
fn a_library_that_others_can_write_is_refused() {
    let rack = Rack::new();
    set_mode(&rack.add("alpha"), 0o757);
    assert_eq!(
        refusal(&rack),
        "RACK/plugins/alpha.so is not trusted: RACK/plugins/alpha.so can be written by others (mode 0757); run: chmod go-w RACK/plugins/alpha.so"
    );
}

#[test]
fn a_library_in_a_folder_that_others_can_write_is_refused() {
    let rack = Rack::with(&["alpha"]);
    set_mode(&rack.plugins_dir(), 0o777);
    assert_eq!(
        refusal(&rack),
        "RACK/plugins/alpha.so is not trusted: RACK/plugins can be written by others (mode 0777); run: chmod go-w RACK/plugins"
    );
}

#[tokio::test]
async fn a_library_is_checked_again_when_it_is_loaded() {
    let rack = Rack::with(&["alpha"]);
    let host = rack.host();
    set_mode(&rack.plugins_dir(), 0o777);
    let error = host.connect("alpha", None, HOST_ID).await.unwrap_err();
    assert!(matches!(error, PluginError::Untrusted { .. }), "{error}");
    assert_eq!(mapped(&rack.plugins_dir()), Vec::<String>::new());
}

#[tokio::test]
async fn a_library_with_another_digest_than_the_pinned_one_is_refused() {
    let rack = Rack::with(&["alpha", "beta"]);
    let mut options = rack.options();
    options.pins.insert("alpha.so".to_owned(), "00".repeat(32));
    let host = Plugins::new(options.clone());
    let error = host.connect("alpha", None, HOST_ID).await.unwrap_err();
    let PluginError::Digest { found, .. } = &error else { panic!("{error}") };
    assert_eq!(
        told(&rack, &error),
        format!(
            "RACK/plugins/alpha.so has changed: its SHA-256 is {found}, and {} is pinned in RACK/data/plugins.lock; if you replaced it, change the pin",
            "00".repeat(32)
        )
    );
    assert_eq!(mapped(&rack.plugins_dir()), Vec::<String>::new());
    assert!(host.connect("beta", None, HOST_ID).await.is_ok(), "a pin is for one library");

    options.pins.insert("alpha.so".to_owned(), found.to_uppercase());
    assert!(
        Plugins::new(options).connect("alpha", None, HOST_ID).await.is_ok(),
        "the digest told is the one to pin"
    );
}

#[tokio::test]
async fn a_manifest_without_a_library_behind_it_is_refused() {
    let rack = Rack::new();
    compile(&rack.plugins_dir().join("x.so"), &stamped(&fitting("gamma"), ""));
    let error = rack.host().connect("gamma", None, HOST_ID).await.unwrap_err();
    assert_eq!(
        told(&rack, &error),
        "RACK/plugins/x.so is not a wharf plugin: it has a manifest and lacks the entry symbol; it was not made by export_runtime!"
    );
}

#[tokio::test]
async fn a_library_whose_entry_symbol_is_of_another_abi_stable_is_refused() {
    let rack = Rack::new();
    let symbol =
        "#[unsafe(no_mangle)] pub static _1as_0lib_1header_0root_bmodule_bloader: [u64; 64] = [0; 64];";
    compile(&rack.plugins_dir().join("x.so"), &stamped(&fitting("gamma"), symbol));
    let error = rack.host().connect("gamma", None, HOST_ID).await.unwrap_err();
    assert_eq!(
        told(&rack, &error),
        "RACK/plugins/x.so cannot be loaded: it was built with another version of abi_stable; rebuild it with the SDK of this wharf"
    );
}

#[tokio::test]
async fn a_library_with_an_unresolved_symbol_is_refused() {
    let rack = Rack::new();
    let rest = "unsafe extern \"C\" { fn there_is_no_such_function(); }
        #[unsafe(no_mangle)] pub extern \"C\" fn f() { unsafe { there_is_no_such_function() } }";
    compile(&rack.plugins_dir().join("x.so"), &stamped(&fitting("gamma"), rest));
    let error = rack.host().connect("gamma", None, HOST_ID).await.unwrap_err();
    let text = told(&rack, &error);
    assert!(text.starts_with("RACK/plugins/x.so cannot be loaded: the linker refuses it: "), "{text}");
    assert!(text.contains("there_is_no_such_function"), "{text}");
}

#[tokio::test]
async fn a_library_that_contradicts_its_manifest_is_refused() {
    let rack = Rack::new();
    patch_stamp(&rack.add("alpha"), r#""name":"alpha""#, r#""name":"gamma""#);
    let host = rack.host();
    let error = host.connect("gamma", None, HOST_ID).await.unwrap_err();
    assert_eq!(
        told(&rack, &error),
        "RACK/plugins/alpha.so says something else once loaded than its manifest does; rebuild it with the SDK's macro"
    );
}

#[tokio::test]
async fn two_libraries_of_one_folder_with_one_runtime_name_are_refused() {
    let rack = Rack::with(&["alpha", "beta"]);
    rack.add_as("alpha", "other.so");
    let host = rack.host();
    let error = host.connect("alpha", None, HOST_ID).await.unwrap_err();
    assert_eq!(
        told(&rack, &error),
        "two plugins in one folder provide the runtime 'alpha': RACK/plugins/alpha.so and RACK/plugins/other.so; remove one of them"
    );
    assert!(host.connect("beta", None, HOST_ID).await.is_ok(), "the others are not concerned");
}

#[tokio::test]
async fn one_name_in_two_folders_belongs_to_the_earlier() {
    let (earlier, later) = (Rack::with(&["alpha"]), Rack::with(&["alpha", "beta"]));
    let mut options = earlier.options();
    options.dirs.push(PluginDir { path: later.plugins_dir(), dedicated: true });
    // Named twice, by an option and by a variable for instance: it is one folder.
    options.dirs.push(PluginDir { path: later.plugins_dir(), dedicated: true });
    let host = Plugins::new(options);
    let shown: Vec<(String, bool)> = host
        .catalog()
        .runtimes()
        .iter()
        .map(|provided| (provided.runtime.name.clone(), provided.shadowed))
        .collect();
    let expected =
        [("alpha", false), ("alpha-two", false), ("alpha", true), ("alpha-two", true), ("beta", false)];
    assert_eq!(shown, expected.map(|(name, shadowed)| (name.to_owned(), shadowed)));
    let found = host.catalog().find("alpha").unwrap();
    assert_eq!(found.library.path, earlier.plugins_dir().join("alpha.so"));
}

#[tokio::test]
async fn a_runtime_name_that_no_library_provides_is_refused() {
    let rack = Rack::with(&["alpha", "beta"]);
    File::create(rack.plugins_dir().join("x.so")).unwrap();
    let host = rack.host();
    for (name, proposed) in
        [("alhpa", "; did you mean 'alpha'?"), ("Alpha", "; did you mean 'alpha'?"), ("zzz", "")]
    {
        let error = host.connect(name, None, HOST_ID).await.unwrap_err();
        assert_eq!(
            told(&rack, &error),
            format!(
                "no plugin provides a runtime named '{name}'; there are: alpha, alpha-two, beta{proposed}; these plugins cannot be used: RACK/plugins/x.so"
            )
        );
    }
    let empty = Rack::new();
    let error = empty.host().connect("alpha", None, HOST_ID).await.unwrap_err();
    assert!(error.to_string().ends_with("; no plugin was found at all"), "{error}");
}

#[test]
fn only_own_names_count_in_a_folder_that_is_not_made_for_plugins() {
    let rack = Rack::with(&["alpha"]);
    rack.add_as("beta", "libwharf_plugin_beta.so");
    let mut options = rack.options();
    options.dirs[0].dedicated = false;
    let host = Plugins::new(options);
    let [library] = host.catalog().libraries() else { panic!("one library") };
    assert_eq!(library.stamp.as_ref().unwrap().runtimes[0].name, "beta");
}

#[test]
fn the_search_runs_no_constructor() {
    let rack = Rack::new();
    let trace = rack.path().join("constructed");
    let rest = format!(
        "extern \"C\" fn construct() {{ std::fs::File::create({trace:?}).unwrap(); }}
         #[used] #[unsafe(link_section = \".init_array\")] static CONSTRUCT: extern \"C\" fn() = construct;"
    );
    compile(&rack.plugins_dir().join("x.so"), &stamped(&fitting("gamma"), &rest));
    let host = rack.host();
    assert_eq!(host.catalog().find("gamma").unwrap().runtime.name, "gamma");
    assert!(!trace.exists());
    // This proves that it is a constructor: loading runs it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(host.connect("gamma", None, HOST_ID)).is_err());
    assert!(trace.exists());
}

#[test]
fn the_stamp_is_what_the_macro_was_told() {
    let rack = Rack::new();
    let stamp: Stamp = serde_json::from_str(&stamp_text(&rack.add("alpha"))).unwrap();
    assert_eq!((stamp.panic.as_str(), stamp.plugin.as_str()), ("unwind", "wharf-test-plugin-alpha"));
    let named = |name: &str| stamp.runtimes.iter().find(|runtime| runtime.name == name).unwrap();
    assert_eq!(named("alpha").capabilities, ["stdio", "http", "logs", "attach"].map(Capability::named));
    assert_eq!((named("alpha").priority, named("alpha-two").priority), (-5, 0));
    assert_eq!(named("alpha-two").accepts, ["command", "package"]);
}
