//! Workloads of a runtime with several places, such as a cluster: what is said of one names its place.
use crate::harness::{TestHost, run_config, status};
use insta::assert_snapshot;

const ENDPOINT: &str = r#","runtime_endpoint":"kubeconfig:/k?context=my%3adev&namespace=team-a""#;

fn host() -> TestHost {
    let host = TestHost::new();
    host.write("state/runconfigs/time.json", &run_config("time", ENDPOINT));
    host.write("state/statuses/time.json", &status(r#""stopped""#, r#""stopped""#));
    host
}

#[test]
fn what_cannot_be_asked_is_told_with_its_place_and_the_check_of_it() {
    let host = host();
    assert_snapshot!(host.wharf(&["list", "--all"]), @r#"
    exit code 0
    -- stdout --
    NAME   RUNTIME   PACKAGE                 STATUS            URL   PORT   GROUP   CREATED
    time   absent    uvx://mcp-server-time   stopped (stale)   -     4100   tools   -
    -- stderr --
    stale: context 'my:dev', namespace 'team-a': no plugin provides a runtime named 'absent'; no plugin was found at all; see: wharf runtime check absent --kube-context my:dev --namespace team-a
    "#);
    assert_snapshot!(host.wharf(&["reconcile", "time"]), @r#"
    exit code 5
    -- stdout --
    time: left alone: context 'my:dev', namespace 'team-a': no plugin provides a runtime named 'absent'; no plugin was found at all; see: wharf runtime check absent --kube-context my:dev --namespace team-a
    "#);
    assert_snapshot!(host.wharf(&["stop", "time"]), @r#"
    exit code 5
    -- stderr --
    error: 'time' belongs to the runtime 'absent' (context 'my:dev', namespace 'team-a'), which cannot be asked: no plugin provides a runtime named 'absent'; no plugin was found at all
    hint: see: wharf runtime list
    hint: see: wharf runtime check absent --kube-context my:dev --namespace team-a
    "#);
}

#[test]
fn a_wide_list_shows_the_place() {
    let host = host();
    let wide = host.wharf(&["list", "--all", "--wide"]);
    assert!(wide.contains("NAME   RUNTIME   PLACE           PACKAGE"), "{wide}");
    assert!(wide.contains("time   absent    my:dev/team-a   uvx://"), "{wide}");
    let json = host.wharf(&["list", "--all", "--format", "json"]);
    let place =
        "\"runtime_place\": {\n      \"context\": \"my:dev\",\n      \"namespace\": \"team-a\"\n    }";
    assert!(json.contains(place), "{json}");
    host.write("state/runconfigs/time.json", &run_config("time", ""));
    assert!(!host.wharf(&["list", "--all", "--wide"]).contains("PLACE"), "one place alone");
}

#[test]
fn a_check_in_a_place_names_the_runtime() {
    let said = host().wharf(&["runtime", "check", "--namespace", "team-a"]);
    assert!(said.starts_with("exit code 2") && said.contains("NAME"), "{said}");
}

#[test]
fn an_edit_of_the_place_says_how_a_copy_is_made_there() {
    let host = host();
    for option in ["--namespace", "--kube-context", "--runtime"] {
        let said = host.wharf(&["edit", "time", option, "other"]);
        assert!(said.starts_with("exit code 2"), "{said}");
        for words in ["stays where it was made", "wharf run --from-config FILE --name OTHER"] {
            assert!(said.contains(words), "{option}: {said}");
        }
    }
}
