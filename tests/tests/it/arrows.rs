//! The dependencies that packages may have: `plugins -> sdk <- host`, nobody links a plugin, and inside `host` the packages
//! stand on one another in one direction. That no files of a package import each other in a circle is `circles.rs`.
use serde_json::Value;
use std::{collections::BTreeMap, env, path::Path, process::Command};

const REPLAY: &str = "wharf-fuzz-replay";
const SDK: &str = "wharf-sdk";
const ABI: &str = "wharf-abi";
const HOST: &str = "wharf";
const ENGINE: &str = "wharf-test-engine";

/// The workspace's packages and their dependencies among themselves, dev-dependencies included.
fn metadata() -> Vec<Value> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let args = ["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"];
    let output = Command::new(cargo).args(args).arg(manifest).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    packages
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

fn is_plugin(package: &Value) -> bool {
    let targets = package["targets"].as_array().unwrap().iter();
    targets.flat_map(|target| target["crate_types"].as_array().unwrap()).any(|kind| kind == "cdylib")
}

/// The packages of ours that a package may name. A dev-dependency may be more: a package's tests try it on real records.
fn allowed(package: &Value) -> &'static [&'static str] {
    match name(package) {
        "wharf-descriptors" | "wharf-failpoint" => &[],
        "wharf-model" => &[SDK],
        "wharf-records" => &["wharf-failpoint", "wharf-model"],
        "wharf-runtimes" => &[ABI, SDK, "wharf-descriptors", "wharf-failpoint", "wharf-model"],
        "wharf-proxy" => &[],
        "wharf-launcher" => &[SDK, "wharf-descriptors", "wharf-failpoint"],
        "wharf-supervisor" => &[
            SDK,
            "wharf-descriptors",
            "wharf-failpoint",
            "wharf-model",
            "wharf-records",
            "wharf-runtimes",
            "wharf-proxy",
            "wharf-launcher",
        ],
        ABI => &[],
        // Itself, with the feature that its tests need.
        SDK => &[ABI, SDK],
        HOST => &[
            SDK,
            "wharf-failpoint",
            "wharf-model",
            "wharf-records",
            "wharf-runtimes",
            "wharf-proxy",
            "wharf-launcher",
            "wharf-supervisor",
        ],
        "wharf-tests" => &[
            HOST,
            SDK,
            ENGINE,
            "wharf-demo",
            "wharf-failpoint",
            "wharf-model",
            "wharf-proxy",
            "wharf-records",
            "wharf-runtimes",
            "wharf-supervisor",
        ],
        // The model drives the supervisor's own machine.
        "wharf-model-checker" => &["wharf-model", "wharf-supervisor"],
        "wharf-test-plugin-scripted" => &[SDK, ENGINE],
        _ if is_plugin(package) => &[SDK],
        _ => &[],
    }
}

#[test]
fn every_dependency_points_at_the_sdk() {
    let packages = metadata();
    let by_name: BTreeMap<&str, &Value> = packages.iter().map(|package| (name(package), package)).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(ours) = by_name.get(name(dependency)) else { continue };
            // A plugin's tests know the SDK alone, as those of a third party's would. Everybody's may replay fuzz targets.
            let is_free = name(package).starts_with("wharf-") && !is_plugin(package);
            // Its own features, where they are for tests alone.
            let is_itself = name(package) == name(ours);
            let is_for_tests = dependency["kind"] == "dev" && (is_free || is_itself || name(ours) == REPLAY);
            if !is_for_tests && !allowed(package).contains(&name(ours)) {
                wrong.push(format!("{} -> {}", name(package), name(ours)));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "wrong arrows");
}

#[test]
fn nobody_depends_on_a_plugin_and_the_plugins_are_known() {
    let packages = metadata();
    let plugins: Vec<&str> = packages.iter().filter(|package| is_plugin(package)).map(name).collect();
    assert!(plugins.contains(&"wharf-plugin-process"), "{plugins:?}");
    for package in &packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            assert!(!plugins.contains(&name(dependency)), "{} links a plugin", name(package));
        }
    }
}

#[test]
fn no_plugin_contains_unsafe_code() {
    for package in metadata().iter().filter(|package| is_plugin(package)) {
        let root = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src/lib.rs");
        let text = std::fs::read_to_string(&root).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{}", root.display());
    }
}

#[test]
fn the_frozen_packages_have_their_names_and_versions() {
    let packages = metadata();
    let abi = packages.iter().find(|package| name(package) == ABI).unwrap();
    assert!(abi["version"].as_str().unwrap().starts_with("1."), "its major version is part of the ABI");
    for (dependency, version) in [("abi_stable", "=0.11.3"), ("async-ffi", "=0.5.1")] {
        let pinned = abi["dependencies"].as_array().unwrap().iter().find(|other| name(other) == dependency);
        assert_eq!(pinned.unwrap()["req"], version, "{dependency}");
    }
}
