//! The check of `doctor` on AppArmor, which may keep ordinary users from making user namespaces (Ubuntu 23.10 and newer):
//! plain processes then get the weaker sandbox, and no other command would say why.
use super::finding::Finding;
use std::fs;

/// Whether user namespaces are forbidden for processes without a profile that allows them.
const RESTRICTED: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// The files with the profile of this process; the second one is for kernels without the first.
const LABELS: [&str; 2] = ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"];
/// The profile of a process that has none.
const UNCONFINED: &str = "unconfined";

/// The finding, if there is one.
pub(super) fn examine() -> Option<Finding> {
    let restricted = fs::read_to_string(RESTRICTED).unwrap_or_default();
    let label = LABELS.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    finding(&restricted, &label, rustix::process::geteuid().is_root())
}

fn finding(restricted: &str, label: &str, is_root: bool) -> Option<Finding> {
    // Root needs no user namespace.
    if restricted.trim() != "1" || is_root {
        return None;
    }
    let label = label.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if !(label.is_empty() || label == UNCONFINED) {
        return Some(Finding::ok("apparmor", format!("the profile of wharf is '{label}'")));
    }
    let message = "AppArmor forbids user namespaces to ordinary users, so plain processes get the weaker sandbox: \
                   see what is not enforced in wharf runtime check process";
    let remedy = "load the profile that comes with wharf, host/apparmor/wharf in its source, once it names where this wharf \
                  is: sudo install -m 644 host/apparmor/wharf /etc/apparmor.d/wharf && sudo apparmor_parser --replace \
                  /etc/apparmor.d/wharf";
    Some(Finding::warning("apparmor", message, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(restricted: &str, label: &str, is_root: bool) -> String {
        let found = finding(restricted, label, is_root);
        found.map(|found| serde_json::to_string(&found).unwrap()).unwrap_or_default()
    }

    #[test]
    fn an_ordinary_user_without_a_profile_is_told_the_way_out() {
        for label in ["unconfined\n", "unconfined\0", ""] {
            let said = said("1\n", label, false);
            assert!(
                said.contains(r#""result":"warning""#) && said.contains("apparmor_parser --replace"),
                "{said}"
            );
        }
    }

    #[test]
    fn doctor_finds_nothing_where_the_apparmor_profile_is_loaded_or_not_needed() {
        assert!(said("1\n", "wharf (unconfined)\n", false).contains(r#""result":"ok""#));
        assert_eq!(said("1\n", "unconfined\n", true), "");
        assert_eq!(said("0\n", "unconfined\n", false), "");
        assert_eq!(said("", "", false), "");
    }

    /// The remedy and the profile in the repository must use the same names.
    #[test]
    fn the_profile_that_is_named_is_there_and_allows_what_is_needed() {
        let profile = include_str!("../../apparmor/wharf");
        let rules = profile.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        assert!(rules.clone().any(|rule| rule == "userns,"), "{profile}");
        assert!(rules.clone().any(|rule| rule.starts_with("profile wharf ")), "{profile}");
        assert!(said("1", "unconfined", false).contains("host/apparmor/wharf"));
    }
}
