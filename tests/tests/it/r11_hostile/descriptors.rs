//! Too few descriptors: a file that cannot be opened is no evidence about a workload.
use super::tools::{contents, limited};
use serde_json::Value;
use wharf_tests::engine::SideBySide;
use wharf_tests::host::{Host, Said};

/// With more, a command has all descriptors that it needs.
const ENOUGH: u32 = 48;

/// A command that may have so many files open.
fn with_descriptors(host: &Host, limit: u32, args: &[&str]) -> Said {
    limited(host, &format!("ulimit -n {limit}"), args)
}

/// The records, without logs, which may grow.
fn records(host: &Host) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    ["state/runconfigs", "state/statuses"].iter().flat_map(|folder| contents(&host.path(folder))).collect()
}

#[test]
fn r04_too_many_open_files_are_no_evidence() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    let mut answered = 0;
    for limit in 3..=ENOUGH {
        let said = with_descriptors(&setup.host, limit, &["list", "--all", "--format", "json"]);
        let Ok(rows) = serde_json::from_str::<Vec<Value>>(&said.stdout) else {
            assert_ne!(said.code, 0, "{limit}: {said:?}");
            continue;
        };
        answered += 1;
        for row in rows {
            // As recorded, or unknown because it could not be read.
            let known = row["status"] == "running";
            let unread = row["status"] == "unknown" && row.to_string().contains("open files");
            assert!(known || unread, "{limit}: {row}");
        }
    }
    assert!(answered > 0, "no limit was enough");
    assert_eq!(records(&setup.host), before);
    setup.assert_fresh(&["one", "plain", "two"]);
}

#[test]
fn r11_too_many_open_files_make_no_record_corrupt_and_lose_no_command() {
    let setup = SideBySide::new();
    let before = records(&setup.host);
    for limit in (3..=ENOUGH).step_by(3) {
        with_descriptors(&setup.host, limit, &["reconcile"]);
        assert_eq!(records(&setup.host), before, "{limit}: what is in order is left as it is");
    }
    for limit in (3..=ENOUGH).step_by(3) {
        for name in ["one", "plain", "two"] {
            let said = with_descriptors(&setup.host, limit, &["restart", name]);
            let aside = records(&setup.host).len();
            assert_eq!(aside, before.len(), "{limit} {name}: nothing is set aside or lost: {said:?}");
            if said.code != 0 {
                // The next command with enough descriptors goes on where another was interrupted.
                setup.host.ok(&["start", name]);
            }
        }
    }
    setup.assert_fresh(&["one", "plain", "two"]);
}
