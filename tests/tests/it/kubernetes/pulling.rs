//! Images that the node has to fetch: a start waits however long that takes, and reports it.
use super::{host, objects};
use crate::containers::add;
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};
use wharf_tests::cluster::Cluster;
use wharf_tests::engines::{DEMO_IMAGE, Engine, Kind};
use wharf_tests::host::{Host, Said, eventually, kill};
use wharf_tests::registry::Registry;

/// This is longer than a start without a fetch may take.
const SLOW: Duration = Duration::from_secs(32);

/// A registry as the cluster's node finds it, which answers only after a while: its address there. It serves as long as the
/// test's process lives.
fn slow_registry(cluster: &Cluster, registry: &Registry) -> String {
    let (listener, address) = listening(cluster);
    let (behind, opens) = (registry.address.clone(), Instant::now() + SLOW);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let behind = behind.clone();
            std::thread::spawn(move || relay(client, behind, opens));
        }
    });
    address
}

/// A socket that the cluster's node takes for a registry, and its address there.
fn listening(cluster: &Cluster) -> (TcpListener, String) {
    let server = cluster.kubectl(&["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let link = TcpStream::connect(server.trim_start_matches("https://")).unwrap().local_addr().unwrap();
    let listener = TcpListener::bind((link.ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let folder = cluster.folder().join("registries").join(&address);
    fs::create_dir_all(&folder).unwrap();
    let mut hosts = fs::File::create(folder.join("hosts.toml")).unwrap();
    writeln!(hosts, "server = \"http://{address}\"\n[host.\"http://{address}\"]").unwrap();
    (listener, address)
}

/// Passes on what a client says, and the answers, once the registry opens.
fn relay(mut client: TcpStream, registry: String, opens: Instant) {
    while Instant::now() < opens {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut server = TcpStream::connect(registry).unwrap();
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = std::thread::spawn(move || io::copy(&mut answers, &mut to_client));
    let _ = io::copy(&mut client, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Write);
    let _ = back.join();
}

fn run(host: &Host, image: &str) -> std::process::Child {
    let mut run = host.command(&["run", "--runtime", "kubernetes", "--name", "fetched", image]);
    run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn an_image_that_takes_longer_than_a_start_is_waited_for() {
    let Some(cluster) = Cluster::shared() else { return };
    let Some(docker) = Engine::start(Kind::Docker) else { return };
    let Some(registry) = Registry::start(false) else { return };
    let namespace = cluster.namespace("slow-pull");
    let host = host(&cluster, &namespace);
    let there = registry.image("slow:1");
    docker.client(&["tag", DEMO_IMAGE, &there]);
    let nobody = registry.configuration(&json!({}));
    let pushed = docker.command(&["push", &there]).env("DOCKER_CONFIG", &nobody).output().unwrap();
    assert!(pushed.status.success(), "{pushed:?}");
    let image = there.replace(&registry.address, &slow_registry(&cluster, &registry));
    let began = Instant::now();
    let said = Said::of(&run(&host, &image).wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(began.elapsed() + Duration::from_secs(2) > SLOW, "{:?}", began.elapsed());
    assert!(said.stderr.contains("Pulling image") && said.stderr.contains(&image), "{said:?}");
    assert_eq!(add(said.stdout.trim()), "5");
    host.ok(&["rm", "fetched"]);
    assert_eq!(objects(&namespace), Vec::<String>::new());
}

/// Gives up, while its image is being fetched, what `begin` has started, and returns once that is over.
fn is_given_up(listener: &TcpListener, mut begin: std::process::Command) -> TcpStream {
    let run = begin.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (asked, _) = listener.accept().unwrap();
    let began = Instant::now();
    kill(run.id().cast_signed(), "INT");
    let said = Said::of(&run.wait_with_output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    // The node waits for the registry longer than this.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}: {said:?}", began.elapsed());
    asked
}

#[test]
fn a_fetch_that_hangs_keeps_no_start_that_is_given_up() {
    let Some(cluster) = Cluster::shared() else { return };
    let namespace = cluster.namespace("hung-pull");
    let host = host(&cluster, &namespace);
    let (listener, address) = listening(&cluster);
    let image = format!("{address}/hung:1");
    let run = host.command(&["run", "--runtime", "kubernetes", "--name", "fetched", &image]);
    let asked = is_given_up(&listener, run);
    assert!(host.list().is_empty());
    assert_eq!(host.leftovers(), Vec::<String>::new());
    let set = || namespace.kubectl(&["get", "statefulsets", "--output", "name"]);
    assert_eq!(set(), "", "it is removed");
    // Once the registry answers, the node lets the pod go, and nothing stays.
    drop((asked, listener));
    eventually("nothing is left", || objects(&namespace).is_empty());
}
