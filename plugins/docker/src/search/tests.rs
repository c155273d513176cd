use super::*;
use std::io::Write;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

/// A machine in a temporary folder: `/`, a home, a folder for sockets and one for temporary files.
struct Machine {
    folder: tempfile::TempDir,
    surroundings: Surroundings,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let variables = HashMap::from([
            ("HOME", path("home")),
            ("XDG_RUNTIME_DIR", path("user")),
            ("TMPDIR", path("tmp")),
        ]);
        Self {
            surroundings: Surroundings { root: folder.path().join("root"), search_path: None, variables },
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&mut self, variable: &'static str, value: &str) {
        self.surroundings.variables.insert(variable, value.to_owned());
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Something that says at a socket, with every answer, that it is an engine of this kind.
    fn answers(&self, name: &str, flavor: Flavor) -> PathBuf {
        let headers = match flavor {
            Flavor::Docker => "Api-Version: 1.41\r\nServer: Docker/1.0.0 (linux)\r\n",
            Flavor::Podman => {
                "Api-Version: 1.41\r\nLibpod-Api-Version: 1.0.0\r\nServer: Libpod/1.0.0 (linux)\r\n"
            }
        };
        self.serves(name, headers, "OK")
    }

    /// Something that says it in its version alone.
    fn answers_with_its_version(&self, name: &str, flavor: Flavor) -> PathBuf {
        let component = match flavor {
            Flavor::Docker => "Engine",
            Flavor::Podman => "Podman Engine",
        };
        let version =
            format!(r#"{{"Version":"1.0.0","ApiVersion":"1.41","Components":[{{"Name":"{component}"}}]}}"#);
        self.serves(name, "", &version)
    }

    /// Something that answers every question at a socket with the same.
    fn serves(&self, name: &str, headers: &str, body: &str) -> PathBuf {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        let listener = self.listener(name);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        self.path(name)
    }

    fn listener(&self, name: &str) -> UnixListener {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        UnixListener::bind(path).unwrap()
    }

    async fn find(&self, flavor: Flavor) -> Found {
        self.surroundings.find(flavor, None).await
    }
}

#[tokio::test]
async fn each_usual_place_of_an_engine_socket_is_searched() {
    let docker = [
        "root/var/run/docker.sock",
        "user/docker.sock",
        "home/.docker/desktop/docker.sock",
        "home/.docker/run/docker.sock",
        "home/.colima/default/docker.sock",
        "home/.rd/docker.sock",
        "home/.orbstack/run/docker.sock",
    ];
    let podman = [
        "user/podman/podman.sock",
        "root/run/podman/podman.sock",
        "home/.local/share/containers/podman/machine/podman.sock",
        "tmp/podman/podman-machine-default-api.sock",
    ];
    let docker = docker.map(|place| (Flavor::Docker, place));
    for (flavor, place) in docker.into_iter().chain(podman.map(|place| (Flavor::Podman, place))) {
        let machine = Machine::new();
        let socket = machine.answers(place, flavor);
        assert_eq!(machine.find(flavor).await, Found::Socket(socket), "{place}");
    }
}

#[tokio::test]
async fn of_two_engine_sockets_the_first_is_taken() {
    let machine = Machine::new();
    machine.answers("home/.rd/docker.sock", Flavor::Docker);
    let first = machine.answers("root/var/run/docker.sock", Flavor::Docker);
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(first));
}

#[tokio::test]
async fn an_engine_is_recognised_by_its_answer_and_not_by_its_socket_name() {
    let machine = Machine::new();
    let socket = machine.answers("root/var/run/docker.sock", Flavor::Podman);
    assert_eq!(machine.find(Flavor::Podman).await, Found::Socket(socket));
    let Found::Nothing { tried, .. } = machine.find(Flavor::Docker).await else {
        panic!("there is no Docker")
    };
    assert!(tried[0].contains("Podman answers"), "{tried:?}");
}

#[tokio::test]
async fn an_engine_is_recognised_by_its_version_where_something_takes_its_headers_away() {
    for flavor in [Flavor::Docker, Flavor::Podman] {
        let machine = Machine::new();
        let socket = machine.answers_with_its_version("root/var/run/docker.sock", flavor);
        assert_eq!(machine.find(flavor).await, Found::Socket(socket));
    }
}

#[tokio::test]
async fn a_silent_engine_socket_is_reported_unless_another_answers() {
    let machine = Machine::new();
    drop(machine.listener("root/var/run/docker.sock"));
    let dead = machine.path("root/var/run/docker.sock");
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(dead));
    assert!(matches!(machine.find(Flavor::Podman).await, Found::Nothing { .. }), "it is Docker's place");
    let works = machine.answers("user/docker.sock", Flavor::Docker);
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(works));
}

#[tokio::test]
async fn an_installed_engine_without_a_socket_is_reported_as_installed() {
    let mut machine = Machine::new();
    let is_installed = async |machine: &Machine, flavor| match machine.find(flavor).await {
        Found::Nothing { is_installed, .. } => is_installed,
        found => panic!("{found:?}"),
    };
    machine.write("root/usr/bin/docker", "its client alone");
    machine.write("programs/podman", "");
    assert!(!is_installed(&machine, Flavor::Docker).await && !is_installed(&machine, Flavor::Podman).await);
    machine.write("root/usr/sbin/dockerd", "");
    machine.set("PATH", &machine.path("programs").display().to_string());
    assert!(is_installed(&machine, Flavor::Docker).await && is_installed(&machine, Flavor::Podman).await);
}

/// A machine with both engines at their usual places, one of them installed and silent.
#[tokio::test]
async fn a_search_path_stands_in_the_place_of_every_usual_place() {
    let mut machine = Machine::new();
    machine.answers("root/var/run/docker.sock", Flavor::Docker);
    machine.answers("user/podman/podman.sock", Flavor::Podman);
    machine.write("root/usr/sbin/dockerd", "");
    machine.write("programs/podman", "");
    machine.set("PATH", &machine.path("programs").display().to_string());
    for path in ["", ":", &machine.path("empty").display().to_string()] {
        machine.surroundings.search_path = Some(folders_of(path.as_ref()));
        for flavor in [Flavor::Docker, Flavor::Podman] {
            let Found::Nothing { tried, is_installed: false } = machine.find(flavor).await else {
                panic!("'{path}' leads to an engine")
            };
            assert!(tried.iter().all(|tried| path.len() > 1 && tried.starts_with(path)), "{tried:?}");
        }
    }
    let mine = machine.answers("mine/docker.sock", Flavor::Docker);
    machine.write("more/podman", "");
    let path = std::env::join_paths(["empty", "mine", "more"].map(|name| machine.path(name))).unwrap();
    machine.surroundings.search_path = Some(folders_of(&path));
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(mine));
    assert!(matches!(machine.find(Flavor::Podman).await, Found::Nothing { is_installed: true, .. }));
    let podman = machine.answers("more/podman.sock", Flavor::Podman);
    assert_eq!(machine.find(Flavor::Podman).await, Found::Socket(podman));
    machine.set("DOCKER_HOST", "unix:///host.sock");
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(PathBuf::from("/host.sock")));
}

#[tokio::test]
async fn an_endpoint_that_the_user_chose_comes_before_every_found_socket() {
    let mut machine = Machine::new();
    machine.answers("root/var/run/docker.sock", Flavor::Docker);
    let socket = |path: &str| Found::Socket(PathBuf::from(path));
    let meta = r#"{"Name":"mine","Endpoints":{"docker":{"Host":"unix:///context.sock"}}}"#;
    machine.write("home/.docker/contexts/meta/0123/meta.json", meta);
    machine.write("home/.docker/config.json", r#"{"auths":{},"currentContext":"mine"}"#);
    assert_eq!(machine.find(Flavor::Docker).await, socket("/context.sock"));
    machine.set("DOCKER_HOST", "unix:///host.sock");
    assert_eq!(machine.find(Flavor::Docker).await, socket("/host.sock"));
    let configured = machine.surroundings.find(Flavor::Docker, Some("unix:///configured.sock")).await;
    assert_eq!(configured, socket("/configured.sock"));
    machine.set("CONTAINER_HOST", "unix:///container.sock");
    assert_eq!(machine.find(Flavor::Podman).await, socket("/container.sock"));
}

#[tokio::test]
async fn a_context_may_be_named_by_a_variable_and_lie_elsewhere() {
    let mut machine = Machine::new();
    let meta = r#"{"Name":"other","Endpoints":{"docker":{"Host":"unix:///other.sock"}}}"#;
    machine.write("elsewhere/contexts/meta/4567/meta.json", meta);
    machine.set("DOCKER_CONFIG", &machine.path("elsewhere").display().to_string());
    machine.set("DOCKER_CONTEXT", "other");
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(PathBuf::from("/other.sock")));
    machine.set("DOCKER_CONTEXT", "default");
    assert!(matches!(machine.find(Flavor::Docker).await, Found::Nothing { .. }));
}

#[tokio::test]
async fn an_unusable_endpoint_that_the_user_chose_is_not_replaced() {
    let mut machine = Machine::new();
    machine.answers("root/var/run/docker.sock", Flavor::Docker);
    machine.set("DOCKER_CONTEXT", "gone");
    assert!(matches!(machine.find(Flavor::Docker).await, Found::Unusable { why } if why.contains("'gone'")));
    machine.set("DOCKER_HOST", "tcp://192.0.2.1:2375");
    assert!(
        matches!(machine.find(Flavor::Docker).await, Found::Unusable { why } if why.contains("DOCKER_HOST"))
    );
    let mut machine = Machine::new();
    machine.write("home/.docker/config.json", "{");
    assert!(
        matches!(machine.find(Flavor::Docker).await, Found::Unusable { why } if why.contains("config.json"))
    );
    machine.set("DOCKER_HOST", "unix:///works.sock");
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(PathBuf::from("/works.sock")));
}

#[tokio::test]
async fn an_engine_that_has_much_to_do_is_not_hidden_by_a_socket_that_another_left() {
    let machine = Machine::new();
    drop(machine.listener("root/var/run/docker.sock"));
    let _silent = machine.listener("user/docker.sock");
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(machine.path("user/docker.sock")));
}

#[tokio::test]
async fn a_silent_engine_socket_hides_no_later_one() {
    let machine = Machine::new();
    let _silent = machine.listener("root/var/run/docker.sock");
    let works = machine.answers("home/.rd/docker.sock", Flavor::Docker);
    assert_eq!(machine.find(Flavor::Docker).await, Found::Socket(works));
}
