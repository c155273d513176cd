//! The environment of a workload: nothing is inherited but what is listed here.
use std::collections::BTreeMap;

/// What programs need to find themselves, their language, their certificates and the way out.
const FOR_ALL: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// What npx and uvx need beside: their caches and registries.
const FOR_PACKAGES: &[&str] = &["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];

/// Beginnings of names that a kind of workload is given: `LC_*` for all, the tools' own settings for packages.
const PREFIXES_FOR_ALL: &[&str] = &["LC_"];
const PREFIXES_FOR_PACKAGES: &[&str] = &["npm_config_", "NPM_CONFIG_", "UV_"];

/// Parts of names that hold secrets, mostly: a server that a stranger wrote gets none of them.
const SECRET_PARTS: &[&str] = &["TOKEN", "PASSWORD", "SECRET", "AUTH", "KEY", "CREDENTIAL", "PUBLISH"];

/// The environment of a workload: the listed part of `inherited`, overlaid with what was asked for.
pub(crate) fn environment(
    inherited: impl Iterator<Item = (String, String)>,
    is_package: bool,
    asked: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> =
        inherited.filter(|(name, value)| is_listed(name, is_package) && !holds_password(value)).collect();
    environment.extend(asked.iter().map(|(name, value)| (name.clone(), value.clone())));
    environment
}

fn is_listed(name: &str, is_package: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let listed = FOR_ALL.contains(&name)
        || starts(PREFIXES_FOR_ALL)
        || (is_package && (FOR_PACKAGES.contains(&name) || starts(PREFIXES_FOR_PACKAGES)));
    listed && !SECRET_PARTS.iter().any(|part| upper.contains(part))
}

/// A URL with `user:password@` in it.
fn holds_password(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[(&str, &str)], is_package: bool) -> Vec<String> {
        let inherited = names.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment(inherited, is_package, &BTreeMap::new()).into_keys().collect()
    }

    #[test]
    fn what_is_not_listed_is_not_inherited() {
        let names = [("PATH", "/bin"), ("AWS_SECRET_ACCESS_KEY", "x"), ("EDITOR", "vi"), ("LC_ALL", "C")];
        assert_eq!(of(&names, false), ["LC_ALL", "PATH"]);
    }

    #[test]
    fn packages_get_the_settings_of_their_tools_and_no_secrets() {
        let names = [
            ("npm_config_cache", "/c"),
            ("npm_config__authToken", "x"),
            ("UV_INDEX_MINE_PASSWORD", "x"),
            ("UV_PUBLISH_TOKEN", "x"),
            ("UV_CACHE_DIR", "/u"),
        ];
        assert_eq!(of(&names, true), ["UV_CACHE_DIR", "npm_config_cache"]);
        assert!(of(&names, false).is_empty());
    }

    #[test]
    fn a_proxy_with_a_password_is_not_passed_on() {
        assert!(of(&[("HTTPS_PROXY", "http://me:secret@proxy:8080/")], false).is_empty());
        assert_eq!(of(&[("HTTPS_PROXY", "http://proxy:8080/@x")], false), ["HTTPS_PROXY"]);
    }

    #[test]
    fn what_was_asked_for_wins() {
        let asked = BTreeMap::from([("PATH".to_owned(), "/mine".to_owned())]);
        let inherited = [("PATH".to_owned(), "/bin".to_owned())].into_iter();
        assert_eq!(environment(inherited, false, &asked)["PATH"], "/mine");
    }
}
