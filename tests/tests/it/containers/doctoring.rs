//! The findings of `doctor` on engines that cannot be used, with remedies.
use super::{alone, host};
use serde_json::{Value, json};
use std::os::unix::{fs::PermissionsExt, net::UnixListener};
use std::path::Path;
use std::process::Command;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, Said};

/// The finding of `doctor` on a runtime.
struct Told {
    code: i32,
    result: String,
    why: String,
    remedy: String,
}

/// The same in JSON as in words, of commands that differ in their arguments alone.
fn told(command: impl Fn(&[&str]) -> Command, runtime: &str) -> Told {
    let run = |args: &[&str]| Said::of(&command(args).output().unwrap());
    let (diagnosis, words) = (run(&["doctor", "--format", "json"]), run(&["doctor"]));
    let code = diagnosis.code;
    let diagnosis: Value = serde_json::from_str(&diagnosis.stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap().iter();
    let mut of = checks.filter(|check| check["message"].as_str().unwrap().starts_with(runtime));
    let check = of.next().expect("it was looked at");
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let told = Told { code, result: text("result"), why: text("message"), remedy: text("remedy") };
    let sentence = if code == 0 { "workloads can be run" } else { "workloads cannot be run" };
    assert_eq!((words.code, &diagnosis["ok"]), (code, &json!(code == 0)), "{words:?}");
    assert!(words.stdout.contains(&told.why) && words.stdout.contains(&told.remedy), "{words:?}");
    assert!(words.stdout.trim_end().ends_with(sentence), "{words:?}");
    told
}

/// Leaves only the container runtimes on this host.
fn without_processes(host: &Host) {
    let library = wharf_tests::library("wharf-plugin-process").file_name().unwrap().to_owned();
    std::fs::remove_file(host.path("plugins").join(library)).unwrap();
}

#[test]
fn doctor_tells_a_missing_engine_socket_from_a_forbidden_one() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::of_user(65534);
    host.add_plugin("docker");
    let (missing, forbidden) = (host.path("missing.sock"), host.path("forbidden.sock"));
    let endpoint = |socket: &Path| json!({ "endpoint": format!("unix://{}", socket.display()) });
    let _listener = UnixListener::bind(&forbidden).unwrap();
    for mode in [0o600, 0o660] {
        let (docker, podman) = if mode == 0o600 { (&missing, &forbidden) } else { (&forbidden, &missing) };
        host.configure(&json!({ "runtimes": { "docker": endpoint(docker), "podman": endpoint(podman) } }));
        host.own();
        std::os::unix::fs::chown(&forbidden, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(&forbidden, std::fs::Permissions::from_mode(mode)).unwrap();
        let told = |runtime| told(|args| host.command(args), runtime);
        let (docker, podman) = (told("docker"), told("podman"));
        assert_eq!((docker.code, docker.result.as_str()), (0, "warning"));
        if mode == 0o600 {
            assert!(docker.why.contains("there is no socket"), "{}", docker.why);
            assert_eq!(docker.remedy, "start the engine");
            assert!(podman.why.contains("may not use"), "{}", podman.why);
            assert!(
                podman.remedy.ends_with("systemctl --user enable --now podman.socket"),
                "{}",
                podman.remedy
            );
        } else {
            assert!(docker.why.contains("may not use"), "{}", docker.why);
            assert!(docker.remedy.contains("usermod -aG root $USER"), "its group: {}", docker.remedy);
            assert!(podman.why.contains("there is no socket"), "{}", podman.why);
            let serve = format!("podman system service --time=0 unix://{}", missing.display());
            assert!(podman.remedy.ends_with(&serve), "{}", podman.remedy);
        }
    }
}

#[test]
fn doctor_advises_to_start_a_stopped_docker() {
    let Some(mut docker) = Engine::start(Kind::Docker) else { return };
    let host = host(&[(Kind::Docker, docker.endpoint())]);
    without_processes(&host);
    let works = told(|args| alone(&host, args), "docker");
    assert_eq!((works.code, works.why.as_str(), works.remedy.as_str()), (0, "docker is healthy", ""));
    docker.stop();
    // A service manager that holds the socket for it leaves the file, as does an engine that was killed.
    drop(UnixListener::bind(docker.socket()).unwrap());
    let stopped = told(|args| alone(&host, args), "docker");
    assert_eq!((stopped.code, stopped.result.as_str()), (1, "warning"));
    let why = format!("docker is unhealthy: nothing listens on {}", docker.socket().display());
    assert_eq!((stopped.why.as_str(), stopped.remedy.as_str()), (why.as_str(), "start the engine"));
    // So says a `run` that was left to choose, and found nobody.
    let refused = Said::of(&alone(&host, &["run", "--name", "x", DEMO_IMAGE]).output().unwrap());
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("hint: start the engine\n"), "{refused:?}");
    assert!(refused.stderr.contains("hint: see: wharf runtime check\n"), "{refused:?}");
    host.add_plugin("process");
    assert_eq!(told(|args| alone(&host, args), "docker").code, 0, "processes can be run");
    std::fs::remove_file(docker.socket()).unwrap();
    docker.resume();
    assert_eq!(told(|args| alone(&host, args), "docker").why, "docker is healthy");
}

#[test]
fn doctor_advises_to_install_a_missing_podman_and_to_enable_the_socket_of_an_installed_one() {
    let host = Host::new();
    host.add_plugin("docker");
    without_processes(&host);
    let bare = |args: &[&str]| alone(&host, args);
    let missing = told(bare, "podman");
    assert_eq!((missing.code, missing.result.as_str()), (1, "warning"));
    assert!(missing.why.starts_with("podman is undetected: Podman was not found (tried "), "{}", missing.why);
    let tried = host.engines().join("podman.sock").display().to_string();
    assert!(missing.why.contains(&tried), "{}", missing.why);
    assert!(missing.remedy.starts_with("install Podman, then "), "{}", missing.remedy);
    assert!(missing.remedy.ends_with("enable --now podman.socket"), "{}", missing.remedy);
    host.install_engine("podman");
    let silent = told(bare, "podman");
    assert!(
        silent.why.starts_with("podman is unhealthy: Podman is installed, but serves nobody"),
        "{}",
        silent.why
    );
    assert!(silent.remedy.starts_with("let Podman serve its socket: systemctl "), "{}", silent.remedy);
}

/// A user who looks for the container with Docker must know that it is elsewhere.
#[test]
fn run_names_the_runtime_that_it_chose_where_the_first_is_unavailable() {
    let Some(podman) = Engine::start(Kind::Podman) else { return };
    let host = Host::new();
    host.add_plugin("docker");
    let missing = format!("unix://{}", host.path("missing.sock").display());
    host.configure(&json!({ "runtimes": {
        "docker": { "endpoint": missing }, "podman": { "endpoint": podman.endpoint() },
    } }));
    let said = host.wharf(&["run", "--name", "here", DEMO_IMAGE]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stderr.contains("missing.sock") && said.stderr.contains("it is run by 'podman'"),
        "{said:?}"
    );
    assert_eq!(host.row("here").unwrap()["runtime_name"], "podman");
    host.ok(&["rm", "here"]);
}
