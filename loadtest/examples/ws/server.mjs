// A fan-out server on npm's `ws`: every text message goes to all clients, including the sender. One thread.
//
// A frame per message, as the library's own broadcast example does it. A client that has more than 1 MiB unsent is cut
// off: `send` itself never refuses.
//
//   npm install --prefix loadtest/examples/ws
//   node loadtest/examples/ws/server.mjs 8080        # ws://127.0.0.1:8080/

import { WebSocket, WebSocketServer } from "ws";

const UNSENT_BYTES_MAX = 1024 * 1024;
const MESSAGE_BYTES_MAX = 64 * 1024;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2] ?? 8080),
  backlog: 4096,
  maxPayload: MESSAGE_BYTES_MAX,
  perMessageDeflate: false,
});

server.on("connection", (socket) => {
  // An error is followed by a close, and an error without a listener ends the process.
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => {
    if (isBinary) return;
    for (const client of server.clients) {
      if (client.readyState !== WebSocket.OPEN) continue;
      if (client.bufferedAmount > UNSENT_BYTES_MAX) client.terminate();
      else client.send(data, { binary: false });
    }
  });
});
