//! The variables that a workload inherits from the host's environment: those of this table, and no others.
use std::collections::BTreeMap;

/// The variable for the folders in which programs are searched.
pub(crate) const SEARCH_PATH: &str = "PATH";
/// Variables that every workload inherits if they are set.
const INHERITED: &[(&str, &str)] = &[
    (SEARCH_PATH, "programs that the workload starts are found"),
    ("HOME", "programs keep their settings and caches there"),
    ("USER", "some programs ask who they are"),
    ("LOGNAME", "the same, by POSIX"),
    ("LANG", "text is read and written in the user's encoding"),
    ("LC_ALL", "the same, with precedence"),
    ("TZ", "local times are the user's"),
    ("TMPDIR", "temporary files go where the user wants them"),
    ("XDG_CACHE_HOME", "programs look there for caches"),
    ("SSL_CERT_FILE", "TLS trusts what this machine trusts (OpenSSL, uv, Python)"),
    ("SSL_CERT_DIR", "the same, as a folder"),
    ("NODE_EXTRA_CA_CERTS", "the same for Node.js"),
    ("NODE_USE_SYSTEM_CA", "the same, from the system's store"),
    ("REQUESTS_CA_BUNDLE", "the same for Python's requests"),
    ("CURL_CA_BUNDLE", "the same for curl, and for requests"),
    ("PIP_CERT", "the same for pip"),
    ("GIT_SSL_CAINFO", "the same for Git"),
    ("AWS_CA_BUNDLE", "the same for the clients of AWS"),
    ("DENO_CERT", "the same for Deno"),
    ("CARGO_HTTP_CAINFO", "the same for Cargo"),
    ("http_proxy", "networks that are reached through a proxy"),
    ("https_proxy", "the same"),
    ("all_proxy", "the same"),
    ("no_proxy", "the same"),
    ("HTTP_PROXY", "the same"),
    ("HTTPS_PROXY", "the same"),
    ("ALL_PROXY", "the same"),
    ("NO_PROXY", "the same"),
    ("NODE_USE_ENV_PROXY", "Node.js heeds these only where this says so"),
];

/// Prefixes of the variables that packages inherit, too: their tools find registries, caches and interpreters by them.
const INHERITED_BY_PACKAGES: &[(&str, &str)] = &[
    ("npm_config_", "npm's settings: registry, CA file"),
    ("NPM_CONFIG_", "the same, in capitals"),
    ("UV_", "uv's settings: index, CA, which Python"),
    ("PIP_INDEX_URL", "the index of this machine's Python tools"),
    ("PIP_EXTRA_INDEX_URL", "the same, further ones"),
];

/// Parts of names of variables that may hold credentials, which are never inherited. The user can pass one by name.
const CREDENTIAL_PARTS: &[&str] = &["TOKEN", "PASSWORD", "PASSWD", "SECRET", "_AUTH", "KEY", "CREDENTIAL"];

/// The environment of a workload: the inherited variables of `host`, and over them those that were asked for.
pub(crate) fn environment(
    host: impl Iterator<Item = (String, String)>,
    asked: &BTreeMap<String, String>,
    is_package: bool,
) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        host.filter(|(name, value)| is_inherited(name, value, is_package)).collect();
    environment.extend(asked.iter().map(|(name, value)| (name.clone(), value.clone())));
    environment
}

/// The variables of this process that are valid text.
pub(crate) fn of_this_process() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn is_inherited(name: &str, value: &str, is_package: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    // A proxy may be given without a scheme.
    if has_credentials(value) || upper.ends_with("_PROXY") && value.contains('@') {
        return false;
    }
    if INHERITED.iter().any(|(inherited, _)| *inherited == name) {
        return true;
    }
    is_package
        && INHERITED_BY_PACKAGES.iter().any(|(start, _)| name.starts_with(start))
        && !CREDENTIAL_PARTS.iter().any(|part| upper.contains(part))
}

/// Whether a URL in the value contains a user or a password, as `https://user:password@host/` does.
pub(crate) fn has_credentials(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(host: &[(&str, &str)], asked: &[(&str, &str)], is_package: bool) -> Vec<String> {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        environment(owned(host).into_iter(), &owned(asked).into_iter().collect(), is_package)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn only_the_table_is_inherited_and_what_is_asked_for_wins() {
        let host = [("PATH", "/bin"), ("HOME", "/h"), ("API_KEY", "k"), ("UV_INDEX_URL", "u")];
        assert_eq!(
            from(&host, &[("HOME", "/other"), ("X", "1")], false),
            ["HOME=/other", "PATH=/bin", "X=1"]
        );
    }

    #[test]
    fn a_proxy_with_a_password_is_not_inherited() {
        let host = [
            ("HTTPS_PROXY", "http://me:secret@proxy.example:3128"),
            ("HTTP_PROXY", "me:secret@proxy.example:3128"),
            ("ALL_PROXY", "socks5://me:secret@proxy.example:1080"),
            ("all_proxy", "socks5://proxy.example:1080"),
            ("http_proxy", "http://proxy.example:3128"),
        ];
        let expected = ["all_proxy=socks5://proxy.example:1080", "http_proxy=http://proxy.example:3128"];
        assert_eq!(from(&host, &[], false), expected);
    }

    #[test]
    fn packages_inherit_settings_of_registries_without_credentials() {
        let host = [
            ("npm_config_registry", "https://r.example/"),
            ("npm_config__authToken", "t"),
            ("NPM_CONFIG__AUTH", "t"),
            ("UV_INDEX_X_PASSWORD", "p"),
            ("UV_CACHE_DIR", "/c"),
            ("UV_PUBLISH_TOKEN", "t"),
            ("UV_INDEX_URL", "https://me:secret@r.example/simple"),
            ("PIP_INDEX_URL", "https://r.example/a@b"),
        ];
        assert_eq!(
            from(&host, &[], true),
            [
                "PIP_INDEX_URL=https://r.example/a@b",
                "UV_CACHE_DIR=/c",
                "npm_config_registry=https://r.example/"
            ]
        );
    }

    #[test]
    fn each_inherited_variable_is_listed_once_with_a_reason() {
        let mut names: Vec<_> = INHERITED.iter().chain(INHERITED_BY_PACKAGES).collect();
        assert!(names.iter().all(|(_, reason)| !reason.is_empty()));
        let count = names.len();
        names.sort();
        names.dedup_by_key(|(name, _)| *name);
        assert_eq!(names.len(), count);
    }
}
