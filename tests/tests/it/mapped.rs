//! A command maps the libraries that it needs and no others, watched from outside.
use std::process::Command;
use wharf_tests::host::{Host, built, demo_server, has_tool};
use wharf_tests::library;

/// How many plugins a command maps, in whichever thread: files of the host's folder, or the sealed memory files that
/// stand for those which their user can write.
fn mapped(host: &Host, args: &[&str]) -> usize {
    let trace = host.path("trace");
    let wharf = host.command(args);
    let environment = wharf.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let status = Command::new("strace")
        .args(["--trace=mmap", "--decode-fds=path", "--quiet=all", "--follow-forks"])
        .arg("--output")
        .arg(&trace)
        .arg(built("wharf"))
        .args(args)
        .env_clear()
        .envs(environment)
        .current_dir(host.path(""))
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let file = |line: &str| Some(line.split('<').nth(1)?.split('>').next()?.to_owned());
    let mut files: Vec<String> = text.lines().filter_map(file).collect();
    files.retain(|file| file.contains("/plugins/") || file.contains("memfd:wharf-plugin"));
    files.sort();
    files.dedup();
    files.len()
}

#[test]
fn r10_a_command_loads_its_owners_library_alone() {
    if !has_tool("strace", "strace") {
        return;
    }
    let host = Host::new();
    for package in ["wharf-test-plugin-alpha", "wharf-test-plugin-beta"] {
        let file = format!("lib{}.so", package.replace('-', "_"));
        std::fs::copy(library(package), host.path("plugins").join(file)).unwrap();
    }
    assert_eq!(mapped(&host, &["runtime", "list"]), 0);
    assert_eq!(mapped(&host, &["list"]), 0, "there is no workload whose owner could be asked");
    host.run(&["--name", "demo", &demo_server()]);
    assert_eq!(mapped(&host, &["list", "--all"]), 1);
    assert_eq!(mapped(&host, &["stop", "demo"]), 1);
    assert_eq!(mapped(&host, &["rm", "demo"]), 1);
    assert_eq!(
        mapped(&host, &["runtime", "check"]),
        3,
        "all are tried, so what was counted above means something"
    );
}
