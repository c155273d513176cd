//! A process that was not given the secret part of a URL finds it nowhere.
use super::{part_of, write};
use serde_json::json;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};
use wharf_tests::client::{Client, http, split};
use wharf_tests::host::{Host, built, demo_server, has_tool};
use wharf_tests::inspector::inspect;

/// The user id of `nobody`.
const ORDINARY_USER: u32 = 65534;

/// The arguments that make the escaping program look for a part wherever others might leave it.
fn search(host: &Host, part: &str) -> [String; 2] {
    let reversed: String = part.chars().rev().collect();
    let places = ["/proc", "/run", "/tmp", "/var/tmp", "/dev/shm"].map(str::to_owned).join(":");
    ["find".to_owned(), format!("{reversed}:{}:{places}", host.path("").display())]
}

/// The places where a workload finds another one's secret.
fn found_by_a_workload(host: &Host) -> String {
    let url = host.run(&["--name", "neighbour", &demo_server()]);
    let mut client = Client::open(&url).unwrap();
    client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap();
    let [what, with] = search(host, &part_of(&url));
    let text = format!("{} {what} '{with}' >&2\nexec {}", built("wharf-escape").display(), demo_server());
    let server = host.script("searches", &text);
    host.run(&["--name", "searches", &server]);
    let said = host.ok(&["logs", "searches"]);
    host.ok(&["rm", "--all"]);
    said
}

#[test]
fn a_workload_finds_no_other_ones_secret_in_anything_it_can_read() {
    for host in [Host::new(), Host::new().without_namespaces()] {
        let said = found_by_a_workload(&host);
        assert!(said.contains("held (it is in none of"), "{said}");
    }
    // The search finds what can be found.
    let host = Host::new();
    let [what, with] = search(&host, "a-text-that-is-there");
    let text = format!(
        "echo a-text-that-is-there > {}/left\n{} {what} '{with}' >&2\nexec {}",
        host.work().display(),
        built("wharf-escape").display(),
        demo_server()
    );
    host.run(&["--name", "searches", &host.script("searches", &text)]);
    let said = host.ok(&["logs", "searches"]);
    assert!(said.contains("got through"), "{said}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn another_user_finds_no_secret_and_is_not_served() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this test becomes another user, which needs root");
        return;
    }
    let host = Host::new();
    fs::set_permissions(host.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let program = host.path("escape");
    fs::copy(built("wharf-escape"), &program).unwrap();
    let url = host.run(&["--name", "demo", &demo_server()]);
    let searched = |command: &mut Command| {
        let output = command.args(search(&host, &part_of(&url))).output().unwrap();
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.code().is_some() && !said.is_empty(), "{}: {said}{errors}", output.status);
        said.into_owned()
    };
    let as_other = searched(Command::new(&program).uid(ORDINARY_USER).gid(ORDINARY_USER));
    assert!(as_other.contains("held (it is in none of"), "{as_other}");
    let as_owner = searched(&mut Command::new(&program));
    assert!(as_owner.contains("proxy-secrets/demo.json") && as_owner.contains("got through"), "{as_owner}");
    assert_eq!(http(split(&url).0, "POST", "/mcp", &[], "{}").unwrap().status, 404);
}

/// Every file below a folder in which a text stands.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn output_and_logs_at_trace_level_hold_no_secret() {
    let host = Host::new();
    let mut secrets = Vec::new();
    let mut printed = Vec::new();
    let said = |args: &[&str], code: i32| {
        let output = host.command(args).env("WHARF_LOG", "trace").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?} {output:?}");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    for (name, options) in
        [("stdio", &[][..]), ("port", &["--transport", "streamable-http"]), ("token", &["--auth", "bearer"])]
    {
        said(&[&["run", "--name", name], options, &[&demo_server()]].concat(), 0);
        let mut url = String::new();
        for change in [&[][..], &["--rotate"]] {
            url = host.ok(&[&["url", name], change].concat()).trim().to_owned();
            let token = host.wharf(&["url", name, "--token"]).stdout.trim().to_owned();
            let secret = if name == "token" { token.clone() } else { part_of(&url) };
            let mut client = Client::open_with(&url, Some(&token)).unwrap();
            client.call_tool("add", json!({ "a": 2, "b": 3 })).unwrap();
            // Requests that the proxy refuses, perhaps with a line in its log.
            let (address, path) = split(&url);
            for (method, body) in [("POST", "{"), ("POST", "[]"), ("GET", ""), ("PUT", "")] {
                let header = ("Authorization".to_owned(), format!("Bearer {secret}"));
                http(address, method, path, &[header], body).unwrap();
                http(address, method, &format!("{path}/{secret}?{secret}"), &[], body).unwrap();
            }
            secrets.push(secret);
        }
        printed.push(said(&["restart", "--quiet", name], 0).replace(&url, ""));
        for (args, code) in [
            (&["status", name][..], 0),
            (&["status", name, "--format", "json"], 0),
            (&["export", name], 0),
            (&["logs", name], 0),
            (&["logs", "--proxy", name], 0),
            (&["doctor"], 0),
            (&["runtime", "list"], 0),
            (&["run", "--name", name, &demo_server()], 4),
            (&["adopt", name], 4),
        ] {
            printed.push(said(args, code));
        }
        let status = said(&["status", name], 0);
        let path = if name == "token" { "/mcp" } else { "/…/mcp" };
        assert!(status.contains(&format!("http://{}{path}", split(&url).0)), "{status}");
        // A file that makes no sense is not quoted.
        let file = host.path(&format!("state/proxy-secrets/{name}.json"));
        let mended = fs::read_to_string(&file).unwrap();
        let broken = mended.replace("\"uid\":\"", "\"uid\":\"x");
        write(&file, &broken);
        printed.push(said(&["url", name], 1));
        let listed = said(&["list", "--format", "json"], 0);
        assert!(!listed.contains(secrets.last().unwrap()), "{listed}");
        write(&file, &mended);
    }
    assert_eq!(secrets.len(), 6);
    for secret in &secrets {
        for text in &printed {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
        let secrets_folder = host.path("state/proxy-secrets").display().to_string();
        let mut files = files_with(&host.path(""), secret);
        files.retain(|file| !file.starts_with(&secrets_folder));
        assert_eq!(files, Vec::<String>::new());
        for process in host.processes() {
            for file in ["cmdline", "environ"] {
                let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&bytes).contains(secret.as_str()), "{process} {file}");
            }
        }
    }
}

#[test]
fn the_official_inspector_works_with_the_url_that_is_printed() {
    if !has_tool("inspector", "mcp-inspector") {
        return;
    }
    let host = Host::new();
    for transport in ["stdio", "streamable-http"] {
        let url = host.run(&["--name", transport, "--transport", transport, &demo_server()]);
        part_of(&url);
        let tools = inspect(&url, &["--method", "tools/list"]);
        assert!(tools["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "add"), "{tools}");
    }
    let url = host.run(&["--name", "token", "--auth", "bearer", &demo_server()]);
    let token = host.ok(&["url", "token", "--token"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    let tools = inspect(&url, &["--method", "tools/list", "--header", &header]);
    assert!(tools["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "add"), "{tools}");
}
