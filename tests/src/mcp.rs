//! A client of `wharf mcp serve`: messages line by line over its stdin and stdout, so that a test sees exactly what is said.
use crate::host::Host;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A server that has resources, a template of them, and prompts, and no tools.
pub fn server_with_resources(host: &Host) -> String {
    host.script(
        "catalogue",
        r#"while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9][0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"resources":{},"prompts":{}},"serverInfo":{"name":"catalogue","version":"0"}}' ;;
    *'"resources/list"'*) result='{"resources":[{"uri":"demo://a","name":"a","description":"The first","mimeType":"text/plain"}]}' ;;
    *'"resources/templates/list"'*) result='{"resourceTemplates":[{"uriTemplate":"demo://{x}","name":"any"}]}' ;;
    *'"prompts/list"'*) result='{"prompts":[{"name":"greet","description":"Greets","arguments":[{"name":"whom","required":true},{"name":"how"}]}]}' ;;
    *'"ping"'*) result='{}' ;;
    *) result= ;;
  esac
  [ -n "$id" ] || continue
  if [ -n "$result" ]; then
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
  else
    printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"there is no such method"}}\n' "$id"
  fi
done"#,
    )
}

/// The failure of a test whose server asks although nobody answers.
const ASKED_IN_VAIN: &str = "the server asked a client that answers nothing";

/// What the client answers when it is asked something.
pub type Answer = Box<dyn FnMut(&Value) -> Value + Send>;

/// One client and its server.
pub struct McpClient {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    next_id: u64,
    answer: Option<Answer>,
    /// True if it speaks the stateless era: version and capabilities go with each request, and there is no `initialize`.
    stateless: bool,
    /// The notifications that it received.
    pub notifications: Vec<Value>,
    /// The parameters of the server's requests.
    pub questions: Vec<Value>,
}

impl McpClient {
    /// A client with a session, that declares no elicitation.
    pub fn open(host: &Host) -> Self {
        Self::of(host.command(&["mcp", "serve"]), None, false)
    }

    /// One that answers questions.
    pub fn answering(host: &Host, answer: impl FnMut(&Value) -> Value + Send + 'static) -> Self {
        Self::of(host.command(&["mcp", "serve"]), Some(Box::new(answer)), false)
    }

    /// One of the stateless era, that answers questions.
    pub fn stateless(host: &Host, answer: impl FnMut(&Value) -> Value + Send + 'static) -> Self {
        Self::of(host.command(&["mcp", "serve"]), Some(Box::new(answer)), true)
    }

    /// A client of the server that this command starts.
    pub fn of(mut command: Command, answer: Option<Answer>, stateless: bool) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("it can be started");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its stdout"));
        let (notifications, questions) = (Vec::new(), Vec::new());
        let mut client =
            Self { child, input, output, next_id: 1, answer, stateless, notifications, questions };
        if !stateless {
            let params = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": client.capabilities(),
                "clientInfo": { "name": "wharf-tests", "version": "0" },
            });
            client.request("initialize", params).expect("a session");
            client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        }
        client
    }

    fn capabilities(&self) -> Value {
        if self.answer.is_some() { json!({ "elicitation": {} }) } else { json!({}) }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("it was not closed");
        // If the server has ended, `finish` fails.
        let _ = writeln!(input, "{message}");
        let _ = input.flush();
    }

    /// Sends a request, and returns its id.
    pub fn begin(&mut self, method: &str, mut params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.stateless {
            let token = params["_meta"]["progressToken"].take();
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "wharf-tests", "version": "0" },
                "io.modelcontextprotocol/clientCapabilities": self.capabilities(),
            });
            if !token.is_null() {
                params["_meta"]["progressToken"] = token;
            }
        }
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The answer to a request; what comes before is answered or kept.
    pub fn finish(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("its stdout can be read");
            assert!(read > 0, "it ended without an answer");
            let message: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: no message: {line:?}"));
            if message["method"].is_string() && message.get("id").is_some() {
                self.questions.push(message["params"].clone());
                let said = self.answer.as_mut().map(|answer| answer(&message["params"]));
                let result = said.expect(ASKED_IN_VAIN);
                let reply = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
                self.send(&reply);
            } else if message["method"].is_string() {
                self.notifications.push(message);
            } else if message["id"] == json!(id) {
                return match message.get("result") {
                    Some(result) => Ok(result.clone()),
                    None => Err(message["error"].clone()),
                };
            }
        }
    }

    /// One request and its answer.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.begin(method, params);
        self.finish(id)
    }

    /// Calls a tool; asked for input, it calls again with the answers.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let mut params = json!({ "name": tool });
        params["arguments"] = arguments;
        let result = self.request("tools/call", params.clone()).expect("a result");
        if result["resultType"] != "input_required" {
            return result;
        }
        self.repeat(params, &result)
    }

    /// Calls again, with answers to what the result asks.
    pub fn repeat(&mut self, mut params: Value, result: &Value) -> Value {
        let mut answers = json!({});
        for (name, question) in result["inputRequests"].as_object().expect("questions") {
            self.questions.push(question["params"].clone());
            answers[name] = self.answer.as_mut().expect(ASKED_IN_VAIN)(&question["params"]);
        }
        params["inputResponses"] = answers;
        params["requestState"] = result["requestState"].clone();
        self.request("tools/call", params).expect("a result")
    }

    /// Closes its input, and returns its exit code.
    pub fn close(mut self) -> Option<i32> {
        self.input = None;
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
