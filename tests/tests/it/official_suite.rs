//! The official conformance suite, on a server by itself and on the same server behind the proxy.
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};
use wharf_tests::host::{Host, has_tool};
use wharf_tests::sdks::{DirectServer, have_sdks, run_server};

/// The program of a version, and all of its scenarios that concern servers of sessions.
const SUITES: [(&str, [&str; 2]); 2] =
    [("mcp-conformance", ["--suite", "all"]), ("mcp-conformance-next", ["--requirements", "2025-11-25"])];

/// How often each outcome was told of each check, a failed one with the suite's word for why.
type Results = BTreeMap<(String, String, String), usize>;

/// The scenarios in which the server says something of its own accord: a shared one is heard while one client alone was at
/// work for a while (docs/mcp.md, 6.2, 7.2).
const ASKING: [&str; 5] = [
    "tools-call-with-logging",
    "tools-call-sampling",
    "tools-call-elicitation",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
];

#[test]
fn the_official_suite_sees_no_difference_behind_the_proxy() {
    if !have_sdks() || !has_tool("sdks", "mcp-conformance-next") {
        return;
    }
    let direct = DirectServer::start();
    let (shared, reverse, per_session) = (Host::new(), Host::new(), Host::new());
    let per_session_url = run_server(&per_session, &["--instances", "per-session"], &[]);
    let shared_url = run_server(&shared, &[], &[]);
    let reverse_url = run_server(&reverse, &["--transport", "streamable-http"], &["--http"]);
    for (program, options) in SUITES {
        let expected = run(program, &options, &direct.url);
        let mut judge = Judge::new(program);
        assert!(count(&expected, "SUCCESS") > 40, "{program}: {expected:?}");
        judge.passes("by itself", &expected);
        judge.same("a server of HTTP", &run(program, &options, &reverse_url), &expected);
        let judged = |results: &Results| {
            let mut judged = results.clone();
            // The streams towards clients are the proxy's then, and need not be those of the server.
            judged.retain(|(scenario, _, status), _| status != "INFO" && !scenario.contains("-sse-"));
            judged
        };
        let per_session = run(program, &options, &per_session_url);
        judge.passes("a server for each session", &per_session);
        judge.same("a server for each session", &judged(&per_session), &judged(&expected));
        let quiet = |mut results: Results| {
            results.retain(|(scenario, ..), _| ASKING.iter().all(|asking| !scenario.ends_with(asking)));
            results
        };
        let behind = quiet(run(program, &options, &shared_url));
        judge.passes("a server on pipes", &behind);
        judge.same("a server on pipes", &judged(&behind), &judged(&quiet(expected)));
        assert_eq!(judge.faults, [""; 0]);
    }
}

#[test]
fn the_official_suite_sees_no_difference_where_a_shared_server_asks_its_only_client() {
    if !have_sdks() || !has_tool("sdks", "mcp-conformance-next") {
        return;
    }
    let direct = DirectServer::start();
    std::thread::scope(|scope| {
        for scenario in ASKING {
            let direct = &direct;
            scope.spawn(move || {
                for (program, _) in SUITES {
                    let host = Host::new();
                    let url = run_server(&host, &[], &[]);
                    let options = ["--scenario", scenario];
                    let expected = run(program, &options, &direct.url);
                    assert!(count(&expected, "SUCCESS") > 0, "{program} {scenario}: {expected:?}");
                    let mut judge = Judge::new(program);
                    judge.same(scenario, &run(program, &options, &url), &expected);
                    assert_eq!(judge.faults, [""; 0]);
                }
            });
        }
    });
}

/// What is not as it should be, a check of a suite each: a whole run says more than the first check that differs.
struct Judge {
    program: &'static str,
    faults: Vec<String>,
}

impl Judge {
    fn new(program: &'static str) -> Self {
        Self { program, faults: Vec::new() }
    }

    /// No check has failed.
    fn passes(&mut self, way: &str, results: &Results) {
        let failed = results.keys().filter(|(_, _, status)| status.starts_with("FAILURE"));
        self.faults.extend(failed.map(|check| format!("{}, {way}: {check:?}", self.program)));
    }

    /// Each check has come to the same, as often.
    fn same(&mut self, way: &str, found: &Results, expected: &Results) {
        let checks: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
        for check in checks {
            let (found, expected) = (found.get(check), expected.get(check));
            if found != expected {
                self.faults.push(format!("{}, {way}: {check:?}: {found:?}, not {expected:?}", self.program));
            }
        }
    }
}

fn count(results: &Results, status: &str) -> usize {
    results.iter().filter(|((_, _, told), _)| told == status).map(|(_, times)| times).sum()
}

/// The suite's results on a server.
///
/// Situation: some checks wait for an answer for 5 s by their own clock, and other tests start forty servers at once beside this
/// one. Conclusion: a scenario that ran out of its time is tried again by itself, where a server that does not answer at all
/// fails again.
fn run(program: &str, options: &[&str], url: &str) -> Results {
    let mut results = Results::new();
    for (scenario, mut checks) in scenarios(program, options, url) {
        for _ in 0..2 {
            if !checks.iter().any(ran_out_of_time) {
                break;
            }
            // The suite puts "server-" before the name of a scenario's folder.
            let asked = scenario.strip_prefix("server-").unwrap_or(&scenario);
            let again = scenarios(program, &["--scenario", asked], url).remove(&scenario);
            checks = again.unwrap_or_else(|| panic!("{program} does not run {asked} by itself"));
        }
        for check in checks {
            let told = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
            let status = match told("status") {
                failed if failed == "FAILURE" => format!("{failed}: {}", told("errorMessage")),
                status => status,
            };
            *results.entry((scenario.clone(), told("id"), status)).or_default() += 1;
        }
    }
    results
}

/// The checks of each scenario.
fn scenarios(program: &str, options: &[&str], url: &str) -> BTreeMap<String, Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(["server", "--url", url])
        .args(options)
        .arg("--output-dir")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code().is_some(), "{program}: {said}");
    let mut scenarios: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for scenario in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let name = scenario.file_name().into_string().unwrap();
        let (name, _) = name.split_once("-20").expect("a name and a date");
        let checks: Vec<Value> =
            serde_json::from_slice(&fs::read(scenario.path().join("checks.json")).unwrap()).unwrap();
        scenarios.entry(name.to_owned()).or_default().extend(checks);
    }
    scenarios
}

/// True if a check failed since the suite's own time for an answer was over.
fn ran_out_of_time(check: &Value) -> bool {
    check["status"] == "FAILURE" && check["errorMessage"].to_string().contains("aborted due to timeout")
}
