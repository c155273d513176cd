//! The table in docs/run-options.md is made of the options' own table and of what the runtimes declare.
#[path = "../../../host/src/cli/docker_options.rs"]
#[expect(dead_code, reason = "the command line asks for one option at a time")]
mod docker_options;

use docker_options::{DockerOption, Meaning, OPTIONS};
use std::{collections::BTreeSet, fmt::Write as _, fs, io::Write as _, path::Path};
use wharf_tests::host::Host;

const RUNTIMES: [&str; 4] = ["docker", "podman", "process", "kubernetes"];
const BEGIN: &str = "<!-- made of the code; a test writes it with WHARF_UPDATE_TABLE=1 -->\n";
const END: &str = "<!-- end -->\n";

/// What each runtime can do, by its own manifest.
fn capabilities() -> Vec<BTreeSet<String>> {
    let host = Host::new();
    host.add_plugin("docker");
    host.add_plugin("kubernetes");
    let of = |runtime: &&str| {
        let told: serde_json::Value =
            serde_json::from_str(&host.ok(&["runtime", "info", runtime, "--format", "json"])).unwrap();
        told["capabilities"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    RUNTIMES.iter().map(of).collect()
}

fn row(option: &DockerOption, capabilities: &[BTreeSet<String>]) -> String {
    let names = option.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (cells, why) = match &option.meaning {
        Meaning::Same => (vec!["yes"; RUNTIMES.len()], ""),
        Meaning::Not(why) => (vec!["no"; RUNTIMES.len()], *why),
        Meaning::Needs(capability) => {
            let has =
                |all: &BTreeSet<String>| if all.contains(capability.as_str()) { "yes" } else { "refused" };
            (capabilities.iter().map(has).collect(), "")
        }
    };
    format!("| {names} | {} | {why} |\n", cells.join(" | "))
}

#[test]
fn the_table_of_the_options_of_docker_run_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/run-options.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let capabilities = capabilities();
    let mut table = format!("| option | {} | instead, or why not |\n|---|", RUNTIMES.join(" | "));
    RUNTIMES.iter().for_each(|_| table.push_str("---|"));
    table.push_str("---|\n");
    for option in OPTIONS {
        write!(table, "{}", row(option, &capabilities)).unwrap();
    }
    let made = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("WHARF_UPDATE_TABLE").is_some() {
        fs::File::create(&path).and_then(|mut file| file.write_all(made.as_bytes())).unwrap();
        return;
    }
    assert_eq!(text, made, "WHARF_UPDATE_TABLE=1 writes it anew");
}
