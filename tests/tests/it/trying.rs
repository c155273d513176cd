//! `wharf tools`, `call`, `resources`, `prompts`: a server tried by hand, through its own proxy.
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use wharf_tests::host::{Host, demo_server, eventually, kill, program_of};
use wharf_tests::mcp::server_with_resources;

fn json_of(host: &Host, args: &[&str]) -> Value {
    serde_json::from_str(&host.ok(&[args, &["--format", "json"][..]].concat())).unwrap()
}

#[test]
fn a_server_is_tried_by_hand_whoever_may_use_its_proxy_and_whatever_it_speaks() {
    let host = Host::new();
    for (name, options) in [
        ("by-path", &[][..]),
        ("by-token", &["--auth", "bearer"]),
        ("by-all", &["--auth", "none"]),
        ("by-http", &["--transport", "streamable-http"]),
        ("by-session", &["--instances", "per-session"]),
    ] {
        let server = demo_server();
        host.run(&[&["--name", name][..], options, &[server.as_str()]].concat());
        let tools = json_of(&host, &["tools", name]);
        let names: Vec<&str> =
            tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"add") && names.contains(&"echo"), "{name}: {tools}");
        assert_eq!(host.ok(&["call", name, "add", "a=2", "b=3"]), "5\n", "{name}");
        // A text that looks like a number is a text where the tool asks for one.
        assert_eq!(host.ok(&["call", name, "echo", "message=42"]), "42\n", "{name}");
    }
    let text = host.ok(&["tools", "by-path"]);
    assert!(text.contains("add a=NUMBER b=NUMBER\n    Adds two numbers.\n"), "{text}");
    let called = json_of(&host, &["call", "by-path", "echo", "message=x"]);
    assert_eq!(called["content"][0]["text"], "x");
}

#[test]
fn a_tool_that_fails_has_an_exit_code_of_its_own_and_is_no_broken_call() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let failed = host.wharf(&["call", "demo", "environment", "name=NOBODYS", "--format", "json"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    let called: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(called["is_error"], true);
    for (code, args) in [
        (2, &["call", "demo", "add", "a=two", "b=3"][..]),
        (2, &["call", "demo", "add", "a=1", "a=2"]),
        (2, &["call", "demo", "nobodys"]),
        (2, &["call", "demo", "add", "--json", "/nowhere"]),
        (3, &["call", "nobody", "add"]),
        (3, &["tools", "nobody"]),
    ] {
        let said = host.wharf(args);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{args:?}: {said:?}");
    }
    host.ok(&["stop", "demo"]);
    let said = host.wharf(&["tools", "demo"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(
        said.stderr.contains("'demo' does not run") && said.stderr.contains("wharf start demo"),
        "{said:?}"
    );
}

#[test]
fn arguments_come_from_a_file_or_from_stdin() {
    use std::io::Write;
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let mut child = host
        .command(&["call", "demo", "add", "--json", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!({ "a": 20, "b": 22 }).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n");
}

#[test]
fn a_server_cannot_move_the_terminal_of_whoever_tries_it() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let said = host.ok(&["call", "demo", "echo", "message=\u{1b}[2Jgone\u{202e}"]);
    assert_eq!(said, "\\u{1b}[2Jgone\\u{202e}\n");
}

#[test]
fn resources_and_prompts_are_shown_and_a_server_without_them_says_so() {
    let host = Host::new();
    host.run(&["--name", "demo", &server_with_resources(&host)]);
    let resources = json_of(&host, &["resources", "demo"]);
    assert_eq!(resources[0]["uri"], "demo://a");
    assert_eq!(resources[1], json!({ "uri": "demo://{x}", "template": true, "name": "any" }));
    let prompts = json_of(&host, &["prompts", "demo"]);
    assert_eq!(prompts[0]["arguments"], json!([{ "name": "whom", "required": true }, { "name": "how" }]));
    let text = host.ok(&["prompts", "demo"]);
    assert!(text.contains("greet   whom [how]   Greets"), "{text}");
    assert!(host.ok(&["resources", "demo"]).contains("demo://a     a      text/plain   The first"));
    let refused = host.wharf(&["tools", "demo"]);
    assert!(refused.code == 2 && refused.stderr.contains("the server refused"), "{refused:?}");
}

/// A server that ends in the middle of its first call, and whose next process says nothing for as long as a test lasts.
const BRIEF: &str = r#"[ -e CALLED ] && exec sleep 600
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"brief","version":"0"}}' ;;
    *'"tools/list"'*) result='{"tools":[{"name":"end","inputSchema":{"type":"object"}}]}' ;;
    *'"tools/call"'*) : > CALLED; exit 1 ;;
    *'"ping"'*) result='{}' ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done"#;

#[test]
fn a_server_that_ends_in_a_call_or_is_away_is_told_as_that_and_not_as_a_refusal() {
    let host = Host::new();
    let text = BRIEF.replace("CALLED", &host.work().join("called").display().to_string());
    host.run(&["--name", "brief", "--restart", "on-failure", &host.script("brief", &text)]);
    let said = host.wharf(&["call", "brief", "end"]);
    assert_eq!((said.code, said.stdout.as_str()), (7, ""), "{said:?}");
    assert!(said.stderr.contains("'brief', tool 'end': the server "), "{said:?}");
    assert!(said.stderr.contains("; what was asked may or may not have been done"), "{said:?}");
    assert!(said.stderr.contains("wharf status brief"), "{said:?}");
    for words in ["refused", "rmcp", "WARN", "ERROR"] {
        assert!(!said.stderr.contains(words), "{said:?}");
    }
    for args in [&["tools", "brief"][..], &["call", "brief", "end"], &["prompts", "brief"]] {
        let said = host.wharf(args);
        assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{args:?}: {said:?}");
        assert!(said.stderr.contains("the server is not running just now"), "{args:?}: {said:?}");
        assert!(said.stderr.contains("wharf status brief"), "{args:?}: {said:?}");
    }
    let said = host.wharf(&["tools", "brief", "--format", "json"]);
    let failure: Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!(failure["error"]["kind"], "conflict", "{failure}");
    assert_eq!(failure["error"]["advice"], json!([{ "do": "show_status", "name": "brief" }]), "{failure}");
}

/// How long an interrupted command may take to end. It would wait for thirty seconds for a server's first answer.
const A_MOMENT: Duration = Duration::from_secs(10);

/// Starts a command that gets no answer, interrupts it once it has said that it waits for this, and returns what it said.
fn interrupted(host: &Host, args: &[&str], what: &str) -> String {
    let errors = host.path("errors");
    let mut waiting = host.command(args).stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    let told = || fs::read_to_string(&errors).unwrap();
    eventually("it says what it waits for", || told().contains(&format!("{}: waiting for {what}", args[1])));
    let began = Instant::now();
    kill(waiting.id().cast_signed(), "INT");
    eventually("it ends", || waiting.try_wait().unwrap().is_some());
    assert_eq!(waiting.wait().unwrap().code(), Some(1), "{args:?}: {}", told());
    assert!(began.elapsed() < A_MOMENT, "{args:?}: {:?}", began.elapsed());
    told()
}

#[test]
fn whoever_waits_for_a_server_is_told_what_for_and_can_end_it() {
    let host = Host::new();
    host.run(&["--name", "piped", &demo_server()]);
    host.run(&["--name", "web", "--transport", "streamable-http", &demo_server()]);
    for name in ["piped", "web"] {
        let told = interrupted(&host, &["call", name, "wait", "ms=600000"], "the answer of the tool 'wait'");
        assert!(
            told.contains(&format!("'{name}', tool 'wait': the call was interrupted by a signal")),
            "{told}"
        );
        let server = program_of(host.server(name));
        kill(server, "STOP");
        let of_server = |args: &[&str]| interrupted(&host, args, "its server to ");
        let call = of_server(&["call", name, "add", "a=1", "b=2"]);
        let others = ["tools", "resources", "prompts"].map(|command| of_server(&[command, name]));
        kill(server, "CONT");
        assert!(call.contains(&format!("'{name}'")) && call.contains("the call was interrupted"), "{call}");
        for told in others {
            assert!(told.contains(&format!("'{name}': the question was interrupted by a signal")), "{told}");
        }
        eventually("it goes on", || host.wharf(&["call", name, "add", "a=2", "b=3"]).stdout == "5\n");
    }
}

#[test]
fn a_call_whose_server_ends_is_told_that_nobody_knows_what_was_done() {
    let host = Host::new();
    for (name, options) in
        [("piped", &[][..]), ("web", &["--transport", "streamable-http", "--restart", "always"][..])]
    {
        host.run(&[&["--name", name], options, &[&demo_server()]].concat());
        let errors = host.path("errors");
        let args = ["call", name, "wait", "ms=600000"];
        let mut waiting = host.command(&args).stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
        let told = || fs::read_to_string(&errors).unwrap();
        eventually("it waits", || told().contains("waiting for the answer of the tool 'wait'"));
        kill(program_of(host.server(name)), "KILL");
        eventually("it ends", || waiting.try_wait().unwrap().is_some());
        assert_eq!(waiting.wait().unwrap().code(), Some(7), "{name}: {}", told());
        assert!(told().contains("may or may not have been done"), "{name}: {}", told());
    }
}

#[test]
fn a_wait_says_nothing_where_its_result_is_json() {
    let host = Host::new();
    host.run(&["--name", "demo", &demo_server()]);
    let said = host.wharf(&["call", "demo", "wait", "ms=2500", "--format", "json"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
}
