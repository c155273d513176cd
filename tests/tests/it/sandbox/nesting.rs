//! No workload is started from inside another one, in whatever way: it would end with that one.
use super::hosts;
use serde_json::json;
use std::{fs, path::PathBuf};
use wharf_tests::host::{Host, built, demo_server, eventually, kill, runs};

const REFUSED: &str = "this command runs inside a workload";

/// Runs this command inside a workload, with wharf's folders in the environment; returns how it ended.
fn inside(host: &Host, how: &str, folders: &str, command: &str) -> String {
    let wharf = built("wharf").display().to_string();
    let plugins = host.path("plugins").display().to_string();
    format!(
        "{how} {wharf} {folders} --plugin-dir {plugins} {command} >> said 2>&1\necho \"code $? of {command}\" >> said"
    )
}

fn said(host: &Host) -> String {
    fs::read_to_string(host.work().join("said")).unwrap_or_default()
}

#[test]
fn a_workload_starts_no_other_one_with_folders_of_its_own() {
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        let folders = "--state-dir $PWD/own/state --data-dir $PWD/own/data --config-dir $PWD/own/config";
        let run = format!("run --name inner {}", demo_server());
        let ways = ["", "env -i", "env -i setsid --fork --wait", "sh -c '(sleep 1; exec \"$@\") & wait' -"];
        let tries: Vec<String> = ways.iter().map(|way| inside(&host, way, folders, &run)).collect();
        let foreground =
            inside(&host, "", folders, &format!("run --foreground --name inner {}", demo_server()));
        let text = format!("{}\n{foreground}\nexec {}", tries.join("\n"), demo_server());
        let server = host.script("outer", &text);
        host.run(&["--name", "outer", &server]);
        let said = said(&host);
        assert_eq!(said.matches(REFUSED).count(), ways.len() + 1, "{said}");
        // The last way prints the exit code of the process that waited for it.
        assert_eq!(said.matches("code 4 of run").count(), ways.len(), "{said}");
        assert!(!host.work().join("own").exists(), "something was written");
    }
}

/// If the records are out of sight, no command claims that there are none.
#[test]
fn a_command_inside_a_workload_does_not_claim_that_there_are_no_records() {
    for host in hosts().into_iter().chain(hosts().into_iter().map(Host::without_namespaces)) {
        let path = |name: &str| host.path(name).display().to_string();
        let (state, data, config) = (path("state"), path("data"), path("config"));
        let folders = format!("--state-dir {state} --data-dir {data} --config-dir {config}");
        let commands = [
            "list",
            "list --all --format json",
            "list --watch",
            "status outer",
            "url outer",
            "stop --all",
            "reconcile",
            "import toolhive",
            "import toolhive --dry-run",
            "rm --orphan 0123456789abcdef0123456789abcdef",
        ];
        let tries =
            commands.into_iter().chain(["doctor"]).map(|command| inside(&host, "env -i", &folders, command));
        let tries: Vec<String> = tries.collect();
        let server = host.script("outer", &format!("{}\nexec {}", tries.join("\n"), demo_server()));
        host.run(&["--name", "outer", &server]);
        let said = said(&host);
        // `doctor` reports it, too, at least for the records.
        assert!(said.matches(REFUSED).count() > commands.len(), "{said}");
        for command in commands {
            assert!(said.contains(&format!("code 4 of {command}\n")), "{said}");
        }
        assert!(said.contains("code 1 of doctor\n"), "{said}");
    }
}

/// Without a sandbox, all of the host's own records are in reach.
#[test]
fn a_workload_without_a_sandbox_starts_restarts_and_reconciles_no_other_one() {
    for host in hosts() {
        let profile = host.path("profile.json");
        let mut file = fs::File::create(&profile).unwrap();
        std::io::Write::write_all(&mut file, json!({ "privileged": true }).to_string().as_bytes()).unwrap();
        host.own();
        host.run(&["--name", "other", "--transport", "streamable-http", &demo_server()]);
        let record = host.record("other");
        for killed in [&record["process_id"], &record["handle"]["data"]["launcher"]["pid"]] {
            kill(i32::try_from(killed.as_i64().unwrap()).unwrap(), "KILL");
        }
        eventually("it has ended", || !runs(host.server("other")));
        let records = || {
            ["statuses", "runconfigs"]
                .map(|kind| fs::read(host.path(&format!("state/{kind}/other.json"))).unwrap())
        };
        let before = records();
        let path = |name: &str| host.path(name).display().to_string();
        let folders = format!(
            "--state-dir {} --data-dir {} --config-dir {}",
            path("state"),
            path("data"),
            path("config")
        );
        let run = format!("run --name inner {}", demo_server());
        let commands = ["start other", "restart other", "reconcile other", &run];
        let tries = commands.map(|command| inside(&host, "env -i", &folders, command));
        let text = format!("{}\nexec {}", tries.join("\n"), demo_server());
        let server = host.script("outer", &text);
        host.run(&["--name", "outer", "--permission-profile", &profile.display().to_string(), &server]);
        let said = said(&host);
        assert_eq!(said.matches(REFUSED).count(), commands.len(), "{said}");
        for command in commands {
            assert!(said.contains(&format!("code 4 of {command}")), "{said}");
        }
        assert_eq!(records(), before, "something was written");
        assert!(host.row("inner").is_none());
        // Commands that start nothing work inside, and all commands work outside.
        host.ok(&["start", "other"]);
        host.ok(&["stop", "outer"]);
        assert_eq!(host.row("other").unwrap()["status"], "running");
    }
}

/// Where control groups can be made, a workload that may write there makes some below its own.
#[test]
fn control_groups_below_a_workloads_own_go_with_it() {
    for host in hosts() {
        for killed in [false, true] {
            host.run(&["--name", "grouped", &demo_server()]);
            let groups = host.state_of("grouped")["cgroups"].as_array().cloned().unwrap_or_default();
            let groups: Vec<PathBuf> = groups.iter().map(|folder| folder.as_str().unwrap().into()).collect();
            for group in &groups {
                fs::create_dir_all(group.join("below/it")).unwrap();
            }
            if killed {
                let record = host.record("grouped");
                for pid in [&record["process_id"], &record["handle"]["data"]["launcher"]["pid"]] {
                    kill(i32::try_from(pid.as_i64().unwrap()).unwrap(), "KILL");
                }
            }
            host.ok(&["rm", "grouped"]);
            assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
        }
    }
}
