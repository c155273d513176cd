//! Volumes of pods: claims of the namespace, and paths of the node where the settings allow them.
use crate::names::is_name;
use serde_json::{Value, json};
use std::path::Path;
use wharf_sdk::{Error, Mount, Result, WorkloadSpec};

/// How much may be written to `/tmp` where the image's files cannot be changed.
const TMP_SIZE: &str = "64Mi";
/// The longest name of a claim: that of a DNS subdomain.
const MAX_CLAIM: usize = 253;

/// The volumes of a pod, and where its container sees them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Volumes {
    /// `spec.volumes`.
    pub(crate) volumes: Vec<Value>,
    /// `volumeMounts` of the container.
    pub(crate) mounts: Vec<Value>,
}

/// All volumes of a workload.
pub(crate) fn of(spec: &WorkloadSpec, host_paths: bool, read_only_root: bool) -> Result<Volumes> {
    let mut all = Volumes::default();
    for (number, text) in spec.mounts.iter().enumerate() {
        let mount = parse(text)?;
        let name = format!("volume-{number}");
        let source = match mount.source.starts_with('/') {
            true if host_paths => json!({ "hostPath": { "path": mount.source } }),
            true => {
                let message = format!(
                    "the mount '{text}' names a path of the node, not of this machine; name a claim of the namespace \
                     (CLAIM:PATH), or set runtimes.kubernetes.host_paths in config.json"
                );
                return Err(Error::unsupported("mounts", message));
            }
            false => {
                json!({ "persistentVolumeClaim": { "claimName": mount.source, "readOnly": mount.read_only } })
            }
        };
        let mut volume = source;
        volume["name"] = name.clone().into();
        all.volumes.push(volume);
        all.mounts.push(json!({ "name": name, "mountPath": mount.target, "readOnly": mount.read_only }));
    }
    let has_tmp = all.mounts.iter().any(|mount| mount["mountPath"] == "/tmp");
    if read_only_root && !has_tmp {
        all.volumes.push(json!({ "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": TMP_SIZE } }));
        all.mounts.push(json!({ "name": "tmp", "mountPath": "/tmp" }));
    }
    Ok(all)
}

/// `CLAIM:PATH[:ro]`, or a path of the node in the place of the claim.
fn parse(text: &str) -> Result<Mount<'_>> {
    let wrong =
        |why: &str| Error::invalid(format!("the mount '{text}' {why}; write CLAIM:PATH or CLAIM:PATH:ro"));
    let mount = Mount::parse(text).map_err(wrong)?;
    let is_claim = mount.source.len() <= MAX_CLAIM && mount.source.split('.').all(is_name);
    if !is_claim && !Path::new(mount.source).is_absolute() {
        return Err(wrong("names no claim"));
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::spec;

    fn volumes(mounts: &Value, host_paths: bool, read_only_root: bool) -> Result<Volumes> {
        of(&spec(json!({ "mounts": mounts })), host_paths, read_only_root)
    }

    #[test]
    fn claims_are_mounted_and_paths_of_the_node_only_where_that_is_allowed() {
        let all = volumes(&json!(["data:/data:ro"]), false, true).unwrap();
        assert_eq!(all.volumes[0]["persistentVolumeClaim"], json!({ "claimName": "data", "readOnly": true }));
        assert_eq!(all.mounts[0], json!({ "name": "volume-0", "mountPath": "/data", "readOnly": true }));
        assert_eq!(all.mounts[1]["mountPath"], "/tmp");
        let refused = volumes(&json!(["/srv:/data"]), false, false).unwrap_err();
        assert!(refused.message.contains("host_paths"), "{refused}");
        let allowed = volumes(&json!(["/srv:/tmp"]), true, true).unwrap();
        assert_eq!(
            (allowed.volumes.len(), allowed.volumes[0]["hostPath"]["path"].as_str()),
            (1, Some("/srv"))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in ["data", "data:rel", "data:/a:x", "data:/a:ro:b", "A_b:/a", ":/a"] {
            assert!(volumes(&json!([wrong]), true, false).is_err(), "{wrong}");
        }
    }
}
