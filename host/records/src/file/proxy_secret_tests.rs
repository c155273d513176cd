//! Secrets of proxies: made once, for one creation, removed with their RunConfig, and in no message.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::*;
use wharf_model::{ProxyAuth, RunConfig, Uid};

fn host() -> (tempfile::TempDir, Store, RunConfig) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(StateDir::new(dir.path().join("state")));
    let run = RunConfig::new(Uid::random().unwrap(), "time".parse().unwrap(), "uvx://mcp-server-time");
    store.create_run_config(&run).unwrap();
    (dir, store, run)
}

fn file(store: &Store) -> std::path::PathBuf {
    store.state().proxy_secrets().join("time.json")
}

#[test]
fn a_secret_stays_until_it_is_renewed_and_is_its_owners_alone() {
    let (_dir, store, run) = host();
    assert!(store.proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap_err().is_not_found());
    let made = store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap();
    assert_eq!(made.expose().len(), 32);
    assert_eq!(store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap(), made);
    assert_eq!(store.proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap(), made);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store.state().proxy_secrets()), mode(&file(&store))), (0o700, 0o600));
    let renewed = store.renew_proxy_secret(&run.name, &run.uid).unwrap();
    assert_ne!(renewed, made);
    assert_eq!(store.proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap(), renewed);
}

#[test]
fn a_secret_goes_with_its_runconfig_and_is_no_later_workloads() {
    let (_dir, store, run) = host();
    let first = store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap();
    store.remove_run_config(&run.name, &run.uid).unwrap();
    assert!(!file(&store).exists());
    // A workload without RunConfig gets no secret: its supervisor may still live.
    assert!(store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).is_err());
    assert!(store.renew_proxy_secret(&run.name, &run.uid).is_err());
    assert!(!file(&store).exists());
    // A file that somebody restored is of another creation.
    let again = RunConfig { uid: Uid::random().unwrap(), ..run.clone() };
    store.create_run_config(&again).unwrap();
    let text = format!(r#"{{"schema_version":"v0.1.0","uid":"{}","secret":"{}"}}"#, run.uid, first.expose());
    fs::File::create(file(&store))
        .and_then(|mut it| std::io::Write::write_all(&mut it, text.as_bytes()))
        .unwrap();
    assert!(store.proxy_secret(&again.name, &again.uid, ProxyAuth::Path).unwrap_err().is_not_found());
    assert_ne!(store.make_proxy_secret(&again.name, &again.uid, ProxyAuth::Path).unwrap(), first);
    assert!(store.renew_proxy_secret(&run.name, &run.uid).is_err(), "the earlier creation has no say");
}

#[test]
fn an_invalid_secret_file_is_never_served_by_and_never_quoted() {
    let (_dir, store, run) = host();
    store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap();
    let uid = &run.uid;
    for bad in [
        String::new(),
        "\"SeCrEt\"".to_owned(),
        r#"{"schema_version":"v0.1.0","uid":"SeCrEt","secret":"SeCrEt"}"#.to_owned(),
        format!(r#"{{"schema_version":"v0.1.0","uid":"{uid}","secret":"SeCrEt"}}"#),
        format!(r#"{{"schema_version":"v0.1.0","uid":"{uid}","secret":""}}"#),
        format!(r#"{{"schema_version":"v0.1.0","uid":"{uid}","secret":["SeCrEt"]}}"#),
        format!(
            r#"{{"schema_version":"v0.1.0","uid":"{uid}","secret":"{}","next":{{"auth":"bearer","secret":""}}}}"#,
            "0".repeat(32)
        ),
    ] {
        fs::File::create(file(&store))
            .and_then(|mut it| std::io::Write::write_all(&mut it, bad.as_bytes()))
            .unwrap();
        let error = store.proxy_secret(&run.name, uid, ProxyAuth::Path).unwrap_err();
        assert!(error.is_corrupt(), "{bad}: {error:?}");
        let told = format!("{} {error:?}", wharf_model::chain(&error));
        assert!(!told.contains("SeCrEt"), "{told}");
        assert_eq!(store.make_proxy_secret(&run.name, uid, ProxyAuth::Path).unwrap().expose().len(), 32);
    }
    let newer = format!(r#"{{"schema_version":"v9.0.0","uid":"{uid}","secret":"{}"}}"#, "0".repeat(32));
    fs::File::create(file(&store))
        .and_then(|mut it| std::io::Write::write_all(&mut it, newer.as_bytes()))
        .unwrap();
    assert!(
        store.make_proxy_secret(&run.name, uid, ProxyAuth::Path).is_err(),
        "a later version's is not written over"
    );
    assert!(!format!("{:?}", store.renew_proxy_secret(&run.name, uid)).contains(char::is_numeric));
}

#[test]
fn a_folder_in_the_place_of_a_secret_file_is_moved_aside_and_kept() {
    let (_dir, store, run) = host();
    let in_the_way = |name: &str| {
        let _ = fs::remove_file(file(&store));
        fs::create_dir_all(file(&store).join(name)).unwrap();
    };
    in_the_way("first");
    let made = store.make_proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap();
    assert_eq!(store.proxy_secret(&run.name, &run.uid, ProxyAuth::Path).unwrap(), made);
    in_the_way("second");
    assert_ne!(store.renew_proxy_secret(&run.name, &run.uid).unwrap(), made);
    in_the_way("third");
    store.remove_run_config(&run.name, &run.uid).unwrap();
    assert!(!file(&store).exists());
    for (number, name) in [(1, "first"), (2, "second"), (3, "third")] {
        let aside = store.state().proxy_secrets().join(format!("time.json.corrupt-{number}"));
        assert!(aside.join(name).is_dir(), "{}", aside.display());
    }
}

/// A command that dies between the secret and the RunConfig leaves the former rule in force; one that dies after the
/// RunConfig leaves the new one.
#[test]
fn a_secret_for_a_new_way_of_access_counts_once_the_runconfig_names_that_way() {
    let (_dir, store, run) = host();
    let (name, uid) = (&run.name, &run.uid);
    let path = store.make_proxy_secret(name, uid, ProxyAuth::Path).unwrap();
    store.prepare_proxy_secret(name, uid, ProxyAuth::Path, ProxyAuth::Bearer).unwrap();
    assert_eq!(store.proxy_secret(name, uid, ProxyAuth::Path).unwrap(), path);
    assert_eq!(store.make_proxy_secret(name, uid, ProxyAuth::Path).unwrap(), path);
    let token = store.proxy_secret(name, uid, ProxyAuth::Bearer).unwrap();
    assert_ne!(token, path);
    // Back again, from the state that a change leaves which was cut short after the RunConfig.
    store.prepare_proxy_secret(name, uid, ProxyAuth::Bearer, ProxyAuth::Path).unwrap();
    assert_eq!(store.proxy_secret(name, uid, ProxyAuth::Bearer).unwrap(), token);
    let other = store.proxy_secret(name, uid, ProxyAuth::Path).unwrap();
    assert!(other != path && other != token);
    store.settle_proxy_secret(name, uid, ProxyAuth::Path).unwrap();
    for auth in [ProxyAuth::Path, ProxyAuth::Bearer] {
        assert_eq!(store.proxy_secret(name, uid, auth).unwrap(), other, "nothing else is left");
    }
    // A workload that had none gets one at once.
    fs::remove_file(file(&store)).unwrap();
    store.prepare_proxy_secret(name, uid, ProxyAuth::None, ProxyAuth::Path).unwrap();
    assert!(store.proxy_secret(name, uid, ProxyAuth::Path).is_ok());
}
