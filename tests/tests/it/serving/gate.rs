//! Tries who may ask the REST API, and how.
use super::rig::{Served, problem};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use wharf_tests::host::{Host, demo_server};

/// ToolHive took the body of a POST for JSON whatever its type said, so that any page in a browser could run a container
/// on the machine of who looked at it: a "simple" request needs no permission (GHSA-xv9h-79wp-q9w6).
#[test]
fn ghsa_xv9h_79wp_q9w6_a_page_creates_nothing() {
    let host = Host::new();
    let served = Served::with_port(&host);
    let token = format!("Bearer {}", host.ok(&["serve", "--show-token"]).trim());
    let body = json!({ "name": "owned", "server": demo_server() }).to_string();
    let kinds = [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
    ];
    for kind in kinds {
        let simple = [("Content-Type", kind)];
        // Even from somebody who may do everything.
        problem(&served.ask("POST", "/api/v1beta/workloads", &simple, &body), 415);
        let with_token = [("Content-Type", kind), ("Authorization", token.as_str())];
        problem(&served.ask_port("POST", "/api/v1beta/workloads", &with_token, &body), 415);
        // As a page would.
        let page = [("Content-Type", kind), ("Origin", "https://evil.example")];
        problem(&served.ask_port("POST", "/api/v1beta/workloads", &page, &body), 403);
        problem(&served.ask("POST", "/api/v1beta/workloads", &page, &body), 403);
    }
    // A beacon without a type.
    problem(&served.ask("POST", "/api/v1beta/workloads", &[], &body), 415);
    assert!(host.list().is_empty());
    assert_eq!(served.get("/operations"), json!({ "operations": [] }));
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn the_port_serves_who_has_the_token_by_its_own_names() {
    let host = Host::new();
    assert_eq!(host.wharf(&["serve", "--show-token"]).code, 3, "there is none before a port is served");
    let served = Served::with_port(&host);
    let list = "/api/v1beta/workloads";
    problem(&served.ask_port("GET", list, &[], ""), 401);
    let token = host.ok(&["serve", "--show-token"]).trim().to_owned();
    let bearer = format!("Bearer {token}");
    let authorized = ("Authorization", bearer.as_str());
    assert_eq!(served.ask_port("GET", list, &[authorized], "").status, 200);
    for (status, headers) in [
        (401, vec![("Authorization", "Bearer wrong")]),
        (401, vec![("Authorization", "Basic eDp5")]),
        (403, vec![authorized, ("Host", "evil.example")]),
        (403, vec![authorized, ("Origin", "https://evil.example")]),
        (403, vec![authorized, ("Origin", "null")]),
        (403, vec![("Host", "evil.example")]),
    ] {
        let refused = problem(&served.ask_port("GET", list, &headers, ""), status);
        assert!(!refused.to_string().contains(&token));
    }
    // A client without the token is not told what there is.
    let unknown = served.ask_port("GET", "/api/v1beta/workloads/nobody", &[], "");
    assert_eq!(unknown.status, 401);
    assert_eq!(served.ask_port("GET", "/health/live", &[], "").status, 204);
    let mode = std::fs::metadata(host.path("state/api/token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // It stays the same.
    served.stop();
    let served = Served::with_port(&host);
    assert_eq!(served.ask_port("GET", list, &[authorized], "").status, 200);
}

#[test]
fn nobody_is_served_off_loopback() {
    let host = Host::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let said = host.wharf(&["serve", "--listen", address]);
        assert_eq!(said.code, 2, "{said:?}");
    }
}
