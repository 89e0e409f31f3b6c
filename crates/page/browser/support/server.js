// The real binary: a simulator, and a server of it with the workflows of the tests.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const BINARY = process.env.COMFY_RUNNER_BINARY ?? join(ROOT, "target/debug/comfy-runner");
const PATIENCE = 60_000;

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** Starts the binary and waits until an address answers. */
async function start(args, url) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (text) => (log = (log + text).slice(-20_000)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${args[0]} ended: ${log}`);
    if (Date.now() > deadline) throw new Error(`${args[0]} does not answer at ${url}: ${log}`);
    try {
      await fetch(url);
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  return {
    log: () => log,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await ended;
    },
  };
}

/** A server and its simulator. */
export class TestServer {
  static async start({ stepMs = 5, keys = [], allowEdit = true, ownWorkflows = true } = {}) {
    const server = new TestServer();
    server.options = allowEdit ? ["--allow-edit"] : [];
    server.folder = mkdtempSync(join(tmpdir(), "comfy-runner-page-"));
    server.workflows = join(server.folder, "workflows");
    cpSync(join(ROOT, "fixtures/workflows/"), server.workflows, { recursive: true, dereference: true });
    if (ownWorkflows) cpSync(fileURLToPath(new URL("../workflows/", import.meta.url)), server.workflows, { recursive: true });
    server.keys = keys;
    const [simulatorPort, port] = [await freePort(), await freePort()];
    server.comfyui = `http://127.0.0.1:${simulatorPort}`;
    server.url = `http://127.0.0.1:${port}`;
    server.port = port;
    server.simulator = await start(
      ["simulate", "--listen", `127.0.0.1:${simulatorPort}`, "--data", join(server.folder, "comfyui"), "--step-ms", String(stepMs)],
      `${server.comfyui}/system_stats`,
    );
    await server.serve();
    return server;
  }

  async serve() {
    const keys = this.keys.flatMap((key) => ["--api-key", key]);
    const args = ["serve", "--workflows", this.workflows, "--comfyui", this.comfyui, "--listen", `127.0.0.1:${this.port}`];
    this.server = await start([...args, "--state-dir", join(this.folder, "state"), ...this.options, ...keys], `${this.url}/health`);
  }

  /** Stops the server and leaves the simulator. */
  async stopServer(signal) {
    await this.server.stop(signal);
  }

  async stop() {
    await this.server.stop("SIGKILL");
    await this.simulator.stop("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Asks the API, as a program would. */
  async api(path, init) {
    const response = await fetch(this.url + path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async execute(workflow, params) {
    const body = JSON.stringify({ params });
    return this.api(`/api/run/${workflow}/execute`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  /** Runs a workflow to its end. */
  async finished(workflow, params) {
    const body = JSON.stringify({ params });
    return this.api(`/api/run/${workflow}/execute?wait=60`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  }

  /** The record of the newest job. */
  async newestJob() {
    const { jobs } = await this.api("/api/jobs?limit=1");
    return this.api(`/api/jobs/${jobs[0].prompt_id}`);
  }
}
