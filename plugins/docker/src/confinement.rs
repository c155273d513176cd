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
        let parts = [
            (
                true,
                "files",
                if self.readonly_rootfs { "image, read-only, and mounts" } else { "image and mounts" },
            ),
            (self.network_mode == "none", "network", "a network namespace without any"),
            (self.drops_all(), "capabilities", "all dropped"),
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
    fn what_an_engine_tells_is_told_part_by_part() {
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
    fn nothing_holds_a_privileged_one_back() {
        let settings: Settings = serde_json::from_value(serde_json::json!({ "Privileged": true })).unwrap();
        assert_eq!(settings.confinement(None), Confinement::default());
    }
}
