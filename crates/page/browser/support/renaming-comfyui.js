// A ComfyUI that makes 3D models or sounds, as far as their names go: the simulator, which saves neither, behind a relay that
// gives its PNG files another ending. That has as many letters, so messages keep their sizes.
import { connect, createServer } from "node:net";
import { Transform } from "node:stream";

function renaming(from, to) {
  return new Transform({
    transform: (bytes, _, done) => done(null, Buffer.from(bytes.toString("latin1").replaceAll(from, to), "latin1")),
  });
}

/**
 * Puts the relay between a server and its simulator. Returns a function that ends it.
 * @param {string} ending of three letters
 */
export async function renameImages(server, ending) {
  const { hostname, port } = new URL(server.comfyui);
  const sockets = new Set();
  const relay = createServer((client) => {
    const simulator = connect(Number(port), hostname);
    for (const socket of [client, simulator]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => (client.destroy(), simulator.destroy()));
    }
    client.pipe(renaming(`_.${ending}`, "_.png")).pipe(simulator);
    simulator.pipe(renaming("_.png", `_.${ending}`)).pipe(client);
  });
  await new Promise((resolve) => relay.listen(0, "127.0.0.1", resolve));
  await server.stopServer();
  server.comfyui = `http://127.0.0.1:${relay.address().port}`;
  await server.serve();
  return () => {
    relay.close();
    for (const socket of sockets) socket.destroy();
  };
}
