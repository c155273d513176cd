//! A command that dies in the middle leaves no access open that should be closed, and no secret without a workload.
use super::{begun, part_of, write};
use std::fs;
use wharf_tests::client::Client;
use wharf_tests::host::{Host, Said, demo_server};

fn killed_at(host: &Host, point: &str, args: &[&str]) -> Said {
    let output = host.command(args).env("WHARF_FAILPOINT", format!("{point}=kill")).output().unwrap();
    assert_eq!(output.status.code(), None, "{output:?}");
    Said::of(&output)
}

#[test]
fn a_creation_that_was_killed_before_its_secret_gets_one_at_the_next_start() {
    let host = Host::new();
    for point in ["command/run-config.created", "command/proxy-secret.made"] {
        killed_at(&host, point, &["run", "--name", "demo", &demo_server()]);
        let has_secret = host.path("state/proxy-secrets/demo.json").exists();
        assert_eq!(has_secret, point.ends_with("made"));
        let url = begun(&host, "start", "demo");
        part_of(&url);
        assert!(Client::open(&url).is_ok());
        host.ok(&["rm", "demo"]);
        assert_eq!(host.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_removal_that_died_leaves_no_secret_without_its_record() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    killed_at(&host, "command/status.removed", &["rm", "demo"]);
    assert!(host.path("state/proxy-secrets/demo.json").exists());
    killed_at(&host, "command/run-config.removed", &["rm", "demo"]);
    assert_eq!(host.leftovers(), Vec::<String>::new());
}

#[test]
fn a_secret_that_is_lost_or_broken_is_made_anew_and_never_left_out() {
    let host = Host::new();
    let mut url = host.run(&["--name", "demo", &demo_server()]);
    let file = host.path("state/proxy-secrets/demo.json");
    for damage in [None, Some(""), Some("{}"), Some(r#"{"schema_version":"v0.1.0","uid":"0","secret":""}"#)] {
        host.ok(&["stop", "demo"]);
        match damage {
            None => fs::remove_file(&file).unwrap(),
            Some(text) => write(&file, text),
        }
        let said = host.wharf(&["url", "demo"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains("--rotate"), "{said:?}");
        let new = begun(&host, "start", "demo");
        assert_ne!(part_of(&new), part_of(&url));
        assert!(Client::open(&new).is_ok() && Client::open(&url).is_err());
        url = new;
    }
    // While it cannot be had, nobody is served.
    host.ok(&["stop", "demo"]);
    let uid = host.run_config("demo")["uid"].as_str().unwrap().to_owned();
    write(&file, &format!(r#"{{"schema_version":"v9.0.0","uid":"{uid}","secret":"{}"}}"#, "0".repeat(32)));
    let said = host.wharf(&["start", "demo"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(Client::open(&url).is_err());
    fs::remove_file(&file).unwrap();
    host.ok(&["start", "demo"]);
}

#[test]
fn a_folder_in_the_place_of_a_secret_holds_up_neither_a_start_nor_a_removal() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let secret = host.path("state/proxy-secrets/demo.json");
    let in_the_way = || {
        fs::remove_file(&secret).unwrap();
        fs::create_dir_all(secret.join("inside")).unwrap();
    };
    host.ok(&["stop", "demo"]);
    in_the_way();
    let url = begun(&host, "start", "demo");
    assert!(Client::open(&url).is_ok());
    in_the_way();
    host.ok(&["rm", "demo"]);
    assert!(host.row("demo").is_none());
    for aside in ["demo.json.corrupt-1", "demo.json.corrupt-2"] {
        assert!(host.path("state/proxy-secrets").join(aside).join("inside").is_dir());
    }
    host.assert_nothing_runs();
}

/// Secret and record are two files: if a command dies between them, one way of access holds as a whole.
#[test]
fn an_access_change_that_was_killed_is_made_whole_or_not_at_all() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let (mut kept, mut made) = (0, 0);
    for point in ["rename.before", "rename.after"] {
        for nth in 1..=3 {
            host.ok(&["stop", "demo"]);
            let before = host.ok(&["url", "demo"]);
            let point = format!("command/{point}:{nth}");
            killed_at(&host, &point, &["url", "demo", "--auth", "bearer"]);
            let url = begun(&host, "start", "demo");
            if host.run_config("demo")["proxy_auth"] == "path" {
                kept += 1;
                assert_eq!(host.ok(&["url", "demo"]), before, "{point}");
                assert_eq!(url, before.trim());
                assert!(Client::open(&url).is_ok());
            } else {
                made += 1;
                let token = host.ok(&["url", "demo", "--token"]);
                assert!(!before.contains(token.trim()), "{point}: a path is no token");
                assert!(Client::open(&url).is_err() && Client::open(before.trim()).is_err());
                host.ok(&["url", "demo", "--auth", "path"]);
                assert!(!host.ok(&["url", "demo"]).contains(token.trim()));
            }
        }
    }
    assert!(kept >= 2 && made >= 2, "{kept} and {made}");
}
