// Streamable HTTP for `server.cjs`: a server of the SDK for each session, as its documentation has it.
"use strict";
const http = require("node:http");
const { randomUUID } = require("node:crypto");
const { StreamableHTTPServerTransport } = require("sdk-1/server/streamableHttp.js");

// Keeps what it has sent, so that a stream can be resumed.
class Events {
  constructor() {
    this.kept = [];
  }
  async storeEvent(stream, message) {
    this.kept.push({ stream, message });
    return String(this.kept.length - 1);
  }
  async getStreamIdForEventId(id) {
    return this.kept[Number(id)]?.stream;
  }
  async replayEventsAfter(id, { send }) {
    const { stream } = this.kept[Number(id)];
    for (let at = Number(id) + 1; at < this.kept.length; at += 1) {
      const { stream: other, message } = this.kept[at];
      if (other === stream && Object.keys(message).length > 0) await send(String(at), message);
    }
    return stream;
  }
}

async function newSession(makeServer, sessions, port) {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new Events(),
    retryInterval: 500,
    enableDnsRebindingProtection: true,
    allowedHosts: [`127.0.0.1:${port}`, `localhost:${port}`],
    allowedOrigins: [`http://127.0.0.1:${port}`, `http://localhost:${port}`],
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await makeServer().connect(transport);
  return transport;
}

function serveHttp(makeServer, wanted) {
  const sessions = new Map();
  const listener = http.createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    const { port } = listener.address();
    const transport = id === undefined ? await newSession(makeServer, sessions, port) : sessions.get(id);
    if (transport) await transport.handleRequest(request, response);
    else response.writeHead(404).end();
  });
  listener.listen(wanted, process.env.MCP_HOST ?? "127.0.0.1", () => {
    console.log(`http://127.0.0.1:${listener.address().port}/mcp`);
  });
}

module.exports = { serveHttp };
