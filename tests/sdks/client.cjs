// Clients made with the official TypeScript SDKs, in front of `server.cjs`.
//
//     mcp-node client.cjs SDK URL SCENARIO…     SDK: sdk-0, sdk-1 (the old package, an early and a late version), sdk-2
//
// Prints one object: for each scenario, what came of it.
"use strict";
const { relay } = require("./relay.cjs");

const [sdk, url, ...wanted] = process.argv.slice(2);
const isNew = sdk === "sdk-2";
const { Client, StreamableHTTPClientTransport } = isNew
  ? require("sdk-2")
  : { ...require(`${sdk}/client/index.js`), ...require(`${sdk}/client/streamableHttp.js`) };
const schemas = isNew ? {} : require(`${sdk}/types.js`);
const requestKind = isNew ? "sampling/createMessage" : schemas.CreateMessageRequestSchema;
const rootsKind = isNew ? "roots/list" : schemas.ListRootsRequestSchema;
const notificationKind = isNew ? "notifications/message" : schemas.LoggingMessageNotificationSchema;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A client that remembers what it was told and asked.
async function open(address = url, root = undefined) {
  const capabilities = { sampling: {}, ...(root && { roots: { listChanged: true } }) };
  const client = new Client({ name: sdk, version: "1" }, { capabilities });
  if (root) client.setRequestHandler(rootsKind, () => ({ roots: [{ uri: root }] }));
  const seen = { logs: [], questions: [] };
  client.setNotificationHandler(notificationKind, ({ params }) => void seen.logs.push(params.data));
  client.setRequestHandler(requestKind, ({ params }) => {
    seen.questions.push(params.messages[0].content.text);
    return { role: "assistant", model: "none", content: { type: "text", text: "Ada" } };
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(address)));
  const call = async (name, input = {}, options = {}) => {
    const params = { name, arguments: input };
    const told = { timeout: 60000, ...options };
    const result = await (isNew ? client.callTool(params, told) : client.callTool(params, undefined, told));
    return result.content[0].text;
  };
  return { call, seen, close: () => client.close() };
}

const scenarios = {
  // 200 calls at once in one session.
  async many(client) {
    const numbers = [...Array(200).keys()].map(String);
    const answers = await Promise.all(numbers.map((message) => client.call("echo", { message })));
    return answers.filter((answer, at) => answer === numbers[at]).length;
  },
  // A thousand log messages within one call.
  async burst(client) {
    const answer = await client.call("burst", { count: 1000 });
    const inOrder = client.seen.logs.every((said, at) => said === `burst ${at}`);
    return { answer, logs: client.seen.logs.length, inOrder };
  },
  // An answer that nobody can take, with its id behind it.
  async too_deep(client) {
    const begun = Date.now();
    const failure = await client.call("too_deep").then(() => "none", (error) => error.code);
    return { failure, soon: Date.now() - begun < 10000 };
  },
  // The server asks its one client, also after that one has cancelled a call which is never answered.
  async asked(client) {
    const abort = new AbortController();
    const forgotten = client.call("never", {}, { signal: abort.signal }).then(() => "answered", () => "cancelled");
    await client.call("echo", { message: "the call before is on its way" });
    abort.abort();
    const answer = await client.call("test_sampling", { prompt: "who?" });
    return { forgotten: await forgotten, answer, questions: client.seen.questions };
  },
  // The only client gets what the server says after its answer.
  async alone(client) {
    await client.call("log_later", { ms: 200, secret: "said later" });
    for (let waited = 0; client.seen.logs.length === 0 && waited < 200; waited += 1) await pause(50);
    return [...client.seen.logs];
  },
  // A call that takes long; its connection breaks as soon as the stream has begun. A client of an early revision was given
  // nothing to resume by.
  async slow() {
    const broken = await relay(url);
    const client = await open(broken.url);
    if (sdk !== "sdk-0") broken.breakNextStream();
    const answer = await client.call("sleep", { ms: 12000 });
    await client.close();
    broken.close();
    return { answer, breaks: broken.breaks() };
  },
  // A body that is too large, sent by the HTTP client that the SDK uses.
  async refused() {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const response = await fetch(url, { method: "POST", headers, body: "x".repeat(20 << 20) });
    return response.status;
  },
  // What the server says and asks of one client, after it answered that one and while another one is at work.
  async two() {
    const [one, other] = [await open(), await open()];
    await one.call("log_later", { ms: 200, secret: "of one" });
    await one.call("ask_later", { ms: 400, secret: "of one" });
    await other.call("sleep", { ms: 1000 });
    const outcomes = await other.call("outcomes");
    const seen = { one: one.seen, other: other.seen };
    await one.close();
    await other.close();
    return { outcomes, ...seen };
  },
  // The server asks for the folders of its client as soon as that is ready.
  async rooted() {
    const clients = [await open(url, "file:///of/one"), await open(url, "file:///of/other"), await open()];
    const seen = await Promise.all(clients.map((client) => client.call("roots")));
    await Promise.all(clients.map((client) => client.close()));
    return seen;
  },
  // Two clients ask for the same at the same time, with the same ids: each gets its own.
  async crossing() {
    const [one, other] = [await open(), await open()];
    const wrong = [];
    const rounds = async (client, name) => {
      for (let round = 0; round < 100; round += 1) {
        const message = `${name} ${round}`;
        const answer = await client.call("echo", { message });
        if (answer !== message) wrong.push(answer);
      }
    };
    await Promise.all([rounds(one, "one"), rounds(other, "other")]);
    await one.close();
    await other.close();
    return wrong;
  },
};

(async () => {
  const outcomes = {};
  // One session for all that one client shows: the end of a session is something that the next one could notice.
  let client;
  for (const scenario of wanted) {
    const run = scenarios[scenario];
    if (run.length > 0) client ??= await open();
    client?.seen.logs.splice(0);
    outcomes[scenario] = await run(client);
  }
  console.log(JSON.stringify(outcomes));
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
