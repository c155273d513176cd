//! What `docker run` and `podman run` users type first, on both engines; and what is told before a start.
use super::behind::HANDSHAKE;
use super::{add, containers, host, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind, SHELL_IMAGE};
use wharf_tests::host::{Host, demo_server, eventually};
use wharf_tests::images::Image;

/// Runs a shell that says these things on its stderr, and returns what it said.
fn says(host: &Host, kind: Kind, options: &[&str], things: &str) -> String {
    let script = format!("{HANDSHAKE}{things} >&2\necho said all >&2\ncat >/dev/null");
    let run = [&["--runtime", kind.runtime(), "--name", "says"], options].concat();
    host.run(&[&run[..], &[SHELL_IMAGE, "--", "sh", "-c", &script]].concat());
    eventually("it has said all", || host.ok(&["logs", "says"]).contains("said all"));
    let said = host.ok(&["logs", "says"]);
    host.ok(&["rm", "says"]);
    said
}

fn are_honoured(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = host(&[(kind, engine.endpoint())]);
    let said = says(&host, kind, &[], "ulimit -n");
    let files = said.lines().next().and_then(|count| count.parse::<u64>().ok());
    assert!(said.contains("unlimited") || files.is_some_and(|files| files >= 1500), "{said}");
    let options = [
        "--ulimit",
        "nofile=1500:1600",
        "--cap-add",
        "SETUID",
        "--cap-add",
        "CAP_SETGID",
        "--workdir",
        "/tmp",
        "--tmpfs",
        "/tmp:size=1m",
        "--shm-size",
        "2m",
        "--add-host",
        "db:10.1.2.3",
        "--add-host",
        "host.docker.internal:host-gateway",
        "--no-init",
        "--stop-timeout",
        "1",
    ];
    let said = says(
        &host,
        kind,
        &options,
        "{ ulimit -n; pwd; echo process $$; cat /proc/self/status /proc/mounts /etc/hosts; }",
    );
    let has = |words: &str| assert!(said.contains(words), "no {words:?} in {said}");
    [
        "1500\n",
        "/tmp\n",
        "process 1\n",
        "CapEff:\t00000000000000c0",
        "size=1024k",
        "size=2048k",
        "10.1.2.3\tdb",
    ]
    .into_iter()
    .for_each(has);
    let gateway = said.lines().find(|line| line.contains("host.docker.internal")).unwrap_or_default();
    let address = gateway.split_whitespace().next().unwrap_or_default();
    assert!(address.parse::<std::net::IpAddr>().is_ok(), "the address of this machine: {gateway:?}");
    networks(&host, &engine);
    volumes(&host, &engine);
    entrypoint(&host, kind);
    assert_eq!(containers(&engine), Vec::<String>::new());
}

fn networks(host: &Host, engine: &Engine) {
    let kind = engine.kind();
    let url = run(host, kind, "none", &["--network", "none"]);
    assert_eq!(add(&url), "5");
    let mode = |name: &str| {
        let all = containers(engine);
        let own = all.iter().find(|container| container.starts_with(name)).unwrap();
        engine.client(&["inspect", "--format", "{{.HostConfig.NetworkMode}}", own]).trim().to_owned()
    };
    assert_eq!(mode("none-"), "none");
    host.ok(&["rm", "none"]);
    // Podman keeps networks of all engines of a machine in one place.
    let network = format!("back-{}", std::process::id());
    engine.client(&["network", "create", &network]);
    let url = run(host, kind, "named", &["--network", &network, "--transport", "streamable-http"]);
    assert_eq!(add(&url), "5", "its port is published from there, too");
    host.ok(&["rm", "named"]);
    engine.client(&["network", "rm", &network]);
    let refused = host.wharf(&[
        "run",
        "--runtime",
        kind.runtime(),
        "--network",
        "host",
        "--transport",
        "streamable-http",
        DEMO_IMAGE,
    ]);
    assert!(refused.code == 2 && refused.stderr.contains("--network"), "{refused:?}");
    assert!(!refused.stderr.contains("runtimes that can"), "{refused:?}");
}

fn volumes(host: &Host, engine: &Engine) {
    let kind = engine.kind();
    let write = ["-v", "kept:/data", "--cap-add", "DAC_OVERRIDE"];
    says(host, kind, &write, "{ echo once >/data/file; }");
    let said = says(host, kind, &["-v", "kept:/data:ro"], "{ cat /data/file; echo twice >/data/file; }");
    assert!(said.contains("once") && said.contains("ead-only"), "{said}");
    engine.client(&["volume", "rm", "kept"]);
    fs::create_dir(host.work().join("labelled")).unwrap();
    let labelled = says(host, kind, &["-v", "./labelled:/data:ro,z"], "cat /proc/mounts");
    assert!(labelled.lines().any(|line| line.contains(" /data ") && line.contains("ro,")), "{labelled}");
    let relative = host.wharf(&["run", "--runtime", kind.runtime(), "-v", "some/folder:/data", DEMO_IMAGE]);
    assert!(relative.code == 2 && relative.stderr.contains("./some/folder:/data"), "{relative:?}");
    let missing = host.wharf(&["run", "--runtime", kind.runtime(), "-v", "./missing:/data:z", DEMO_IMAGE]);
    assert!(missing.code != 0 && missing.stderr.contains("does not exist"), "{missing:?}");
    assert!(!host.work().join("missing").exists(), "nothing is made of it");
}

fn entrypoint(host: &Host, kind: Kind) {
    let script = format!("{HANDSHAKE}cat >/dev/null");
    let run = ["--runtime", kind.runtime(), "--name", "entered", "--entrypoint", "/bin/sh", SHELL_IMAGE];
    host.run(&[&run[..], &["--", "-c", &script]].concat());
    host.ok(&["rm", "entered"]);
}

#[test]
fn options_of_docker_run_are_honoured() {
    are_honoured(Kind::Docker);
}

#[test]
fn options_of_podman_run_are_honoured() {
    are_honoured(Kind::Podman);
}

#[test]
fn a_runtime_without_an_option_refuses_it_by_name_and_says_which_can() {
    let host = host(&[]);
    let cases = [
        ["--ulimit", "nofile=10"],
        ["--cap-add", "SETUID"],
        ["--network", "none"],
        ["--add-host", "db:10.0.0.1"],
        ["--entrypoint", "/bin/sh"],
        ["--platform", "linux/amd64"],
        ["--shm-size", "1m"],
        ["--tmpfs", "/tmp"],
        ["--no-init", "--runtime=process"],
    ];
    for case in cases {
        let said = host.wharf(&["run", "--runtime", "process", case[0], case[1], &demo_server()]);
        let said = if case[0] == "--no-init" {
            host.wharf(&["run", case[1], case[0], &demo_server()])
        } else {
            said
        };
        assert!(said.code == 2 && said.stderr.contains(case[0]), "{case:?}: {said:?}");
    }
}

/// Nothing is pulled for what is no platform: the image is nowhere.
#[test]
fn what_is_no_platform_is_refused_before_anything_is_pulled() {
    for kind in [Kind::Docker, Kind::Podman] {
        let Some(engine) = Engine::start(kind) else { continue };
        let host = host(&[(kind, engine.endpoint())]);
        for platform in ["foo", "linux/", " ", "linux/amd64/v8/x"] {
            let image = "127.0.0.1:1/nowhere";
            let said = host.wharf(&["run", "--runtime", kind.runtime(), "--platform", platform, image]);
            assert_ne!(said.code, 0, "{platform}: {said:?}");
            for words in ["such as linux/arm64", &format!("'{platform}' is no platform")] {
                assert!(said.stderr.contains(words), "{platform}: {said:?}");
            }
            assert!(!said.stderr.contains("cannot be pulled"), "{platform}: {said:?}");
        }
        assert_eq!((containers(&engine), host.list()), (vec![], vec![]));
    }
}

/// A folder that the user of the image cannot use is told before the start, and the workload is started all the same.
fn is_told(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let host = host(&[(kind, engine.endpoint())]);
    let folder = host.work().join("theirs");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&folder, Some(1000), Some(1000)).unwrap();
    let told = |name: &str, more: &[&str]| {
        let run = [&["run", "--runtime", kind.runtime(), "--name", name], more, &[DEMO_IMAGE]].concat();
        let said = host.wharf(&run);
        assert_eq!(said.code, 0, "{said:?}");
        host.ok(&["rm", name]);
        said.stderr
    };
    let said = told("root", &["-v", "./theirs:/data"]);
    assert!(said.contains("warning") && said.contains("cannot be written by root"), "{said}");
    for fine in [&["-v", "./theirs:/data:ro"][..], &["--user", "1000:1000", "-v", "./theirs:/data"]] {
        let said = told("fine", fine);
        // A Podman without an init program is told with each container.
        let warned = said.lines().any(|line| line.contains("warning") && !line.contains("catatonit"));
        assert!(!warned, "{fine:?}: {said}");
    }
    let socket = format!("{}:/var/run/docker.sock", engine.socket().display());
    // A name by which engines' sockets are known.
    let known = host.work().join("docker.sock");
    std::os::unix::fs::symlink(engine.socket(), &known).unwrap();
    let known = format!("{}:/var/run/docker.sock", known.display());
    // The engine's own socket is known whatever it is called.
    for mounted in [known, socket] {
        let said = told("engine", &["-v", &mounted]);
        assert!(said.contains("socket of an engine") && !said.contains("--user"), "{mounted}: {said}");
    }
}

#[test]
fn a_folder_that_a_container_of_docker_cannot_use_is_told() {
    is_told(Kind::Docker);
}

#[test]
fn a_folder_that_a_container_of_podman_cannot_use_is_told() {
    is_told(Kind::Podman);
}

/// An image for another platform is told with both platforms, before anything is made of it.
fn is_for_another_platform(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    let Some(image) = Image::of_shell(kind.runtime()) else { return };
    let other = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
    let image = image.for_architecture("localhost/wharf-other:test", other);
    engine.load(&image);
    let host = host(&[(kind, engine.endpoint())]);
    let said = host.wharf(&["run", "--runtime", kind.runtime(), image.name(), "--", "sh"]);
    assert_ne!(said.code, 0, "{said:?}");
    let both = [format!("linux/{other}"), "and the engine runs linux/".to_owned()];
    assert!(both.iter().all(|words| said.stderr.contains(words)), "{said:?}");
    assert_eq!((containers(&engine), host.list()), (vec![], vec![]));
}

#[test]
fn an_image_for_another_platform_than_dockers_is_told_with_both() {
    is_for_another_platform(Kind::Docker);
}

#[test]
fn an_image_for_another_platform_than_podmans_is_told_with_both() {
    is_for_another_platform(Kind::Podman);
}

/// What ends because of the hardening says so.
fn says_why(kind: Kind) {
    let Some(engine) = Engine::start(kind) else { return };
    if !engine.import_shell() {
        return;
    }
    let host = host(&[(kind, engine.endpoint())]);
    let script = "echo 'su-exec: setgroups: Operation not permitted' >&2; exit 1";
    let said = host.wharf(&["run", "--runtime", kind.runtime(), SHELL_IMAGE, "--", "sh", "-c", script]);
    assert!(said.code != 0 && said.stderr.contains("--cap-add"), "{said:?}");
    let said = host.wharf(&[
        "run",
        "--runtime",
        kind.runtime(),
        SHELL_IMAGE,
        "--",
        "sh",
        "-c",
        "echo no >&2; exit 1",
    ]);
    assert!(said.code != 0 && !said.stderr.contains("--cap-add"), "{said:?}");
    drops_from_root(&host, kind);
}

/// An entrypoint as those of gosu, su-exec and setpriv: root at first, and the server's own user from then on.
fn drops_from_root(host: &Host, kind: Kind) {
    let users = "busybox mkdir -p /etc\necho root:x:0:0::/:/bin/sh >/etc/passwd\n\
                 echo app:x:1000:1000::/:/bin/sh >>/etc/passwd\necho app:x:1000: >/etc/group";
    let server = format!("cat >/dev/shm/server <<'END'\n{HANDSHAKE}id -u >&2\ncat >/dev/null\nEND");
    let drop = "exec busybox start-stop-daemon -S -p /nothing -c app:app -x /bin/sh -- /dev/shm/server";
    let script = format!("{users}\n{server}\n{drop}");
    let options = ["--runtime", kind.runtime(), "--name", "dropped"];
    let run = |more: &[&str]| {
        let args = [&["run"], &options[..], more, &[SHELL_IMAGE, "--", "sh", "-c", &script]].concat();
        host.wharf(&args)
    };
    let said = run(&[]);
    assert!(said.code != 0 && said.stderr.contains("--cap-add"), "{said:?}");
    let said = run(&["--cap-add", "SETUID", "--cap-add", "SETGID"]);
    assert_eq!(said.code, 0, "{said:?}");
    eventually("it is the image's user", || host.ok(&["logs", "dropped"]).contains("1000"));
    host.ok(&["rm", "dropped"]);
}

#[test]
fn an_error_that_comes_from_the_hardening_of_docker_says_so() {
    says_why(Kind::Docker);
}

#[test]
fn an_error_that_comes_from_the_hardening_of_podman_says_so() {
    says_why(Kind::Podman);
}
