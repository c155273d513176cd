//! Runs the conformance suite on a library of this build.
use crate::host::{Host, Said};
use serde_json::Value;

/// The one thing that a case may fail to find out on a machine that others keep busy.
pub const TOO_BUSY: &str = "the processors are too busy";

/// Fails unless a runtime of a library passes all profiles that it declares; returns their names. A profile counts as
/// passed if only those of its cases are missing for which this machine was too busy, which is printed.
///
/// The library is the file's name without `lib` and `.so`, `args` name the program to run: `--image`, `--listener`.
pub fn conforms(library: &str, runtime: &str, args: &[&str]) -> Vec<String> {
    conforms_on(&Host::new(), library, runtime, args)
}

/// The same on a host that knows where its engine is.
pub fn conforms_on(host: &Host, library: &str, runtime: &str, args: &[&str]) -> Vec<String> {
    let report = tested(host, library, runtime, args);
    assert_eq!(report.1.code, 0, "{:#}\n{}", report.0, report.1.stderr);
    passed(&report.0)
}

/// The profiles that were passed, as far as this machine had time for.
pub fn passed(report: &Value) -> Vec<String> {
    let profiles = report["profiles"].as_array().expect("profiles");
    let passed = profiles.iter().filter(|profile| profile["verdict"] == "passed" || lacks_only_time(profile));
    passed.filter_map(|profile| profile["profile"].as_str()).map(str::to_owned).collect()
}

#[expect(clippy::print_stderr, reason = "a part that is skipped says so")]
fn lacks_only_time(profile: &Value) -> bool {
    let is_time = |reason: &Value| reason.as_str().is_some_and(|reason| reason.starts_with(TOO_BUSY));
    let reasons = profile["reasons"].as_array();
    let lacks = profile["verdict"] == "partial"
        && reasons.is_some_and(|reasons| !reasons.is_empty() && reasons.iter().all(is_time));
    if lacks {
        eprintln!("skipped a part of the profile {}: {TOO_BUSY}", profile["profile"]);
    }
    lacks
}

/// Runs the suite; returns its report and the command's output.
///
/// # Panics
/// There is no report: no case could be run.
pub fn tested(host: &Host, library: &str, runtime: &str, args: &[&str]) -> (Value, Said) {
    let library = host.add_library(library).display().to_string();
    let command = ["runtime", "test", &library, "--runtime", runtime, "--format", "json"];
    let said = host.wharf(&[&command, args].concat());
    let report = serde_json::from_str(&said.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {said:?}")), said)
}

/// The ids of the cases with this result.
pub fn with_result(report: &Value, result: &str) -> Vec<String> {
    let cases = report["cases"].as_array().expect("cases").iter();
    let found = cases.filter(|case| case["result"] == result);
    found.filter_map(|case| case["id"].as_str()).map(str::to_owned).collect()
}
