//! Nothing of a cluster stays on the machine, however it ends, even half-made.
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wharf_tests::cluster::Cluster;

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/kubernetes").join(name))
}

/// All that the machine has of the cluster of a folder, outside of it: processes that see the folder as a mount, cgroups,
/// the interface. A process that only waits to be reaped sees no mounts any more.
fn traces(folder: &Path) -> Vec<String> {
    let path = folder.display().to_string();
    let digest: String = Sha256::digest(&path).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let entries = |folder: &str| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mounts = entries("/proc").map(|entry| entry.path().join("mountinfo"));
    let mut found: Vec<PathBuf> = mounts
        .filter(|mounts| fs::read_to_string(mounts).is_ok_and(|mounts| mounts.contains(&path)))
        .collect();
    let hierarchies = entries("/sys/fs/cgroup").map(|entry| entry.path());
    let groups = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]);
    found.extend(
        groups.map(|at| at.join(format!("wharf-kubernetes-{digest}"))).filter(|group| group.exists()),
    );
    let interfaces = entries("/sys/class/net").map(|entry| entry.path());
    found.extend(interfaces.filter(|at| at.display().to_string().contains(&format!("wk-{digest}"))));
    found.iter().map(|trace| trace.display().to_string()).collect()
}

/// The machine's values of those settings that the kubelet changes where it may.
fn settings() -> Vec<String> {
    let names = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];
    names.map(|name| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap()).to_vec()
}

#[test]
fn a_script_that_is_killed_at_any_step_leaves_nothing_that_the_other_does_not_remove() {
    const STEPS: usize = 5;
    if Cluster::shared().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(place.path()).unwrap().join("cluster");
    for step in 0..=STEPS {
        let mut up = script("up").arg(&folder).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(up.stderr.take().unwrap()).lines();
        let said: Vec<String> = said.take(step).map(Result::unwrap).collect();
        assert_eq!(said.len(), step, "{said:?}");
        up.kill().unwrap();
        up.wait().unwrap();
        assert!(step < 2 || !traces(&folder).is_empty(), "it had begun");
        let down = script("down").arg(&folder).output().unwrap();
        assert!(down.status.success(), "after step {step}: {down:?}");
        assert_eq!(traces(&folder), Vec::<String>::new(), "after step {step}");
        let left = fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.filter(|name| name != "log").count(), 0, "after step {step}");
    }
}

#[test]
fn a_cluster_beside_another_goes_with_who_holds_it_and_changes_no_settings_of_the_machine() {
    let before = settings();
    let Some(one) = Cluster::shared() else { return };
    let Some(other) = Cluster::own() else { return };
    let identity = |cluster: &Cluster| {
        cluster.kubectl(&["get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"])
    };
    assert_ne!(identity(&one), identity(&other));
    assert_eq!(settings(), before);
    let folder = fs::canonicalize(other.folder()).unwrap();
    assert!(!traces(&folder).is_empty());
    drop(other); // closes the pipe, as the kernel does when a process ends
    assert_eq!(traces(&folder), Vec::<String>::new());
    assert!(!folder.exists());
    assert!(!identity(&one).is_empty(), "the first one serves still");
}
