//! One process that works with a host for long: thousands of commands while plugins, settings and the host's id change.
//!
//! `wharf-test-long-life FOLDER WHARF ROUNDS [descriptor|memory|thread|child]`: FOLDER is a test's host with the runtime
//! `scripted-one`, a library `spare.so` and two versions of the plugin `one.so` and `other.so` beside its plugins, WHARF
//! the binary that supervisors are started from. It ends with code 0 if the process holds the same resources after a third
//! of the rounds and at the end, and prints both; with the last argument it leaks one of them in each round.
use std::{
    env, fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;
use wharf::commands::{self, Context, Host, ListOptions, RunRequest};
use wharf_model::{EffectiveState, Error, ErrorKind, Result, WorkloadName};
use wharf_runtimes::PluginDir;
use wharf_supervisor::{Config, PINS_FILE, SETTINGS_FILE, Settings, read_optional};

/// The number of times that a round lists, and looks at its workload, in each of its states.
const LOOKS: usize = 8;
/// How long threads and children that end by themselves may take to be gone.
const SETTLING: Duration = Duration::from_secs(20);
/// Memory that the allocator may keep in pieces. It is less than 1.5 KiB for each command.
const MEMORY_MARGIN_KIB: u64 = 2048;
/// Stacks of threads that have ended, and arenas, which the C library keeps for later ones.
const MAPPINGS_MARGIN: usize = 48;
/// How long a workload may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
struct ResourceUse {
    /// PSS, without what belongs to files.
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
    /// Children, also those that have ended and that nobody has waited for.
    children: usize,
    mappings: usize,
}

impl ResourceUse {
    fn now() -> io::Result<Self> {
        let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
        let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let memory_kib = rollup.lines().find(|line| line.starts_with("Pss_Anon:")).and_then(kib);
        let mut children = 0;
        for thread in fs::read_dir("/proc/self/task")? {
            let list = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            children += list.split_whitespace().count();
        }
        Ok(Self {
            memory_kib: memory_kib.ok_or_else(|| io::Error::other("the kernel does not tell Pss_Anon"))?,
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            threads: fs::read_dir("/proc/self/task")?.count(),
            children,
            mappings: fs::read_to_string("/proc/self/maps")?.lines().count(),
        })
    }

    /// The resources that it has more than before.
    fn lost_since(self, before: Self) -> Vec<String> {
        let mut lost = Vec::new();
        let mut compare = |what: &str, before: usize, now: usize, margin: usize| {
            if now > before + margin {
                lost.push(format!("{what}: {before} before, {now} now"));
            }
        };
        let kib = |kib: u64| usize::try_from(kib).unwrap_or(usize::MAX);
        compare("KiB of memory", kib(before.memory_kib), kib(self.memory_kib), kib(MEMORY_MARGIN_KIB));
        compare("descriptors", before.descriptors, self.descriptors, 0);
        compare("threads", before.threads, self.threads, 0);
        compare("children", before.children, self.children, 0);
        compare("mappings", before.mappings, self.mappings, MAPPINGS_MARGIN);
        lost
    }
}

impl fmt::Display for ResourceUse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, descriptors, threads, children, mappings } = self;
        write!(
            formatter,
            "{memory_kib} KiB, {descriptors} descriptors, {threads} threads, {children} children, {mappings} mappings"
        )
    }
}

/// The host's folder, as the test made it.
struct Folder(PathBuf);

impl Folder {
    fn config(&self, executable: &Path) -> Result<Config> {
        let at = |name: &str| self.0.join(name);
        let unusable = |error| Error::caused(ErrorKind::Failed, "the settings cannot be read", &error);
        let settings: Settings = read_optional(&at("config").join(SETTINGS_FILE)).map_err(unusable)?;
        Ok(Config {
            state_dir: at("state"),
            data_dir: at("data"),
            cache_dir: Some(at("cache")),
            config_dir: at("config"),
            plugin_dirs: vec![PluginDir { path: at("plugins"), dedicated: true }],
            executable: executable.to_owned(),
            current_dir: at("work"),
            search_path: env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
            default_runtime: None,
            log_level: "warn".to_owned(),
            pins: read_optional(&at("config").join(PINS_FILE)).map_err(unusable)?,
            settings,
            is_marked: false,
        })
    }

    /// Puts a file in the place of another one, at once.
    fn put(&self, from: &str, to: &str) -> io::Result<()> {
        let part = self.0.join("part");
        fs::copy(self.0.join(from), &part)?;
        fs::rename(part, self.0.join(to))
    }

    /// Another state of everything that may change; the start timeout that the settings say from now on.
    fn change(&self, round: usize) -> io::Result<u64> {
        self.put(if round.is_multiple_of(2) { "one.so" } else { "other.so" }, "plugins/scripted.so")?;
        if round % 4 < 2 {
            self.put("spare.so", "plugins/spare.so")?;
        } else if self.0.join("plugins/spare.so").exists() {
            fs::remove_file(self.0.join("plugins/spare.so"))?;
        }
        let timeout = 60_000 + round as u64 % 3;
        let path = self.0.join("config").join(SETTINGS_FILE);
        let mut settings: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        settings["start_timeout_ms"] = timeout.into();
        let part = self.0.join("part.json");
        fs::File::create(&part)?.write_all(settings.to_string().as_bytes())?;
        fs::rename(part, path)?;
        Ok(timeout)
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Failed, what)
}

/// Looks at everything, and says how the workload is.
async fn look(host: &Arc<Host>, name: &WorkloadName, commands: &mut usize) -> Result<Option<EffectiveState>> {
    let mut last = None;
    for _ in 0..LOOKS {
        let all = ListOptions { all: true, ..ListOptions::default() };
        let rows = commands::list(&host.context()?, &all).await?;
        if let Some(stale) = rows.iter().find(|row| row.stale) {
            return Err(wrong(format!("a row is stale: {}", stale.stale_reason)));
        }
        last = rows.into_iter().find(|row| row.name == name.as_str()).map(|row| row.status);
        *commands += 1;
        if last.is_some() {
            commands::status(&host.context()?, name).await?;
            *commands += 1;
        }
    }
    Ok(last)
}

/// Checks that an operation that begins now sees the change.
fn check_seen(context: &Context, round: usize, timeout: u64) -> Result<()> {
    let seen = context.config().settings.start_timeout_ms;
    if seen != Some(timeout) {
        return Err(wrong(format!("the settings say {timeout} ms, and {seen:?} is seen")));
    }
    let libraries = context.plugins().catalog().libraries();
    let has_spare = libraries.iter().any(|library| library.path.ends_with("spare.so"));
    if has_spare != (round % 4 < 2) {
        return Err(wrong(format!("in round {round} the spare library is seen: {has_spare}")));
    }
    Ok(())
}

async fn round(host: &Arc<Host>, folder: &Folder, round: usize, commands: &mut usize) -> Result<()> {
    let failed = |error: io::Error| Error::caused(ErrorKind::Failed, "the files cannot be changed", &error);
    let timeout = folder.change(round).map_err(failed)?;
    check_seen(&host.context()?, round, timeout)?;
    let name = WorkloadName::new("lasting")?;
    let expect = |seen: Option<EffectiveState>, wanted: Option<EffectiveState>| {
        if seen == wanted { Ok(()) } else { Err(wrong(format!("it is {seen:?} and should be {wanted:?}"))) }
    };
    let request = RunRequest {
        name: Some(name.to_string()),
        runtime: Some("scripted-one".to_owned()),
        ..RunRequest::new("sh")
    };
    commands::run(&host.context()?, &request, true, &mut ()).await?;
    expect(look(host, &name, commands).await?, Some(EffectiveState::Running))?;
    commands::stop(&host.context()?, &name, STOP_TIMEOUT).await?;
    expect(look(host, &name, commands).await?, Some(EffectiveState::Stopped))?;
    commands::remove(&host.context()?, &name, STOP_TIMEOUT).await?;
    expect(look(host, &name, commands).await?, None)?;
    *commands += 3;
    Ok(())
}

/// Loses something, as a leak would.
fn lose(what: &str) -> io::Result<()> {
    match what {
        "descriptor" => std::mem::forget(fs::File::open("/dev/null")?),
        "memory" => drop(Box::leak(vec![1_u8; 512 * 1024].into_boxed_slice())),
        "thread" => drop(std::thread::Builder::new().spawn(|| {
            loop {
                std::thread::park();
            }
        })?),
        "child" => std::mem::forget(std::process::Command::new("true").spawn()?),
        _ => return Err(io::Error::other(format!("'{what}' is nothing that can be lost"))),
    }
    Ok(())
}

/// The resources of the process, once threads and children that end by themselves have ended; or the failure to come back
/// to `before`.
async fn settled(before: Option<ResourceUse>) -> io::Result<ResourceUse> {
    let until = Instant::now() + SETTLING;
    let mut last = ResourceUse::now()?;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = ResourceUse::now()?;
        let rests = match before {
            None => {
                (now.descriptors, now.threads, now.children)
                    == (last.descriptors, last.threads, last.children)
            }
            Some(before) => now.lost_since(before).is_empty(),
        };
        if rests || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
}

async fn live(
    folder: &Folder,
    executable: PathBuf,
    rounds: usize,
    leak: Option<&str>,
) -> Result<Vec<String>> {
    let told = |error: io::Error| Error::caused(ErrorKind::Failed, "the process cannot be looked at", &error);
    let surroundings = Folder(folder.0.clone());
    let host = Host::new(move || surroundings.config(&executable));
    let mut commands = 0;
    // Runtimes are asked before there is an id: they are connected without one.
    commands::orphans(&host.context()?).await?;
    if !host.context()?.known_host_id()?.is_empty() {
        return Err(wrong("the host has an id already"));
    }
    let mut before = None;
    for number in 0..rounds {
        if number == rounds / 3 {
            before = Some(settled(None).await.map_err(told)?);
        }
        round(&host, folder, number, &mut commands).await?;
        if let Some(leak) = leak {
            lose(leak).map_err(told)?;
        }
    }
    let before = before.ok_or_else(|| wrong("there were no rounds"))?;
    let after = settled(Some(before)).await.map_err(told)?;
    say(&format!("after a third: {before}"));
    say(&format!("at the end, after {commands} commands: {after}"));
    Ok(after.lost_since(before))
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn main() {
    let mut args = env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (folder, executable) = (Folder(next().into()), PathBuf::from(next()));
    let rounds = next().parse().unwrap_or(0);
    let leak = Some(next()).filter(|leak| !leak.is_empty());
    let runtime = Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(|error| Error::caused(ErrorKind::Failed, "nothing can be run", &error))
        .and_then(|runtime| runtime.block_on(live(&folder, executable, rounds, leak.as_deref())));
    let code = match outcome {
        Ok(lost) if lost.is_empty() => 0,
        Ok(lost) => {
            say(&format!("lost: {}", lost.join("; ")));
            10
        }
        Err(error) => {
            say(&format!("failed: {error}"));
            1
        }
    };
    wharf_runtimes::leave(code)
}
