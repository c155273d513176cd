//! Many workloads at little cost: the records of one, copied under other names.
use crate::host::Host;
use serde_json::{Value, json};
use std::{fs, io::Write, ops::Range, path::Path};

/// Makes workloads `copy-N` from one that exists and does not run, each with a uid of its own. They belong to these
/// runtimes in turn; those beside the original's own must be of the tests' plugins, whose instances have their names.
pub fn copy_workload(host: &Host, original: &str, numbers: Range<usize>, runtimes: &[&str]) {
    let read = |folder: &str| -> Value {
        let bytes = fs::read(host.path(&format!("state/{folder}/{original}.json"))).expect("a record");
        serde_json::from_slice(&bytes).expect("the record is JSON")
    };
    let (run_config, status) = (read("runconfigs"), read("statuses"));
    for number in numbers {
        let (name, uid) = (format!("copy-{number}"), format!("{number:032x}"));
        let (mut run_config, mut status) = (run_config.clone(), status.clone());
        let runtime = runtimes[number % runtimes.len()];
        if run_config["runtime_name"] != runtime {
            run_config["runtime_name"] = json!(runtime);
            run_config["runtime_instance"] = json!(runtime);
            run_config["runtime_endpoint"] = json!("");
        }
        run_config["name"] = json!(name);
        for record in [&mut run_config, &mut status] {
            record["uid"] = json!(uid);
        }
        write(&host.path(&format!("state/runconfigs/{name}.json")), &run_config);
        write(&host.path(&format!("state/statuses/{name}.json")), &status);
    }
}

/// Removes the copies: faster than by `wharf rm`, which makes each removal durable.
pub fn remove_copies(host: &Host) {
    for folder in ["state/runconfigs", "state/statuses"] {
        for entry in fs::read_dir(host.path(folder)).expect("a folder of records").filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with("copy-") {
                fs::remove_file(entry.path()).expect("a record can be removed");
            }
        }
    }
}

fn write(path: &Path, record: &Value) {
    let text = serde_json::to_vec_pretty(record).expect("JSON can be written");
    fs::File::create(path).and_then(|mut file| file.write_all(&text)).expect("a record can be made");
}
