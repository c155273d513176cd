//! Finds the user's credentials for a registry in Docker's configuration: in its file, or through a helper (as `docker
//! login` stored them). No secret gets into a log or an error.
use crate::reference::DOCKER_HUB;
use base64::{Engine, prelude::BASE64_STANDARD};
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use std::{collections::HashMap, io, path::Path, process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command};
use wharf_sdk::files::{self, Links};

/// The limit for each file of Docker's configuration; tokens of many registries take some kilobytes.
pub(crate) const MAX_CONFIGURATION_BYTES: u64 = 4 * 1024 * 1024;

/// How long a helper may take. It may ask a keyring, but must not ask the user. Some are programs that take seconds to load,
/// and many may be run at once.
const HELPER_DEADLINE: Duration = Duration::from_secs(60);
/// The name of Docker's own registry in its configuration.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// With this user in a helper's answer, the secret is a token.
const TOKEN: &str = "<token>";

/// The fields of Docker's configuration that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    auths: HashMap<String, Entry>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The answer of a helper.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The user's credentials for a registry, if there are any.
///
/// # Errors
/// The reason why they cannot be read.
pub(crate) async fn of_registry(
    folder: Option<&Path>,
    registry: &str,
) -> Result<Option<DockerCredentials>, String> {
    let Some(folder) = folder else { return Ok(None) };
    let file = folder.join("config.json");
    let configuration: Configuration = match files::read_file(&file, Links::Follow, MAX_CONFIGURATION_BYTES) {
        // The parser's message is not passed on: it may quote a secret.
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| format!("{}: line {} makes no sense", file.display(), error.line()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    let key = if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry };
    let helper = configuration.cred_helpers.get(key).unwrap_or(&configuration.creds_store);
    if !helper.is_empty()
        && let Some(found) = ask(helper, key).await?
    {
        return Ok(Some(found));
    }
    let entry = configuration.auths.into_iter().find(|(name, _)| host_of(name) == host_of(key));
    entry.map_or(Ok(None), |(_, entry)| entry.credentials(key))
}

impl Entry {
    fn credentials(self, key: &str) -> Result<Option<DockerCredentials>, String> {
        let (username, password) = if self.auth.is_empty() {
            (self.username, self.password)
        } else {
            let wrong = || format!("what Docker's configuration has for {key} cannot be read");
            let decoded = BASE64_STANDARD.decode(self.auth.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(decoded).map_err(|_| wrong())?;
            let (name, password) = text.split_once(':').ok_or_else(wrong)?;
            (name.to_owned(), password.trim_end_matches('\0').to_owned())
        };
        if username.is_empty() && self.identitytoken.is_empty() {
            return Ok(None);
        }
        Ok(Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            identitytoken: (!self.identitytoken.is_empty()).then_some(self.identitytoken),
            serveraddress: Some(key.to_owned()),
            ..DockerCredentials::default()
        }))
    }
}

/// The host of a key; old files have URLs as keys.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

/// Asks a helper, the program `docker-credential-NAME`. A helper without credentials for the key is no error.
async fn ask(helper: &str, key: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.contains('/') {
        return Err(format!("Docker's configuration names '{helper}', which is no helper"));
    }
    let asked = tokio::time::timeout(HELPER_DEADLINE, answer(&program, key)).await;
    let output = asked
        .map_err(|_| format!("{program} did not answer within {} s", HELPER_DEADLINE.as_secs()))?
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if !output.status.success() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program} answers what makes no sense"))?;
    let is_token = answer.username == TOKEN;
    let (secret, token) = if is_token { (None, Some(answer.secret)) } else { (Some(answer.secret), None) };
    Ok(Some(DockerCredentials {
        username: (!is_token).then_some(answer.username),
        password: secret,
        identitytoken: token,
        serveraddress: Some(key.to_owned()),
        ..DockerCredentials::default()
    }))
}

async fn answer(program: &str, key: &str) -> io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(key.as_bytes()).await {
            // A helper may answer without reading its input.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    async fn found(config: &str, registry: &str) -> Result<Option<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("config.json"))
            .unwrap()
            .write_all(config.as_bytes())
            .unwrap();
        let found = of_registry(Some(folder.path()), registry).await?;
        Ok(found.map(|found| (found.username.unwrap_or_default(), found.password.unwrap_or_default())))
    }

    #[tokio::test]
    async fn a_registry_is_found_however_it_is_written() {
        let auth = BASE64_STANDARD.encode("me:with:colons");
        let me = Some(("me".to_owned(), "with:colons".to_owned()));
        for key in ["127.0.0.1:5000", "https://127.0.0.1:5000/v1/", "http://127.0.0.1:5000"] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#);
            assert_eq!(found(&config, "127.0.0.1:5000").await.unwrap(), me, "{key}");
            assert_eq!(found(&config, "127.0.0.1:5001").await.unwrap(), None);
        }
        let hub = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#);
        assert_eq!(found(&hub, DOCKER_HUB).await.unwrap(), me);
        assert_eq!(found("{}", DOCKER_HUB).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_unreadable_credential_is_reported_without_its_contents() {
        for config in
            [r#"{"auths":{"r":{"auth":"c2VjcmV0"}}}"#, r#"{"auths":{"r":{"auth":"secret"}}}"#, "secret"]
        {
            let error = found(config, "r").await.unwrap_err();
            assert!(!error.contains("secret") && !error.contains("c2VjcmV0"), "{error}");
        }
        let error = found(r#"{"credsStore":"no-such-helper"}"#, "r").await.unwrap_err();
        assert!(error.contains("docker-credential-no-such-helper cannot be run"), "{error}");
    }
}
