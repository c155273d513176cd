//! The options of `docker run`, and their meaning here: which of them wharf has, and what stands for the others.
//!
//! Called for options that `wharf run` does not have, so that an error says what its user can do. A test makes the table in
//! docs/run-options.md of this one and of the capabilities that each runtime declares.
use wharf_sdk::Capability;

/// An option of `docker run` or `podman run`.
pub(crate) struct DockerOption {
    /// Its names, the long one first.
    pub(crate) names: &'static [&'static str],
    /// Its meaning here.
    pub(crate) meaning: Meaning,
}

/// The meaning of an option here.
pub(crate) enum Meaning {
    /// The same, whatever the runtime.
    Same,
    /// The same, where the runtime has this capability; elsewhere it is refused by name.
    Needs(Capability),
    /// There is no such option; this says what to do instead, or why not.
    Not(&'static str),
}

const fn same(names: &'static [&'static str]) -> DockerOption {
    DockerOption { names, meaning: Meaning::Same }
}

const fn needs(names: &'static [&'static str], capability: Capability) -> DockerOption {
    DockerOption { names, meaning: Meaning::Needs(capability) }
}

const fn not(names: &'static [&'static str], why: &'static str) -> DockerOption {
    DockerOption { names, meaning: Meaning::Not(why) }
}

const SWAP: &str = "use --memory: there is no swap beside it";
const SHARE: &str = "use --cpus";
const DEVICES: &str = "no device of this machine is given to a workload";
const SPACES: &str = "a workload shares no namespace of this machine but, with --network host, the network";
const RATES: &str = "there are no limits for disks";
const CHECKS: &str =
    "the check of the image (HEALTHCHECK) counts as it is, and the proxy asks the server itself";
const ATTACHED: &str = "the proxy is attached to the server; clients connect to its URL";
const NAMES: &str = "the network has the engine's own names; use --network and --add-host";

/// All of them, by name.
pub(crate) const OPTIONS: &[DockerOption] = &[
    needs(&["--add-host"], Capability::ADD_HOSTS),
    not(&["--annotation"], "use --label"),
    not(&["--attach", "-a"], ATTACHED),
    not(&["--blkio-weight", "--blkio-weight-device"], RATES),
    needs(&["--cap-add"], Capability::CAP_ADD),
    not(&["--cap-drop"], "all capabilities are dropped; --cap-add keeps some"),
    not(&["--cgroup-parent", "--cgroupns"], SPACES),
    not(&["--cidfile"], "the container's id is in: wharf status NAME --format json"),
    not(&["--cpu-period", "--cpu-quota", "--cpu-rt-period", "--cpu-rt-runtime", "--cpu-shares", "-c"], SHARE),
    needs(&["--cpus"], Capability::CPUS),
    not(&["--cpuset-cpus", "--cpuset-mems"], SHARE),
    not(&["--detach", "-d"], "a workload runs in the background unless --foreground is given"),
    not(&["--detach-keys"], ATTACHED),
    not(&["--device", "--device-cgroup-rule", "--gpus"], DEVICES),
    not(&["--device-read-bps", "--device-read-iops", "--device-write-bps", "--device-write-iops"], RATES),
    not(&["--disable-content-trust"], "images are fetched as the engine is set up"),
    not(&["--dns", "--dns-option", "--dns-search"], NAMES),
    not(&["--domainname", "--hostname"], "its name in the network is the engine's choice"),
    needs(&["--entrypoint"], Capability::ENTRYPOINT),
    same(&["--env", "-e"]),
    same(&["--env-file"]),
    not(&["--expose"], "use --transport streamable-http --target-port PORT"),
    not(&["--group-add"], "use --user USER:GROUP"),
    not(
        &[
            "--health-cmd",
            "--health-interval",
            "--health-retries",
            "--health-start-period",
            "--health-timeout",
            "--no-healthcheck",
        ],
        CHECKS,
    ),
    not(&["--init"], "there is an init unless --no-init is given"),
    not(&["--interactive", "-i"], "the stdin of a stdio server is always open"),
    not(&["--ip", "--ip6", "--link", "--link-local-ip", "--mac-address", "--network-alias"], NAMES),
    not(&["--ipc", "--pid", "--userns", "--uts"], SPACES),
    not(&["--isolation"], "it is an option of Windows"),
    not(&["--kernel-memory"], "use --memory"),
    same(&["--label", "-l"]),
    not(&["--label-file"], "use --label for each"),
    not(&["--log-driver", "--log-opt"], "the log is bounded, and kept where wharf logs reads it"),
    needs(&["--memory"], Capability::MEMORY),
    not(&["-m"], "use --memory"),
    not(&["--memory-reservation", "--memory-swap", "--memory-swappiness"], SWAP),
    not(&["--mount"], "use --volume"),
    same(&["--name"]),
    needs(&["--network", "--net"], Capability::NETWORK),
    not(
        &["--oom-kill-disable", "--oom-score-adj"],
        "a workload that exceeds --memory is ended, which is told",
    ),
    needs(&["--pids-limit"], Capability::PIDS),
    needs(&["--platform"], Capability::PLATFORM),
    not(&["--privileged"], "use --permission-profile FILE with {\"privileged\": true}"),
    not(
        &["--publish", "-p", "--publish-all", "-P"],
        "use --transport streamable-http --target-port PORT: the proxy alone is reached, on --proxy-port",
    ),
    needs(&["--pull"], Capability::PULL),
    same(&["--quiet", "-q"]),
    not(
        &["--read-only"],
        "use --permission-profile none or network: the image is read-only then, and /tmp in memory",
    ),
    same(&["--restart"]),
    not(&["--rm"], "a workload stays, and can be started again, until: wharf rm NAME"),
    not(&["--security-opt"], "no privileges are gained (no-new-privileges), and the engine's filters stay"),
    needs(&["--shm-size"], Capability::SHM_SIZE),
    not(&["--sig-proxy"], "wharf stop ends it, and Ctrl-C with --foreground"),
    not(&["--stop-signal"], "the image says which signal (STOPSIGNAL)"),
    same(&["--stop-timeout"]),
    not(
        &["--storage-opt", "--volume-driver"],
        "make the volume in the engine, and give its name to --volume",
    ),
    not(&["--sysctl"], "the kernel's settings are the engine's"),
    needs(&["--tmpfs"], Capability::TMPFS),
    not(&["--tty", "-t"], "a terminal would spoil the protocol on stdin and stdout"),
    needs(&["--ulimit"], Capability::ULIMITS),
    needs(&["--user"], Capability::USER),
    not(&["-u"], "use --user"),
    needs(&["--volume", "-v"], Capability::MOUNTS),
    not(&["--volumes-from"], "use --volume NAME:PATH with the name of the same volume"),
    needs(&["--workdir", "-w"], Capability::WORKING_DIR),
];

/// The reason why wharf does not have an option of `docker run`; none if that has no such option either.
pub(crate) fn why_not(given: &str) -> Option<&'static str> {
    let option = OPTIONS.iter().find(|option| option.names.contains(&given))?;
    match option.meaning {
        Meaning::Not(why) => Some(why),
        Meaning::Same | Meaning::Needs(_) => None,
    }
}
