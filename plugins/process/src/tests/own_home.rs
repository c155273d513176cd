//! A folder that a workload is given as its home.
use super::*;
use crate::{
    guard::Guard,
    own_home::{asked, is_its_own},
};
use std::{fs, os::unix::fs::symlink, path::Path};
use wharf_sdk::Pins;

/// A specification that names this folder as its home, and mounts this.
fn spec(host: &TestHost, home: &Path, mount: &str) -> WorkloadSpec {
    WorkloadSpec {
        env: BTreeMap::from([("HOME".to_owned(), home.display().to_string())]),
        mounts: vec![mount.to_owned()],
        ..host.script(Transport::Stdio, "true")
    }
}

#[test]
fn a_folder_is_asked_for_by_its_name_and_a_mount_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (home, link) = (folder.join("home"), folder.join("link"));
    fs::create_dir(&home).unwrap();
    symlink("home", &link).unwrap();
    let host = TestHost::new();
    let asked = |named: &Path, source: &Path, target: &Path| {
        asked(&spec(&host, named, &format!("{}:{}", source.display(), target.display())))
    };
    assert_eq!(asked(&home, &home, &home).as_ref(), Some(&home));
    assert_eq!(asked(&link, &home, &home).as_ref(), Some(&home));
    assert_eq!(asked(&home, &link, &link).as_ref(), Some(&home));
    assert_eq!(asked(&home, &home, Path::new("/tmp/x")), None, "it is shown elsewhere");
    assert_eq!(asked(&home, &folder, &folder), None, "another folder is mounted");
    assert_eq!(asked(&folder.join("none"), &home, &home), None);
    assert_eq!(asked(Path::new("home"), &home, &home), None);
}

#[test]
fn a_folder_that_is_nobodys_home_is_the_workloads_own_from_its_creation_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (users, own) = (folder.join("user"), folder.join("user/servers/own"));
    for made in [&own, &users.join(".config/server"), &folder.join("state")] {
        fs::create_dir_all(made).unwrap();
    }
    let others = Guard::new(&BTreeMap::new(), std::slice::from_ref(&users), &[folder.join("state")]);
    let is_new = |path: &Path| is_its_own(path, None, &others);
    assert!(is_new(&own));
    for closed in [&users, &folder, &users.join(".config/server"), &folder.join("state")] {
        assert!(!is_new(closed), "{}", closed.display());
    }
    let pins =
        |home: Option<&Path>| Pins { home: home.map(|home| home.display().to_string()), ..Pins::default() };
    for name in [".config", ".netrc", ".bashrc"] {
        fs::File::create(own.join(name)).unwrap();
        assert!(!is_new(&own), "{name}: it may be a home that is not known");
        assert!(is_its_own(&own, Some(&pins(Some(&own))), &others), "{name}: it made that itself");
        fs::remove_file(own.join(name)).unwrap();
    }
    assert!(!is_its_own(&own, Some(&pins(None)), &others), "it was none when it was created");
    assert!(!is_its_own(&own, Some(&pins(Some(&users))), &others), "another one was");
    assert!(!is_its_own(&users, Some(&pins(Some(&users))), &others), "the user's keys stay closed");
}

#[test]
fn a_home_of_its_own_is_opened_as_a_whole_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap().join("own");
    fs::create_dir(&home).unwrap();
    let host = TestHost::new();
    let mount = format!("{0}:{0}", home.display());
    let spec = spec(&host, &home, &mount);
    let written = |spec: &WorkloadSpec| {
        let (job, pins) = host.runtime.job_and_pins(spec).unwrap();
        (job.sandbox.unwrap().write.iter().any(|place| place.path == home), pins)
    };
    let (is_written, pins) = written(&spec);
    assert!(is_written);
    assert_eq!(pins.home.as_deref(), home.to_str());
    fs::create_dir(home.join(".config")).unwrap();
    let (is_written, later) = written(&WorkloadSpec { pinned: Some(pins.clone()), ..spec.clone() });
    assert!(is_written && later.home == pins.home);
    let (is_written, pins) = written(&spec);
    assert!(!is_written && pins.home.is_none(), "what another one made in it may be keys");
}

#[test]
fn a_link_in_a_home_of_its_own_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (home, docs) = (folder.join("own"), folder.join("docs"));
    for made in [&home, &docs] {
        fs::create_dir(made).unwrap();
    }
    // A workload has made it, and another one gets the folder.
    symlink(&docs, home.join(".pyenv")).unwrap();
    let host = TestHost::new();
    let (job, pins) =
        host.runtime.job_and_pins(&spec(&host, &home, &format!("{0}:{0}", home.display()))).unwrap();
    assert_eq!(pins.home.as_deref(), home.to_str());
    let sandbox = job.sandbox.unwrap();
    let mut places = sandbox.read.iter().chain(&sandbox.write);
    assert!(!places.any(|place| place.path.starts_with(&docs)), "{sandbox:?}");
}
