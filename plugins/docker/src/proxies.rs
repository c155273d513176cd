//! The proxies of networks that a user has told Docker for containers (`proxies` in `config.json`). `docker run` hands them to
//! each container as variables, and so does [`crate::deploy`]. No value gets into a log or an error: it may hold a password.
use crate::credentials::MAX_CONFIGURATION_BYTES;
use serde::Deserialize;
use std::{collections::HashMap, path::Path};
use wharf_sdk::files::{self, Links};

/// The entry for engines that have none of their own.
const DEFAULT: &str = "default";

/// The fields of Docker's configuration that are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    proxies: HashMap<String, Proxies>,
}

/// The proxies for the containers of one engine.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Proxies {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

impl Proxies {
    /// Those for the containers of the engine at this endpoint; none if they cannot be read.
    pub(crate) fn of(folder: Option<&Path>, endpoint: &str) -> Self {
        let text = folder.map(|folder| {
            files::read_file(&folder.join("config.json"), Links::Follow, MAX_CONFIGURATION_BYTES)
        });
        let Some(Ok(text)) = text else { return Self::default() };
        let Ok(Configuration { mut proxies }) = serde_json::from_slice(&text) else {
            tracing::warn!("the proxies in Docker's configuration cannot be read");
            return Self::default();
        };
        proxies.remove(endpoint).or_else(|| proxies.remove(DEFAULT)).unwrap_or_default()
    }

    /// Adds the variables, in both spellings, that a container's environment does not set itself.
    pub(crate) fn add_to(&self, env: &mut Vec<String>) {
        for (name, value) in [
            ("HTTP_PROXY", &self.http_proxy),
            ("HTTPS_PROXY", &self.https_proxy),
            ("NO_PROXY", &self.no_proxy),
            ("FTP_PROXY", &self.ftp_proxy),
            ("ALL_PROXY", &self.all_proxy),
        ] {
            for name in [name.to_owned(), name.to_ascii_lowercase()] {
                let is_set = |set: &String| set.split_once('=').is_some_and(|(set, _)| set == name);
                if !value.is_empty() && !value.contains('\0') && !env.iter().any(is_set) {
                    env.push(format!("{name}={value}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The variables for a container at an engine, which sets one itself.
    fn added(configuration: &str, endpoint: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(folder.path().join("config.json")).unwrap();
        file.write_all(configuration.as_bytes()).unwrap();
        let mut env = vec!["NO_PROXY=mine".to_owned()];
        Proxies::of(Some(folder.path()), endpoint).add_to(&mut env);
        env
    }

    #[test]
    fn a_container_gets_the_proxies_that_docker_run_would_give_it() {
        let configuration = r#"{ "auths": {}, "proxies": {
            "default": { "httpProxy": "http://proxy:3128", "noProxy": "*.corp" },
            "unix:///other.sock": { "allProxy": "socks5://proxy:1080" } } }"#;
        assert_eq!(
            added(configuration, "unix:///var/run/docker.sock"),
            [
                "NO_PROXY=mine",
                "HTTP_PROXY=http://proxy:3128",
                "http_proxy=http://proxy:3128",
                "no_proxy=*.corp"
            ]
        );
        assert_eq!(
            added(configuration, "unix:///other.sock"),
            ["NO_PROXY=mine", "ALL_PROXY=socks5://proxy:1080", "all_proxy=socks5://proxy:1080"]
        );
        for without in ["{}", "no JSON", r#"{ "proxies": {} }"#] {
            assert_eq!(added(without, "unix:///var/run/docker.sock"), ["NO_PROXY=mine"], "{without}");
        }
    }
}
