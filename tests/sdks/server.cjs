// An MCP server made with the official TypeScript SDK. It has every tool, prompt and resource that the official
// conformance suite asks servers for, and a few that show what one client of a shared server may notice of another.
//
//     mcp-node server.cjs              on standard input and output
//     mcp-node server.cjs --http       streamable HTTP on the port PORT, or any; the first line of its output has the URL
//
// It knows nothing of wharf.
"use strict";
const { Server } = require("sdk-1/server/index.js");
const { StdioServerTransport } = require("sdk-1/server/stdio.js");
const schemas = require("sdk-1/types.js");
const { serveHttp } = require("./serve_http.cjs");

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA=";

const text = (said) => ({ type: "text", text: said });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const embedded = (uri, mimeType, said) => ({ type: "resource", resource: { uri, mimeType, text: said } });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const object = (properties = {}, required = Object.keys(properties)) => ({ type: "object", properties, required });
const string = (description) => ({ type: "string", description });

// One tool a name: what it is told to take, and what it does. `call` has the server, the arguments, the request's own
// extras and its progress token.
const tools = {
  test_simple_text: { run: () => [text("This is a simple text response for testing.")] },
  test_image_content: { run: () => [image] },
  test_audio_content: { run: () => [{ type: "audio", data: WAV, mimeType: "audio/wav" }] },
  test_embedded_resource: {
    run: () => [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
  },
  test_multiple_content_types: {
    run: () => [
      text("Multiple content types test:"),
      image,
      embedded("test://mixed-content-resource", "application/json", JSON.stringify({ test: "data", value: 123 })),
    ],
  },
  test_error_handling: {
    run: () => {
      throw new Error("This tool intentionally returns an error for testing");
    },
  },
  test_tool_with_logging: {
    run: async (call) => {
      for (const said of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await call.log(said);
        await pause(50);
      }
      return [text("It has logged three times.")];
    },
  },
  test_tool_with_progress: {
    run: async (call) => {
      for (const progress of [0, 50, 100]) {
        await call.progress(progress, 100);
        await pause(50);
      }
      return [text("It has told its progress.")];
    },
  },
  test_sampling: {
    input: object({ prompt: string("The prompt") }),
    run: async (call) => {
      const messages = [{ role: "user", content: text(call.input.prompt) }];
      const said = await call.ask("sampling/createMessage", { messages, maxTokens: 100 }, schemas.CreateMessageResultSchema);
      return [text(`LLM response: ${said.content.text}`)];
    },
  },
  test_elicitation: {
    input: object({ message: string("What the user is asked") }),
    run: (call) => {
      const asked = object({ username: string("User's response"), email: string("User's email address") });
      return call.elicit(call.input.message, asked, "User response");
    },
  },
  test_elicitation_sep1034_defaults: {
    run: (call) => {
      const properties = {
        name: { type: "string", default: "John Doe" },
        age: { type: "integer", default: 30 },
        score: { type: "number", default: 95.5 },
        status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
        verified: { type: "boolean", default: true },
      };
      return call.elicit("Please confirm the defaults", object(properties, []), "Elicitation completed");
    },
  },
  test_elicitation_sep1330_enums: {
    run: (call) => {
      const options = ["option1", "option2", "option3"];
      const titled = (word) =>
        ["First", "Second", "Third"].map((title, at) => ({ const: `value${at + 1}`, title: `${title} ${word}` }));
      const properties = {
        untitledSingle: { type: "string", enum: options },
        titledSingle: { type: "string", oneOf: titled("Option") },
        legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option One", "Option Two", "Option Three"] },
        untitledMulti: { type: "array", items: { type: "string", enum: options } },
        titledMulti: { type: "array", items: { anyOf: titled("Choice") } },
      };
      return call.elicit("Please choose", object(properties, []), "Elicitation completed");
    },
  },
  json_schema_2020_12_tool: {
    input: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
      properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    run: (call) => [text(JSON.stringify(call.input))],
  },
  test_reconnection: {
    run: async (call) => {
      call.extra.closeSSEStream?.();
      await pause(100);
      return [text("Reconnection test completed successfully")];
    },
  },

  // Not the suite's.
  echo: { input: object({ message: string("What to say back") }), run: (call) => [text(call.input.message)] },
  sleep: {
    input: object({ ms: { type: "integer" } }),
    run: async (call) => {
      await pause(call.input.ms);
      return [text(`slept ${call.input.ms} ms`)];
    },
  },
  never: { run: () => new Promise(() => {}) },
  burst: {
    input: object({ count: { type: "integer" } }),
    run: async (call) => {
      for (let at = 0; at < call.input.count; at += 1) await call.log(`burst ${at}`);
      return [text(`logged ${call.input.count}`)];
    },
  },
  log_later: {
    input: object({ ms: { type: "integer" }, secret: string("What it says then") }),
    run: (call) => {
      setTimeout(() => call.server.notification(logged(call.input.secret)).catch(() => {}), call.input.ms);
      return [text("it will")];
    },
  },
  ask_later: {
    input: object({ ms: { type: "integer" }, secret: string("What it asks then") }),
    run: (call) => {
      setTimeout(async () => {
        const params = { messages: [{ role: "user", content: text(call.input.secret) }], maxTokens: 100 };
        const asked = call.server.request({ method: "sampling/createMessage", params }, schemas.CreateMessageResultSchema);
        outcomes.push(await asked.then((answer) => `answered: ${answer.content.text}`, (error) => `refused: ${error.code}`));
      }, call.input.ms);
      return [text("it will")];
    },
  },
  outcomes: { run: () => [text(outcomes.join("; "))] },
  // An answer that no proxy takes. The SDK writes the id behind it.
  too_deep: {
    run: () => {
      let deep = [];
      for (let depth = 0; depth < 1000; depth += 1) deep = [deep];
      return { content: [text("deep")], structuredContent: { deep } };
    },
  },
  // The roots that it got of its client once that was ready, as file servers do.
  roots: { run: async (call) => [text(await call.server.firstRoots)] },
  large: {
    input: object({ bytes: { type: "integer" } }),
    run: (call) => [text("x".repeat(call.input.bytes))],
  },
};
const outcomes = [];

const prompts = {
  test_simple_prompt: { run: () => [text("This is a simple prompt for testing.")] },
  test_prompt_with_arguments: {
    arguments: ["arg1", "arg2"],
    run: ({ arg1, arg2 }) => [text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)],
  },
  test_prompt_with_embedded_resource: {
    arguments: ["resourceUri"],
    run: ({ resourceUri }) => [
      embedded(resourceUri, "text/plain", "Embedded resource content for testing."),
      text("Please process the embedded resource above."),
    ],
  },
  test_prompt_with_image: { run: () => [image, text("Please analyze the image above.")] },
};

const resources = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched." },
};

function logged(said) {
  return { method: "notifications/message", params: { level: "info", logger: "server", data: said } };
}

// What a tool is given of the request that calls it.
function callOf(server, params, extra) {
  const token = params._meta?.progressToken;
  const ask = (method, asked, schema) => extra.sendRequest({ method, params: asked }, schema);
  return {
    server,
    extra,
    input: params.arguments ?? {},
    ask,
    log: (said) => extra.sendNotification(logged(said)),
    progress: async (progress, total) => {
      if (token === undefined) return;
      const told = { progressToken: token, progress, total };
      await extra.sendNotification({ method: "notifications/progress", params: told });
    },
    elicit: async (message, requestedSchema, word) => {
      const answer = await ask("elicitation/create", { message, requestedSchema }, schemas.ElicitResultSchema);
      return [text(`${word}: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`)];
    },
  };
}

async function callTool(server, params, extra) {
  const tool = tools[params.name];
  if (!tool) throw new schemas.McpError(schemas.ErrorCode.InvalidParams, `no tool ${params.name}`);
  try {
    const result = await tool.run(callOf(server, params, extra));
    return Array.isArray(result) ? { content: result } : result;
  } catch (error) {
    return { isError: true, content: [text(error.message)] };
  }
}

function readResource({ uri }) {
  const templated = /^test:\/\/template\/([^/]+)\/data$/.exec(uri);
  if (templated) {
    const data = { id: templated[1], templateTest: true, data: `Data for ID: ${templated[1]}` };
    return { contents: [{ uri, mimeType: "application/json", text: JSON.stringify(data) }] };
  }
  if (!resources[uri]) throw new schemas.McpError(-32002, `no resource ${uri}`);
  return { contents: [{ uri, ...resources[uri] }] };
}

function makeServer() {
  const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };
  const server = new Server({ name: "wharf-test-sdk-server", version: "1" }, { capabilities });
  const handle = (schema, handler) => server.setRequestHandler(schemas[schema], handler);
  handle("ListToolsRequestSchema", () => ({
    tools: Object.entries(tools).map(([name, tool]) => ({ name, description: name, inputSchema: tool.input ?? object() })),
  }));
  handle("CallToolRequestSchema", (request, extra) => callTool(server, request.params, extra));
  handle("ListPromptsRequestSchema", () => ({
    prompts: Object.entries(prompts).map(([name, prompt]) => ({
      name,
      description: name,
      arguments: (prompt.arguments ?? []).map((argument) => ({ name: argument, description: argument, required: true })),
    })),
  }));
  handle("GetPromptRequestSchema", ({ params }) => ({
    messages: prompts[params.name].run(params.arguments ?? {}).map((content) => ({ role: "user", content })),
  }));
  handle("ListResourcesRequestSchema", () => ({
    resources: Object.entries(resources).map(([uri, { mimeType }]) => ({ uri, name: uri, description: uri, mimeType })),
  }));
  handle("ListResourceTemplatesRequestSchema", () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", mimeType: "application/json" }],
  }));
  handle("ReadResourceRequestSchema", ({ params }) => readResource(params));
  handle("SubscribeRequestSchema", () => ({}));
  handle("UnsubscribeRequestSchema", () => ({}));
  handle("SetLevelRequestSchema", () => ({}));
  server.firstRoots = new Promise((resolve) => {
    server.oninitialized = () => {
      if (!server.getClientCapabilities()?.roots) return resolve("not offered");
      const told = ({ roots }) => resolve(roots.map((root) => root.uri).join(" "));
      server.listRoots().then(told, (error) => resolve(`refused: ${error.code}`));
    };
  });
  handle("CompleteRequestSchema", () => ({ completion: { values: ["paris", "park", "party"], total: 3, hasMore: false } }));
  return server;
}

if (process.argv[2] === "--http") serveHttp(makeServer, Number(process.env.PORT ?? 0));
else makeServer().connect(new StdioServerTransport());
