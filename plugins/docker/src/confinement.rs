//! Reads the confinement of a container from the engine's answer. [`crate::observe`] uses it.
use serde::Deserialize;
use wharf_sdk::{Confinement, Measure};

/// The settings of a container that are read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Settings {
    privileged: bool,
    readonly_rootfs: bool,
    network_mode: String,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    security_opt: Option<Vec<String>>,
    memory: Option<i64>,
    nano_cpus: Option<i64>,
    cpu_quota: Option<i64>,
    pids_limit: Option<i64>,
}

impl Settings {
    /// The confinement, part by part. `weaker` is the container's label with the measures that were left out.
    pub(crate) fn confinement(&self, weaker: Option<&String>) -> Confinement {
        let weaker = weaker.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if self.privileged {
            return Confinement { weaker, ..Confinement::default() };
        }
        let has = |option: &str| self.security_opt.iter().flatten().any(|it| it.starts_with(option));
        let kept = self.kept().join(", ");
        let dropped =
            if kept.is_empty() { "all dropped".to_owned() } else { format!("all dropped but {kept}") };
        let parts = [
            (
                true,
                "files",
                if self.readonly_rootfs { "image, read-only, and mounts" } else { "image and mounts" },
            ),
            (self.network_mode == "none", "network", "a network namespace without any"),
            (self.drops_all(), "capabilities", dropped.as_str()),
            (has("no-new-privileges"), "privileges", "none are gained (no-new-privileges)"),
            (!has("seccomp=unconfined"), "system calls", "the engine's default filter (seccomp)"),
            (self.memory > Some(0), "memory_bytes", "cgroup"),
            (self.nano_cpus > Some(0) || self.cpu_quota > Some(0), "cpus", "cgroup"),
            (self.pids_limit > Some(0), "pids_limit", "cgroup"),
        ];
        let enforced = parts.into_iter().filter(|(is_so, ..)| *is_so);
        let enforced =
            enforced.map(|(_, what, how)| Measure { what: what.to_owned(), how: how.to_owned() }).collect();
        Confinement { enforced, weaker, paths: None }
    }

    /// The capabilities that it keeps. Podman does not list those among the added ones that it grants by itself: they are
    /// missing among the dropped ones.
    fn kept(&self) -> Vec<&str> {
        const USUAL: [&str; 11] = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "NET_BIND_SERVICE",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYS_CHROOT",
        ];
        fn bare(name: &str) -> &str {
            name.strip_prefix("CAP_").unwrap_or(name)
        }
        let dropped = self.cap_drop.as_deref().unwrap_or_default();
        let is_dropped = |usual: &&str| dropped.iter().any(|name| bare(name) == *usual);
        let lists_each = !dropped.iter().any(|name| name.eq_ignore_ascii_case("all"));
        let usual = USUAL.into_iter().filter(|usual| lists_each && !is_dropped(usual));
        self.cap_add.iter().flatten().map(|name| bare(name)).chain(usual).collect()
    }

    /// Whether all capabilities are dropped. Docker repeats the word `ALL`, Podman lists each capability.
    fn drops_all(&self) -> bool {
        /// A list at least this long is one of all: engines give fewer by default.
        const MANY: usize = 10;
        let dropped = self.cap_drop.as_deref().unwrap_or_default();
        dropped.iter().any(|name| name.eq_ignore_ascii_case("all")) || dropped.len() >= MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confinement_reports_each_part_that_the_engine_tells() {
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "ReadonlyRootfs": true, "NetworkMode": "none", "CapDrop": ["ALL"], "Memory": 1, "PidsLimit": 5,
            "SecurityOpt": ["no-new-privileges"],
        }))
        .unwrap();
        let left_out = r#"[{"what":"cpus","how":"the kernel has no quota"}]"#.to_owned();
        let confinement = settings.confinement(Some(&left_out));
        let what: Vec<&str> = confinement.enforced.iter().map(|measure| measure.what.as_str()).collect();
        let all =
            ["files", "network", "capabilities", "privileges", "system calls", "memory_bytes", "pids_limit"];
        assert_eq!(what, all);
        assert_eq!(confinement.weaker[0].what, "cpus");
    }

    #[test]
    fn capabilities_that_it_keeps_are_told() {
        let settings = serde_json::json!({ "CapDrop": ["ALL"], "CapAdd": ["CAP_SETUID", "SETGID"] });
        let confinement = serde_json::from_value::<Settings>(settings).unwrap().confinement(None);
        let told = confinement.enforced.iter().find(|measure| measure.what == "capabilities").unwrap();
        assert_eq!(told.how, "all dropped but SETUID, SETGID");
        let listed = serde_json::json!({ "CapAdd": [], "CapDrop": [
            "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
            "SETPCAP", "SYS_CHROOT",
        ] });
        let confinement = serde_json::from_value::<Settings>(listed).unwrap().confinement(None);
        assert!(confinement.enforced.iter().any(|measure| measure.how == "all dropped but SETGID, SETUID"));
    }

    #[test]
    fn nothing_is_enforced_on_a_privileged_container() {
        let settings: Settings = serde_json::from_value(serde_json::json!({ "Privileged": true })).unwrap();
        assert_eq!(settings.confinement(None), Confinement::default());
    }
}
