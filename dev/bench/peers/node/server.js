// The echo of the benchmark on Node.js and ws: JSON in WebSocket, as axum_server.rs has it.
//
// The contract is that of bench.proto as JSON: the payload is bytes, in base64.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { WebSocketServer } from "ws";

const { version } = createRequire(import.meta.url)("ws/package.json");
const server = createServer();
const sockets = new WebSocketServer({ server });

sockets.on("connection", (socket, request) => {
  socket.on("error", () => socket.terminate());
  if (request.url === "/unread") {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  socket.on("message", (data) => {
    const { call, id, message } = JSON.parse(data);
    if (call !== "bench.v1.Bench/Echo") {
      socket.terminate();
      return;
    }
    const payload = Buffer.from(message.payload, "base64");
    socket.send(JSON.stringify({ id, message: { payload: payload.toString("base64") } }));
  });
});

server.listen(0, "127.0.0.1", () => {
  const { address, port } = server.address();
  const banner = {
    name: "Node.js",
    version: `${process.versions.node} with ws ${version}`,
    address: `${address}:${port}`,
    opt_level: "?",
    profile: "?",
  };
  console.log(JSON.stringify(banner));
});

// The runner is gone.
process.stdin.resume().on("end", () => process.exit());
