//! A connection that is made anew: how often the program is run that hands out its credentials.
use super::server::{Server, answer, ok};
use crate::{
    connection::Connection,
    endpoint::{Access, Endpoint},
    proxy::Proxies,
};
use serde_json::json;
use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use wharf_sdk::ErrorCode;

/// The connection to a server, with a program that counts its runs in a file, does this, and hands out a token.
fn to(server: &Server, folder: &Path, does: &str) -> Connection {
    let script = format!("echo >>{}; {does}; echo 'status: {{token: t}}'", folder.join("runs").display());
    let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never" });
    let kubeconfig = json!({
        "clusters": [{ "name": "c", "cluster": { "server": server.cluster.address } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
        "users": [{ "name": "u", "user": { "exec": exec } }],
    });
    let file = folder.join("kubeconfig");
    write!(File::create(&file).unwrap(), "{kubeconfig}").unwrap();
    let access = Access::Kubeconfig { files: vec![file], context: "x".to_owned() };
    Connection::to(Endpoint { access, namespace: "n".to_owned() }, Proxies::default())
}

fn runs(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("runs")).unwrap().lines().count()
}

#[tokio::test]
async fn a_connection_is_made_once_for_all_who_wait_and_its_failure_is_told_to_all() {
    let server = Server::start(|_, _| ok(&json!({}))).await;
    for (does, is_made) in [("sleep 0.3", true), ("sleep 0.3; exit 3", false)] {
        let folder = tempfile::tempdir().unwrap();
        let connection = to(&server, folder.path(), does);
        let given_up = connection.cluster();
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
        let all = futures_util::future::join_all((0..20).map(|_| connection.cluster())).await;
        assert!(all.iter().all(|made| made.is_ok() == is_made), "{all:?}");
        assert_eq!(connection.cluster().await.is_ok(), is_made);
        assert_eq!(runs(folder.path()), 1, "{does}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_at_once_are_not_asked_for_anew_with_each_request() {
    let unauthorized = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "reason": "Unauthorized", "message": "Unauthorized", "code": 401, "metadata": {} });
    let server = Server::start(move |_, _| answer("401 Unauthorized", "", &unauthorized.to_string())).await;
    let folder = tempfile::tempdir().unwrap();
    let connection = to(&server, folder.path(), ":");
    let began = Instant::now();
    for _ in 0..20 {
        let error = connection.cluster().await.unwrap().instance().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::PermissionDenied, "{error}");
    }
    let most = 2 + began.elapsed().as_secs();
    assert!(runs(folder.path()) as u64 <= most, "{} runs within {most} s", runs(folder.path()));
    // A kubeconfig that is written anew counts at once.
    let before = runs(folder.path());
    let connection_of_another_file = to(&server, folder.path(), "true");
    drop(connection_of_another_file);
    connection.cluster().await.unwrap();
    assert_eq!(runs(folder.path()), before + 1);
}
