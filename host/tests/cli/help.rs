//! Help and versions.
use crate::harness::TestHost;
use insta::assert_snapshot;

#[test]
fn the_short_help_lists_the_commands() {
    assert_snapshot!(TestHost::new().wharf(&["-h"]), @r#"
    exit code 0
    -- stdout --
    Run MCP servers, and other workloads, on whatever is at hand

    Usage: wharf [OPTIONS] <COMMAND>

    Commands:
      run         Create a workload and start it; prints the URL for its clients when it is ready
      list        List the workloads that run or should run [alias: ls]
      status      Show one workload in depth: what is recorded, what its runtime and its supervisor say
      url         Print the URL for a workload's clients, with its secret part
      edit        Change what a workload is; if it does not get ready then, it is as it was before
      start       Start workloads that do not run
      stop        Stop workloads
      restart     Stop workloads and start them again, each as one operation
      rm          Remove workloads; those that run are stopped first. Their logs stay [alias: remove]
      logs        Show what a workload writes
      tools       Show the tools of a workload's server, with their arguments
      call        Call a tool of a workload's server; prints what it says
      resources   Show the resources of a workload's server
      prompts     Show the prompts of a workload's server
      reconcile   Bring workloads to what they should be, as far as evidence supports it
      adopt       Record to which runtime a workload belongs, where that is not on record
      import      Copy workloads of another product
      export      Print a workload's RunConfig, to be given to: wharf run --from-config
      runtime     See which runtimes there are, and whether they work
      doctor      Try everything that workloads need, and say what to do about what is missing
      serve       Serve the REST API
      mcp         Serve wharf itself over MCP
      completion  Print a script that completes wharf's commands in a shell
      version     Show the versions of wharf and of its plugin interface, and what was installed where
      help        Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    See 'wharf COMMAND --help' for more about a command, 'wharf --help' for examples and exit codes.
    "#);
}

#[test]
fn the_help_has_examples_and_exit_codes() {
    assert_snapshot!(TestHost::new().wharf(&["--help"]), @r#"
    exit code 0
    -- stdout --
    Run MCP servers, and other workloads, on whatever is at hand

    Usage: wharf [OPTIONS] <COMMAND>

    Commands:
      run         Create a workload and start it; prints the URL for its clients when it is ready
      list        List the workloads that run or should run [alias: ls]
      status      Show one workload in depth: what is recorded, what its runtime and its supervisor say
      url         Print the URL for a workload's clients, with its secret part
      edit        Change what a workload is; if it does not get ready then, it is as it was before
      start       Start workloads that do not run
      stop        Stop workloads
      restart     Stop workloads and start them again, each as one operation
      rm          Remove workloads; those that run are stopped first. Their logs stay [alias: remove]
      logs        Show what a workload writes
      tools       Show the tools of a workload's server, with their arguments
      call        Call a tool of a workload's server; prints what it says
      resources   Show the resources of a workload's server
      prompts     Show the prompts of a workload's server
      reconcile   Bring workloads to what they should be, as far as evidence supports it
      adopt       Record to which runtime a workload belongs, where that is not on record
      import      Copy workloads of another product
      export      Print a workload's RunConfig, to be given to: wharf run --from-config
      runtime     See which runtimes there are, and whether they work
      doctor      Try everything that workloads need, and say what to do about what is missing
      serve       Serve the REST API
      mcp         Serve wharf itself over MCP
      completion  Print a script that completes wharf's commands in a shell
      version     Show the versions of wharf and of its plugin interface, and what was installed where
      help        Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
          --state-dir <DIR>
              Records, locks and logs [env: WHARF_STATE_DIR] [default: $XDG_STATE_HOME/wharf or
              ~/.local/state/wharf]

          --config-dir <DIR>
              config.json, plugins.lock.json and secrets/ [env: WHARF_CONFIG_DIR] [default:
              $XDG_CONFIG_HOME/wharf or ~/.config/wharf]

          --data-dir <DIR>
              The runtimes' own files, and plugins/ [env: WHARF_DATA_DIR] [default: $XDG_DATA_HOME/wharf
              or ~/.local/share/wharf]

          --cache-dir <DIR>
              Files that can be remade, such as copies of plugins [env: WHARF_CACHE_DIR] [default:
              $XDG_CACHE_HOME/wharf or ~/.cache/wharf]

          --plugin-dir <DIR>
              Search for plugins here first; can be given several times [env: WHARF_PLUGIN_PATH,
              separated by colons]

          --log-level <LEVEL>
              Log what is at least this grave, on stderr [env: WHARF_LOG] [default: warn]
              
              [possible values: error, warn, info, debug, trace]

    Examples:
      wharf run uvx://mcp-server-time              a package of PyPI; prints the URL for MCP clients
      wharf run --name everything npx://@modelcontextprotocol/server-everything
      wharf run ./my-server --verbose              a command of this machine, with an argument
      wharf list                                   what runs, and where
      wharf logs -f time                           what a workload writes
      wharf stop --all                             stop everything

    Exit codes:
      0  done
      1  failed
      2  wrong usage
      3  no such workload
      4  in conflict with something that exists (a name, a port, another command)
      5  the owning runtime is missing, unavailable, or another instance
      6  the runtime refused, or the workload failed
      7  a deadline passed, or the outcome is not known
    Of several failures the gravest one decides, in this order: 7, 6, 5, 1, 4, 3, 2.

    Results go to stdout, everything else to stderr. With --format json an error is
    JSON on stderr: {"error": {"kind", "message", "advice"}}. Keys are absent when empty.
    "#);
}

#[test]
fn without_a_command_the_help_is_shown_and_it_is_a_failure() {
    let host = TestHost::new();
    let output = host.command(&[]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(host.normal(&output.stderr).contains("Usage: wharf [OPTIONS] <COMMAND>"));
}

#[test]
fn the_help_of_run_has_examples() {
    assert_snapshot!(TestHost::new().wharf(&["run", "-h"]), @r#"
    exit code 0
    -- stdout --
    Create a workload and start it; prints the URL for its clients when it is ready

    Usage: wharf run [OPTIONS] SERVER [ARG]...

    Arguments:
      [SERVER]   An npx:// or uvx:// package, a command, a script or a path, or an image
      [ARGS]...  Arguments for it

    Options:
          --name <NAME>
              Its name; made from SERVER where none is given
          --runtime <NAME>
              The runtime that runs it, see: wharf runtime list [env: WHARF_RUNTIME]
          --kube-context <NAME>
              The context of the kubeconfig that says which cluster runs it [default: the current one]
          --namespace <NAME>
              The namespace of the cluster that it is run in [default: the context's]
          --transport <stdio|streamable-http>
              The server's own transport: its stdin and stdout, or HTTP on a port [default: stdio]
          --instances <shared|per-session>
              One server that all clients share, or one for each session of a client [default: shared]
          --proxy-port <PORT>
              The port of the URL [default: one that is free]
          --target-port <PORT>
              The port that an HTTP server listens on [default: one that is free, told to it as PORT and
              MCP_PORT]
          --target-path <PATH>
              The path at which an HTTP server serves MCP [default: /mcp]
          --host <ADDRESS>
              The address that the proxy listens on; others than loopback need --auth bearer (of run or
              url) [default: 127.0.0.1]
          --allow-host <HOST>
              Another name that clients reach the proxy by, as name[:port]; can be given several times
          --allow-origin <ORIGIN>
              A page that may ask the proxy, as scheme://host[:port]; can be given several times
          --proxy-mode <streamable-http|sse>
              How clients speak to the proxy of a stdio server [default: streamable-http]
          --auth <path|bearer|none>
              Whom the proxy serves: who knows the URL, who sends a token, or everybody on this machine
              [default: path]
          --unix-socket
              Serve you on a Unix socket too, without a secret, see: wharf url NAME --unix-socket
      -e, --env <KEY[=VALUE]>
              A variable for the server; KEY alone takes its value from your environment
          --env-file <FILE>
              A file with variables, one a line
          --secret <NAME,target=VARIABLE>
              A secret for the server, from the file secrets/NAME of the configuration
      -v, --volume <SOURCE[:WORKLOAD][:ro]>
              A file or folder of this machine, or a volume of the engine by its name, in the workload;
              can be given several times
      -w, --workdir <FOLDER>
              The folder that it runs in: of this machine for a command, of the image for an image
              [alias: --working-dir]
      -l, --label <KEY=VALUE>
              A label
          --group <GROUP>
              The group that it is listed under [default: default]
          --user <USER[:GROUP]>
              As which user of its image it runs: a name or a number, with :group if wanted
          --entrypoint <PROGRAM>
              The program of its image that it runs instead of the image's own
          --network <NAME>
              The network of the engine that it is in: none, bridge, host, or one by its name [alias:
              --net]
          --add-host <NAME:ADDRESS>
              A line in its /etc/hosts: NAME for ADDRESS; host-gateway stands for this machine's address
          --tmpfs <PATH[:OPTIONS]>
              A folder in memory
          --shm-size <SIZE>
              The size of its shared memory (/dev/shm), such as 64m
          --cap-add <CAPABILITY>
              A capability of the kernel that it keeps, such as SETUID; all others are dropped
          --ulimit <NAME=SOFT[:HARD]>
              A limit of the kernel for each of its processes, such as nofile=4096
          --platform <OS/ARCHITECTURE[/VARIANT]>
              The platform whose image is run, such as linux/arm64
          --pull <always|missing|never>
              When its image is fetched [default: missing]
          --no-init
              Run the server as the first process of its container, without an init
          --stop-timeout <SECONDS>
              Seconds that it may take to end by itself when it is stopped, before it is killed
              [default: 10]
          --permission-profile <none|network|FILE>
              Its access: nothing of yours (none), the network (network), or the profile in a file
          --cpus <NUMBER>
              How many processors it may use, such as 1.5
          --memory <SIZE>
              How much memory it may use, such as 512m
          --pids-limit <NUMBER>
              How many processes and threads it may have
          --allow-weaker
              Run it even if not all of this can be enforced here; wharf status tells what is not
          --restart <no|on-failure|always|unless-stopped>
              When it is started again [default: unless-stopped]
          --from-config <FILE>
              Take everything from a RunConfig, see: wharf export; - reads stdin
      -f, --foreground
              Stay until it ends; Ctrl-C stops it
          --no-wait
              Do not wait until it is ready; prints its name
      -q, --quiet
              Print the URL and errors, nothing else
          --format <FORMAT>
              How to print the result [default: text] [possible values: text, json]
      -h, --help
              Print help (see more with '--help')
    "#);
    assert!(
        TestHost::new()
            .wharf(&["run", "--help"])
            .contains("wharf run --name everything npx://@modelcontextprotocol/server-everything")
    );
}

#[test]
fn each_command_has_examples_in_its_help() {
    let host = TestHost::new();
    for command in [
        "run",
        "list",
        "status",
        "start",
        "stop",
        "restart",
        "rm",
        "logs",
        "reconcile",
        "adopt",
        "import toolhive",
        "export",
        "runtime list",
        "runtime forget-verdict",
        "runtime info",
        "runtime check",
        "doctor",
        "serve",
        "completion",
        "version",
    ] {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = host.wharf(&arguments);
        assert!(help.contains(&format!("\n  wharf {command}")), "{help}");
    }
}

#[test]
fn the_version_is_told() {
    let host = TestHost::new();
    assert_snapshot!(host.wharf(&["--version"]), @r#"
    exit code 0
    -- stdout --
    wharf 0.1.0
    "#);
    assert_snapshot!(host.wharf(&["version"]), @r#"
    exit code 0
    -- stdout --
    wharf 0.1.0
    plugin interface 1.0.0 (SDK 0.1.0)
    built by $RUSTC for $TARGET
    executable $BESIDE/wharf
    "#);
    assert_snapshot!(host.wharf(&["version", "--format", "json"]), @r#"
    exit code 0
    -- stdout --
    {
      "version": "0.1.0",
      "abi": "1.0.0",
      "sdk": "0.1.0",
      "rustc": "$RUSTC",
      "target": "$TARGET",
      "executable": "$BESIDE/wharf"
    }
    "#);
}
