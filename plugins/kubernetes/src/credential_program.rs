//! Runs the program of a kubeconfig that hands out credentials, and reads them.
//!
//! Situation: the client library can run such a program, but on the thread that asks, for as long as it takes, and it reads
//! whatever the program prints. A program that hangs, or prints for ever, would take a supervisor with it. Conclusion: the
//! program is run here, with a deadline and a bound on what is read, and killed when either is passed.
//!
//! Called by [`crate::helper`], which says when. It must not know how long credentials are used, nor by whom. No error has
//! any part of what the program prints: that is a secret.
use crate::text::shown;
use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

/// How long the program may take. Some take seconds to load, and many may be run at once.
const WITHIN: Duration = Duration::from_secs(30);
/// How much it may print.
const MOST_BYTES: u64 = 1024 * 1024;

/// The part of the program's output that has the credentials.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Credentials {
    expiration_timestamp: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) client_certificate_data: Option<String>,
    pub(crate) client_key_data: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    status: Credentials,
}

impl Credentials {
    /// When they end, if they do.
    pub(crate) fn ends(&self) -> Result<Option<Timestamp>, String> {
        let Some(text) = &self.expiration_timestamp else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| format!("credentials that end at '{}' cannot be used: that is no time", shown(text)))
    }
}

/// An error about the program: its name, and what it did.
pub(crate) fn named(exec: &ExecConfig, what: &str) -> String {
    format!("the program '{}' of the kubeconfig {what}", shown(exec.command.as_deref().unwrap_or_default()))
}

/// Runs the program to its end.
///
/// # Errors
/// It cannot be run, takes too long, fails, or hands out no credentials.
pub(crate) async fn run(exec: &ExecConfig) -> Result<Credentials, String> {
    match tokio::time::timeout(WITHIN, output(exec)).await {
        Ok(output) => read(exec, &output?),
        // The future was dropped, and with it the program was killed.
        Err(_) => Err(named(exec, &format!("has not ended within {} s", WITHIN.as_secs()))),
    }
}

fn read(exec: &ExecConfig, output: &[u8]) -> Result<Credentials, String> {
    // Such programs print JSON or, as kubectl reads that too, YAML. No part of it is in the message: it has a secret.
    let credentials = serde_saphyr::from_slice::<Output>(output)
        .map_err(|_| named(exec, "prints no ExecCredential with a status"))?
        .status;
    let has_certificate =
        credentials.client_certificate_data.is_some() && credentials.client_key_data.is_some();
    if credentials.token.is_none() && !has_certificate {
        return Err(named(exec, "hands out neither a token nor a certificate with its key"));
    }
    Ok(credentials)
}

/// Runs the program; returns its output if it succeeds.
async fn output(exec: &ExecConfig) -> Result<Vec<u8>, String> {
    let program = exec.command.as_deref().ok_or_else(|| named(exec, "is not named"))?;
    let spec = serde_json::json!({ "interactive": false, "cluster": exec.cluster.as_ref().filter(|_| exec.provide_cluster_info) });
    let asked = serde_json::json!({ "kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec });
    let mut command = Command::new(program);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    command.env("KUBERNETES_EXEC_INFO", asked.to_string());
    // The program cannot ask its user anything here, but its messages reach them, unless the kubeconfig says that it has none.
    let speaks = exec.interactive_mode != Some(ExecInteractiveMode::Never);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command.stderr(if speaks { Stdio::inherit() } else { Stdio::null() });
    let mut child = command.spawn().map_err(|error| named(exec, &format!("cannot be run: {error}")))?;
    let stdout = child.stdout.take().ok_or_else(|| named(exec, "has no output"))?;
    let printed = bounded(exec, stdout).await?;
    let status =
        child.wait().await.map_err(|error| named(exec, &format!("cannot be waited for: {error}")))?;
    if status.success() { Ok(printed) } else { Err(named(exec, &format!("failed: {status}"))) }
}

async fn bounded(exec: &ExecConfig, stdout: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut printed = Vec::new();
    let read = stdout.take(MOST_BYTES + 1).read_to_end(&mut printed).await;
    read.map_err(|error| named(exec, &format!("cannot be read: {error}")))?;
    if printed.len() as u64 > MOST_BYTES {
        return Err(named(exec, &format!("prints more than {MOST_BYTES} bytes")));
    }
    Ok(printed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// This script.
    pub(crate) fn program(script: &str) -> ExecConfig {
        let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "interactiveMode": "Never" });
        serde_json::from_value(exec).unwrap()
    }

    async fn refused(script: &str) -> String {
        let ends = run(&program(script)).await.and_then(|credentials| credentials.ends());
        ends.expect_err("it is refused")
    }

    #[tokio::test]
    async fn a_program_that_prints_for_ever_is_ended() {
        let why = refused("exec yes").await;
        assert!(why.contains("'sh'") && why.contains("prints more than 1048576 bytes"), "{why}");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_hands_out_nothing_is_told_without_its_words() {
        for (script, part) in [
            ("echo s3cret; exit 3", "failed: exit status: 3"),
            ("echo '{\"status\": {}}'", "neither a token nor a certificate"),
            ("echo s3cret", "prints no ExecCredential"),
            ("echo '{\"status\": {\"token\": \"s3cret\", \"expirationTimestamp\": \"soon\"}}'", "'soon'"),
        ] {
            let why = refused(script).await;
            assert!(why.contains(part) && !why.contains("s3cret"), "{script}: {why}");
        }
    }
}
