//! Images that are fetched from a registry, on this machine.
use super::{add, host};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, Said, built, eventually, has_tool, kill, runs};
use wharf_tests::registry::{Registry, USER};

/// `run` with this configuration of Docker's.
fn run(host: &Host, configuration: &Path, more: &[&str]) -> Said {
    let mut command = host.command(&[&["run", "--runtime", "docker"], more].concat());
    // Helpers are looked for here.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(host.work()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).unwrap();
    let output = command.env("DOCKER_CONFIG", configuration).env("PATH", path).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    Said { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn push(engine: &Engine, configuration: &Path, image: &str) {
    engine.client(&["tag", DEMO_IMAGE, image]);
    let output = Command::new("docker")
        .args(["--host", &engine.endpoint(), "push", image])
        .env("DOCKER_CONFIG", configuration)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_image_is_pulled_as_it_was_asked_for() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(registry) = Registry::start(false) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let nobody = registry.configuration(&json!({}));
    let image = registry.image("demo:1");
    push(&docker, &nobody, &image);
    let digest = docker.client(&["inspect", "--format", "{{index .RepoDigests 0}}", &image]);
    docker.client(&["rmi", &image]);
    let said = run(&host, &nobody, &["--name", "one", "--pull", "never", &image]);
    assert!(said.code == 6 && said.stderr.contains("never to be pulled"), "{said:?}");
    let said = run(&host, &nobody, &["--name", "one", "--quiet", &image]);
    assert!(said.code == 0 && said.stderr.is_empty(), "nothing but the URL: {said:?}");
    assert_eq!(add(said.stdout.trim()), "5");
    host.ok(&["rm", "one"]);
    docker.client(&["rmi", &image]);
    let said = run(&host, &nobody, &["--name", "two", "--pull", "always", digest.trim()]);
    assert_eq!(said.code, 0, "{said:?}");
    host.ok(&["rm", "two"]);
    // `--pull always` makes a container of the newest image.
    assert_eq!(run(&host, &nobody, &["--name", "newest", "--pull", "always", &image]).code, 0);
    let made = || docker.client(&["ps", "--all", "--quiet", "--filter", "label=wharf.uid"]);
    let start = || host.command(&["start", "newest"]).env("DOCKER_CONFIG", &nobody).output().unwrap().status;
    let first = made();
    host.ok(&["stop", "newest"]);
    assert!(start().success() && made() == first, "the image is the same");
    host.ok(&["stop", "newest"]);
    let other = docker.client(&["create", DEMO_IMAGE]);
    docker.client(&["commit", other.trim(), &image]);
    docker.client(&["push", &image]);
    assert!(start().success());
    let second = made();
    assert!(second != first && second.lines().count() == 1, "{first} {second}");
    host.ok(&["stop", "newest"]);
    docker.client(&["rm", other.trim()]);
    // Without the registry, an image that must be fetched cannot be, and the existing container stays.
    drop(registry);
    assert!(!start().success());
    assert_eq!(made(), second);
    host.ok(&["rm", "newest"]);
    let empty = tempfile::tempdir().unwrap();
    let said = run(&host, empty.path(), &["--name", "three", "--pull", "always", &image]);
    assert!(said.code != 0 && said.stderr.contains("cannot be pulled"), "{said:?}");
    assert!(host.list().is_empty());
}

#[test]
fn a_waiting_command_shows_the_progress_of_a_pull() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(registry) = Registry::start(false) else { return };
    if !has_tool("docker", "script") {
        return;
    }
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let nobody = registry.configuration(&json!({}));
    let image = registry.image("demo:1");
    push(&docker, &nobody, &image);
    docker.client(&["rmi", &image, DEMO_IMAGE]);
    let seen = on_a_terminal(&host, &nobody, &image);
    assert!(seen.contains(&format!("pulling image '{image}'")), "{seen}");
    assert!(seen.contains("[####") && seen.contains("MB"), "{seen}");
    host.ok(&["rm", "bar"]);
}

/// The output of `run` on a terminal, by script(1).
fn on_a_terminal(host: &Host, configuration: &Path, image: &str) -> String {
    let line = format!("{} run --runtime docker --name bar {image}", built("wharf").display());
    let like = host.command(&[]);
    let variables = like.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::null())
        .env_clear()
        .envs(variables)
        .env("DOCKER_CONFIG", configuration)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Pushes an image to a registry that wants a password, and removes it here. Returns the credentials of [`USER`], as
/// Docker's client writes them down, and the image's name.
fn pushed(docker: &Engine, registry: &Registry) -> (serde_json::Value, String) {
    let known = json!({ "auths": { &registry.address: { "auth": "d2hhcmY6b3Blbi1zZXNhbWU=" } } });
    let image = registry.image("demo:1");
    push(docker, &registry.configuration(&known), &image);
    docker.client(&["rmi", &image]);
    (known, image)
}

#[test]
fn a_pull_sends_the_users_credentials_to_the_registry() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(registry) = Registry::start(true) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let (name, password) = USER;
    let (known, image) = pushed(&docker, &registry);
    let nobody = registry.configuration(&json!({}));
    let said = run(&host, &nobody, &["--name", "none", &image]);
    assert!(said.code != 0 && host.list().is_empty(), "{said:?}");
    let file = registry.configuration(&known);
    let said = run(&host, &file, &["--name", "file", &image]);
    assert_eq!(said.code, 0, "{said:?}");
    host.ok(&["rm", "file"]);
    docker.client(&["rmi", &image]);
    let answer = json!({ "ServerURL": registry.address, "Username": name, "Secret": password });
    host.script("docker-credential-test", &format!("cat >/dev/null; echo '{answer}'"));
    let helper = registry.configuration(&json!({ "credHelpers": { &registry.address: "test" } }));
    let said = run(&host, &helper, &["--name", "helper", &image]);
    assert_eq!(said.code, 0, "{said:?}");
    let written = Command::new("grep")
        .args(["--recursive", "--text", "--fixed-strings", "--files-with-matches", password])
        .arg(host.path("state"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&written.stdout), "", "the password is in no file of wharf's");
    host.ok(&["rm", "helper"]);
}

/// Like `docker-credential-pass`, which starts an agent that stays.
#[test]
fn an_agent_that_a_credential_helper_started_outlives_the_server() {
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(registry) = Registry::start(true) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    let (name, password) = USER;
    let (_, image) = pushed(&docker, &registry);
    let answer = json!({ "ServerURL": registry.address, "Username": name, "Secret": password });
    let agents = host.work().join("agents");
    let agent = format!("echo $$ >> {}; exec sleep 1000", agents.display());
    let text =
        format!("cat >/dev/null; (setsid sh -c '{agent}' >/dev/null 2>&1 </dev/null &); echo '{answer}'");
    host.script("docker-credential-test", &text);
    let helper = registry.configuration(&json!({ "credHelpers": { &registry.address: "test" } }));
    let said = run(&host, &helper, &["--name", "helper", &image]);
    assert_eq!(said.code, 0, "{said:?}");
    let read = || std::fs::read_to_string(&agents).unwrap_or_default();
    eventually("an agent is there", || read().ends_with('\n'));
    let container = docker.client(&["ps", "--quiet", "--filter", "label=wharf.uid"]);
    let started = || docker.client(&["inspect", "--format", "{{.State.StartedAt}}", container.trim()]);
    let before = started();
    docker.client(&["kill", container.trim()]);
    eventually("it is back", || started() != before);
    eventually("it answers", || host.row("helper").unwrap()["status"] == "running");
    let agents: Vec<i32> = read().lines().map(|line| line.parse().unwrap()).collect();
    assert!(agents.iter().all(|pid| runs(*pid)), "an agent was ended: {agents:?}");
    host.ok(&["rm", "helper"]);
    // No zombies either: the agents are nobody's children here any more.
    agents.iter().for_each(|pid| kill(*pid, "KILL"));
    eventually("they are reaped", || {
        !agents.iter().any(|pid| std::fs::exists(format!("/proc/{pid}")).unwrap())
    });
}
