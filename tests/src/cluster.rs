//! A real Kubernetes cluster (`tests/engines/kubernetes`), for tests of the whole: one for all tests of a process. The
//! first test that needs it brings it up, and it is taken down when the process ends, however that ends.
use crate::{
    host::EVENT_WAIT,
    images::{DEMO_IMAGE, Image, SHELL_IMAGE},
    machine::skip,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    ops::Deref,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The seconds that one command on the cluster may take.
const COMMAND_SECONDS: &str = "120";

/// A part of a cluster: a process that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its database.
    Etcd,
    /// The one part that clients talk to.
    ApiServer,
    /// They make the pods that deployments ask for, and remove objects without an owner.
    Controllers,
    /// It assigns pods to a node.
    Scheduler,
    /// The node's agent: it starts and watches the containers of pods.
    Kubelet,
    /// It runs the containers.
    Containerd,
    /// It makes services reachable.
    Proxy,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Etcd,
        Self::ApiServer,
        Self::Controllers,
        Self::Scheduler,
        Self::Kubelet,
        Self::Containerd,
        Self::Proxy,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "apiserver",
            Self::Controllers => "controllers",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Containerd => "containerd",
            Self::Proxy => "proxy",
        }
    }
}

/// A cluster of one node, called `node`. When it is dropped, nothing of it stays.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    kubeconfig: PathBuf,
    program: PathBuf,
    /// The script that takes the cluster down when its standard input ends.
    holder: Child,
    demo: OnceLock<()>,
    shell: OnceLock<bool>,
}

/// The cluster of this process.
static SHARED: LazyLock<RwLock<Option<Cluster>>> = LazyLock::new(|| RwLock::new(Cluster::bring_up()));

/// The cluster of this process, for a test that leaves its parts as they are.
#[derive(Debug)]
pub struct Shared(RwLockReadGuard<'static, Option<Cluster>>);

/// A cluster that a test has to itself, and whose parts it may stop.
#[derive(Debug)]
pub struct Alone(Held);

#[derive(Debug)]
enum Held {
    /// The cluster of the process, which no other test uses meanwhile; all of its parts run again afterwards, and its node
    /// takes pods.
    Shared(RwLockWriteGuard<'static, Option<Cluster>>),
    /// Another one, which goes with the test.
    Own(Cluster),
}

impl Cluster {
    /// The cluster of this process; none if this machine cannot have one, with a message.
    pub fn shared() -> Option<Shared> {
        let guard = SHARED.read().unwrap_or_else(PoisonError::into_inner);
        guard.is_some().then(|| Shared(guard))
    }

    /// The same for a test that stops parts of it: it waits until no other test uses it.
    pub fn alone() -> Option<Alone> {
        let guard = SHARED.write().unwrap_or_else(PoisonError::into_inner);
        guard.is_some().then(|| Alone(Held::Shared(guard)))
    }

    /// A cluster of a test's own, beside the one of the process.
    pub fn own() -> Option<Alone> {
        Some(Alone(Held::Own(Self::bring_up()?)))
    }

    fn bring_up() -> Option<Self> {
        let check = Command::new(script("up")).arg("--check").output().expect("the cluster's script");
        if !check.status.success() {
            skip("kubernetes", String::from_utf8_lossy(&check.stderr).trim());
            return None;
        }
        let folder = tempfile::Builder::new().prefix("wharf-cluster-").tempdir().expect("a temporary folder");
        let mut hold = Command::new(script("hold"));
        // A process group of its own: signals for the test do not reach it.
        hold.arg(folder.path()).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = hold.spawn().expect("the cluster's script");
        // From here on the script removes the folder, or leaves the logs there if the cluster does not come up.
        let folder = folder.keep();
        let mut line = String::new();
        let said = BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line);
        let kubeconfig = line.trim().strip_prefix("KUBECONFIG=");
        let Some(kubeconfig) = said.ok().and(kubeconfig).map(PathBuf::from) else {
            panic!("no cluster, its logs are in {}: {:?}", folder.join("log").display(), holder.wait());
        };
        let program = done(&mut Command::new(script("build")));
        let program = PathBuf::from(program.trim());
        Some(Self { folder, kubeconfig, program, holder, demo: OnceLock::new(), shell: OnceLock::new() })
    }

    /// The folder with all of its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration of a client that may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The name of the image with the server that comes with the repository, which the cluster then has.
    pub fn demo_image(&self) -> &'static str {
        self.demo.get_or_init(|| self.load(&Image::of_demo()));
        DEMO_IMAGE
    }

    /// The name of the image with a shell, which the cluster then has; none where this machine cannot make it.
    pub fn shell_image(&self) -> Option<&'static str> {
        let loaded = self
            .shell
            .get_or_init(|| Image::of_shell("kubernetes").inspect(|image| self.load(image)).is_some());
        loaded.then_some(SHELL_IMAGE)
    }

    /// Gives the cluster an image.
    pub fn load(&self, image: &Image) {
        let archive = File::open(image.save()).expect("the image was saved");
        let mut load = Command::new(script("load"));
        done(load.arg(&self.folder).stdin(archive));
    }

    /// A new namespace, whose name ends in this one.
    pub fn namespace(&self, name: &str) -> Namespace<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{name}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]);
        let namespace = Namespace { cluster: self, name };
        // Pods are refused before there is the account that they have by default.
        namespace.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]);
        namespace
    }

    /// The output of a kubectl command that must succeed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        done(&mut self.command(args))
    }

    /// A kubectl command, not yet run. It ignores the settings of this machine's user about clusters.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .arg(COMMAND_SECONDS)
            .arg(&self.program)
            .arg("kubectl")
            .args(args)
            .stdin(Stdio::null())
            .env_clear();
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// True if the API server answers, and its database too.
    pub fn is_ready(&self) -> bool {
        let output = self.command(&["get", "--raw", "/readyz", "--request-timeout=5s"]).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("there is one")
    }
}

impl Alone {
    /// Kills a part.
    pub fn kill(&self, part: Part) {
        self.act("kill", part);
    }

    /// Starts a part that does not run.
    pub fn start(&self, part: Part) {
        self.act("start", part);
    }

    /// Freezes a part: it is there, and answers nobody.
    pub fn freeze(&self, part: Part) {
        self.act("freeze", part);
    }

    /// Lets a part that is frozen go on.
    pub fn thaw(&self, part: Part) {
        self.act("thaw", part);
    }

    fn act(&self, act: &str, part: Part) {
        done(Command::new(script("part")).arg(&self.folder).args([act, part.name()]));
    }
}

impl Deref for Alone {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match &self.0 {
            Held::Shared(guard) => guard.as_ref().expect("there is one"),
            Held::Own(cluster) => cluster,
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if matches!(self.0, Held::Own(_)) {
            return;
        }
        for part in Part::ALL {
            self.thaw(part);
            self.start(part);
        }
        let deadline = Instant::now() + EVENT_WAIT;
        while !self.is_ready() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        // A test that cordons or drains the node may fail before it takes that back.
        let _ = self.command(&["uncordon", "node"]).output();
    }
}

/// A namespace of a test's own. When it is dropped, it is deleted with all that is in it; of a test that fails, it shows
/// that before.
#[derive(Debug)]
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl Namespace<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The output of a kubectl command in the namespace that must succeed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        done(&mut self.command(args))
    }

    /// A kubectl command in the namespace, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        self.cluster.command(&[&["--namespace", &self.name], args].concat())
    }

    /// The configuration of a client that is one of the namespace's service accounts, for an hour.
    pub fn kubeconfig_of(&self, account: &str) -> PathBuf {
        let whole = self.cluster.kubectl(&["config", "view", "--raw", "--output", "json"]);
        let mut config: Value = serde_json::from_str(&whole).expect("kubectl's answer is JSON");
        let token = self.kubectl(&["create", "token", account]);
        config["users"] = json!([{ "name": account, "user": { "token": token.trim() } }]);
        config["contexts"][0]["context"]["user"] = json!(account);
        config["contexts"][0]["context"]["namespace"] = json!(self.name);
        let path = self.cluster.folder.join(format!("{}-{account}.kubeconfig", self.name));
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(config.to_string().as_bytes())).expect("it can be written");
        path
    }

    /// Makes the objects that a manifest (YAML or JSON) describes.
    pub fn apply(&self, manifest: &str) {
        let mut apply = self.command(&["apply", "--filename", "-"]);
        let apply = apply.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = apply.spawn().expect("kubectl");
        child.stdin.take().expect("a pipe").write_all(manifest.as_bytes()).expect("kubectl reads it");
        succeeded(apply, &child.wait_with_output().expect("kubectl"));
    }
}

impl Drop for Namespace<'_> {
    #[expect(clippy::print_stderr, reason = "a test that has failed says what it saw")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["get", "all", "--output", "wide"][..], &["events"]] {
                if let Ok(output) = self.command(args).output() {
                    eprintln!("{}", String::from_utf8_lossy(&output.stdout));
                }
            }
        }
        // Nobody waits for it: the whole cluster goes in the end.
        let _ = self.command(&["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

/// The output of a command that must succeed.
fn done(command: &mut Command) -> String {
    let output = command.output().expect("a command of the cluster");
    succeeded(command, &output)
}

fn succeeded(command: &Command, output: &Output) -> String {
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/kubernetes").join(name)
}
