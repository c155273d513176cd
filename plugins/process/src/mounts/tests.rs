//! Mounts of homes and folders that are made for the test.
use super::*;
use crate::trail::Trail;
use std::{collections::BTreeMap, os::unix::fs::symlink};

#[test]
fn a_folder_with_keys_has_the_parts_that_hold_none() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    for name in [".ssh", ".cache", "docs", "snap", "share/state", "share/fonts"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    fs::File::create(home.join("server.py")).unwrap();
    symlink("docs", home.join("link")).unwrap();
    let env = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
    let guard = Guard::new(&env, &[], &[home.join("share/state")]);
    let mut found: Vec<_> = parts(&home, &home, &guard).unwrap().into_iter().map(|(_, path)| path).collect();
    found.sort();
    assert_eq!(found, ["docs", "server.py", "share/fonts"].map(|name| home.join(name)));
    for number in 0..PARTS_MAX {
        fs::File::create(home.join(format!("file-{number}"))).unwrap();
    }
    assert!(parts(&home, &home, &guard).is_none(), "each part costs a descriptor");
}

/// A home, and its mounts opened: each a path in it and whether it is written.
fn opened(
    home: &Path,
    guard: &Guard,
    mounts: &[(&str, bool)],
) -> Result<(Vec<PathBuf>, Vec<PathBuf>, Sandbox)> {
    let trail = Trail::new(Vec::new());
    let mut places = Places::new(&trail, guard, "demo", None);
    let mounts: Vec<_> = mounts
        .iter()
        .map(|&(name, is_written)| {
            let name = home.join(name);
            let led = trail.lead(&name).unwrap();
            Mounted { name, led, is_written, at: None }
        })
        .collect();
    let mut sandbox = Sandbox::default();
    open(&mounts, Vec::new(), guard, &mut places, &mut sandbox)?;
    let (read, written) = places.settle()?;
    let paths = |places: Vec<Place>| {
        let mut paths: Vec<_> = places.into_iter().map(|place| place.path).collect();
        paths.sort();
        paths
    };
    Ok((paths(read), paths(written), sandbox))
}

fn home_of(home: &Path) -> BTreeMap<String, String> {
    [("HOME".to_owned(), home.display().to_string())].into()
}

#[test]
fn a_folder_of_keys_that_holds_wharfs_own_files_is_not_opened_even_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    for name in [".config/editor", "elsewhere/wharf"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    let own = home.join(".config/wharf");
    let config = [(".config", false)];
    let is_refused = |mount: (&str, bool)| {
        let guard = Guard::new(&home_of(&home), &[], std::slice::from_ref(&own));
        let refused = opened(&home, &guard, &[mount]).err();
        refused.is_some_and(|error| error.message.contains("files of wharf's own"))
    };
    // It does not exist yet, it is a folder, it is a link.
    assert!(is_refused((".config", false)) && is_refused((".config", true)));
    fs::create_dir(&own).unwrap();
    assert!(is_refused((".config", false)) && is_refused((".config", true)));
    fs::remove_dir(&own).unwrap();
    symlink(home.join("elsewhere/wharf"), &own).unwrap();
    assert!(is_refused((".config", false)) && is_refused((".config", true)));
    assert!(!is_refused((".config/editor", true)));
    let guard = Guard::new(&home_of(&home), &[], &[]);
    assert_eq!(opened(&home, &guard, &config).unwrap().0, [home.join(".config")], "it was named");
}

#[test]
fn nothing_is_made_below_a_place_where_something_else_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    let place = |path: &str, at: Option<&str>| Place {
        name: home.join(path),
        path: home.join(path),
        system: false,
        kept: false,
        at: at.map(|at| home.join(at)),
    };
    let refused = |write: Vec<Place>, read: Vec<Place>| {
        let sandbox = Sandbox { write, read, hidden: vec![home.clone()], ..Sandbox::default() };
        check_nothing_below(&sandbox).is_err()
    };
    let shown = || place("fake", Some("work"));
    assert!(!refused(vec![shown(), place("work", None)], vec![place("work/x", None)]));
    assert!(refused(vec![shown(), place("work/x", None)], Vec::new()));
    assert!(refused(vec![place("work/x", None)], vec![shown()]));
    assert!(refused(vec![shown()], vec![Place { kept: true, ..place("work/x", None) }]));
    assert!(refused(vec![shown()], vec![place("other", Some("work/x"))]));
    // The home is hidden.
    let around = home.parent().unwrap().to_str().unwrap();
    assert!(refused(vec![place("fake", Some(around))], Vec::new()));
}

#[test]
fn a_mount_inside_of_another_counts_also_where_it_is_opened_in_parts_itself() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().canonicalize().unwrap();
    for name in ["docs", "sub/state", "sub/papers", "sub/deep/papers"] {
        fs::create_dir_all(work.join(name)).unwrap();
    }
    let guard = Guard::new(&BTreeMap::new(), &[], &[work.join("sub/state")]);
    let all = |names: &[&str]| names.iter().map(|name| work.join(name)).collect::<Vec<_>>();
    let both = |mounts: &[(&str, bool)]| {
        let (read, written, _) = opened(&work, &guard, mounts).unwrap();
        (read, written)
    };
    let (docs, parts) = (all(&["docs"]), all(&["sub/deep", "sub/papers"]));
    for is_written in [true, false] {
        for mounts in [[("", is_written), ("sub", !is_written)], [("sub", !is_written), ("", is_written)]] {
            let expected = if is_written { (&parts, &docs) } else { (&docs, &parts) };
            let found = both(&mounts);
            assert_eq!((&found.0, &found.1), expected);
        }
    }
}

/// Their user keeps them in a folder that is under version control.
#[test]
fn what_a_shell_runs_is_not_written_where_a_link_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    for name in [".config", ".ssh", "dotfiles", "settings/shell", "later", "docs"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    for name in ["bashrc", "sourced"] {
        fs::File::create(home.join("dotfiles").join(name)).unwrap();
    }
    for (target, link) in [
        ("dotfiles/bashrc", ".bashrc"),
        ("../settings/shell", ".config/fish"),
        // What does not exist yet could be made.
        ("later/profile", ".profile"),
        ("docs", "link"),
        (".", ".home"),
    ] {
        symlink(target, home.join(link)).unwrap();
    }
    let guard = Guard::new(&home_of(&home), &[], &[]);
    let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
    assert_eq!(read, ["dotfiles", "later", "settings"].map(|name| home.join(name)));
    assert_eq!(written, [home.join("docs")]);
    assert!(guard.is_run(&home.join("settings/shell/config.fish")), "it lies in it");
    assert_eq!(opened(&home, &guard, &[("dotfiles", true)]).unwrap().1, [home.join("dotfiles")]);
    // With a key beside it, that folder is opened in parts itself.
    fs::File::create(home.join("dotfiles/id")).unwrap();
    symlink("../dotfiles/id", home.join(".ssh/id")).unwrap();
    let guard = Guard::new(&home_of(&home), &[], &[]);
    let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
    let expected = ["dotfiles/bashrc", "dotfiles/sourced", "later", "settings"];
    assert_eq!((read, written), (expected.map(|name| home.join(name)).to_vec(), vec![home.join("docs")]));
}

#[test]
fn a_part_with_programs_that_its_user_runs_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    for name in ["bin", "go/bin", "docs"] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    let mut env = home_of(&home);
    env.insert("PATH".to_owned(), format!("{0}/bin:{0}/go/bin:/usr/bin", home.display()));
    let guard = Guard::new(&env, &[], &[]);
    let (read, written, sandbox) = opened(&home, &guard, &[("", true)]).unwrap();
    assert_eq!(read, ["bin", "go"].map(|name| home.join(name)));
    assert_eq!(written, [home.join("docs")]);
    assert!(sandbox.hidden.contains(&home) && sandbox.listed.contains(&home));
    // A folder of PATH that does not exist yet, and one by which the user runs programs and the workload does not.
    env.insert("PATH".to_owned(), home.join("docs/later").display().to_string());
    let guard = Guard::new(&env, &[], &[]).with_programs([home.join("bin")]);
    let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
    assert_eq!(read, ["bin", "docs"].map(|name| home.join(name)));
    assert_eq!(written, [home.join("go")]);
    // One that holds a key, and is opened in parts itself.
    fs::File::create(home.join("bin/tool")).unwrap();
    let guard = Guard::new(&env, &[], &[home.join("bin/state")]).with_programs([home.join("bin")]);
    let (read, written, _) = opened(&home, &guard, &[("", true)]).unwrap();
    assert_eq!(read, ["bin/tool", "docs"].map(|name| home.join(name)));
    assert_eq!(written, [home.join("go")]);
    // Named itself it is.
    let guard = Guard::new(&env, &[], &[]).with_programs([home.join("bin")]);
    assert_eq!(opened(&home, &guard, &[("bin", true)]).unwrap().1, [home.join("bin")]);
}

#[test]
fn a_source_that_is_no_absolute_path_is_refused_with_the_way_to_write_it() {
    for text in ["docs", "docs:ro", "docs/sub:ro", "docs:/data", "docs:data"] {
        let message = check_source(text).unwrap_err().message;
        let source = text.split(':').next().unwrap();
        assert!(message.ends_with(&format!("write ./{source}")), "{message}");
    }
    for text in ["./x:/y", "~/docs", "~", "../x:ro", "", ":/x"] {
        let message = check_source(text).unwrap_err().message;
        assert!(message.ends_with("is no absolute path"), "{message}");
    }
    assert!(check_source("/srv").is_ok());
}

#[test]
fn two_mounts_at_one_place_and_a_socket_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    for name in ["docs", "other"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let trail = Trail::new(Vec::new());
    let mount = |name: &str, is_written, at: Option<&str>| {
        let led = trail.lead(&folder.join(name)).unwrap();
        Mounted { name: led.path.clone(), led, is_written, at: at.map(|at| folder.join(at)) }
    };
    let docs = || mount("docs", false, None);
    for second in [docs(), mount("docs", true, None), mount("other", true, Some("docs"))] {
        assert!(check_different(&[docs(), second]).unwrap_err().message.contains("two mounts"));
    }
    let mounts = [docs(), mount("docs", true, Some("x")), mount("other", true, None)];
    assert!(check_different(&mounts).is_ok());
    let _listener = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let guard = Guard::new(&BTreeMap::new(), &[], &[]);
    assert!(opened(&folder, &guard, &[("socket", false)]).unwrap_err().message.contains("is a socket"));
}
