// Passes requests on to a server, and sends the previews of jobs itself: as many as wanted, however fast the page is.
import { createHash } from "node:crypto";
import { createServer, request } from "node:http";
import { connect } from "node:net";

const PREVIEWS = "/api/run/ws?prompt_id=";
const WEBSOCKET_ID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Returns the WebSocket frame of a binary message of 126 to 65,535 bytes. */
function binaryFrame(bytes) {
  const header = Buffer.from([0x82, 126, 0, 0]);
  header.writeUInt16BE(bytes.length, 2);
  return Buffer.concat([header, bytes]);
}

/**
 * @param {import("./server.js").TestServer} server
 * @param {Buffer[]} previews encoded images, sent in turn: the next one when the page says anything
 */
export async function relayPreviews(server, previews) {
  const frames = previews.map(binaryFrame);
  const relay = {
    url: "",
    /** How many previews may be sent. */
    allowed: 1,
    sent: 0,
    close: () => (http.close(), http.closeAllConnections()),
  };
  const http = createServer((incoming, answer) => {
    const { method, url, headers } = incoming;
    const passed = request({ host: "127.0.0.1", port: server.port, method, path: url, headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.destroy());
    incoming.pipe(passed);
  });
  http.on("upgrade", (incoming, socket) => {
    socket.on("error", () => {});
    if (!incoming.url.startsWith(PREVIEWS)) {
      const lines = [`GET ${incoming.url} HTTP/1.1`];
      for (let at = 0; at < incoming.rawHeaders.length; at += 2) lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`);
      const passed = connect(server.port, "127.0.0.1", () => passed.write(`${lines.join("\r\n")}\r\n\r\n`));
      passed.on("error", () => socket.destroy());
      return socket.pipe(passed).pipe(socket);
    }
    const accept = createHash("sha1").update(incoming.headers["sec-websocket-key"] + WEBSOCKET_ID).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const send = () => {
      if (relay.sent < relay.allowed) socket.write(frames[relay.sent++ % frames.length]);
      else setTimeout(send, 10);
    };
    socket.on("data", send);
    send();
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  relay.url = `http://127.0.0.1:${http.address().port}`;
  return relay;
}
