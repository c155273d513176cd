// Something between a client and its server that breaks connections.
//
//     mcp-node relay.cjs URL     its own URL is the first line of its output; the first stream of a call is broken: "broken"
"use strict";
const net = require("node:net");

// Relays to a URL's address. Told to, it breaks the next connection on which a call is answered with a stream.
async function relay(url, told = () => {}) {
  const target = new URL(url);
  let [isArmed, breaks] = [false, 0];
  const listener = net.createServer((client) => {
    const server = net.connect(target.port, target.hostname);
    let asks = false;
    const end = () => {
      client.destroy();
      server.destroy();
    };
    client.on("data", (bytes) => {
      asks ||= bytes.includes("tools/call");
      server.write(bytes);
    });
    server.on("data", (bytes) => {
      client.write(bytes);
      if (isArmed && asks && bytes.includes("text/event-stream")) {
        [isArmed, breaks] = [false, breaks + 1];
        setTimeout(end, 200);
        told();
      }
    });
    for (const socket of [client, server]) socket.on("error", end).on("close", end);
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  return {
    url: Object.assign(new URL(url), { port }).href,
    breakNextStream: () => (isArmed = true),
    breaks: () => breaks,
    close: () => listener.close(),
  };
}

module.exports = { relay };

if (require.main === module) {
  relay(process.argv[2], () => console.log("broken")).then((broken) => {
    broken.breakNextStream();
    console.log(broken.url);
  });
}
