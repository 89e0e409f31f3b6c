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

/** Returns a free port below those that the system gives to outgoing connections, which could take it before it is used. */
async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const listener = createServer().listen(port, "127.0.0.1");
    const free = await new Promise((resolve) => listener.once("listening", () => resolve(true)).once("error", () => resolve(false)));
    await new Promise((resolve) => listener.close(resolve));
    if (free) return port;
  }
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
  /** `ownWorkflows`: whether the library has the workflows of the tests beside the samples. */
  constructor({ stepMs = 5, keys = [], allowEdit = true, ownWorkflows = true } = {}) {
    this.stepMs = stepMs;
    this.keys = keys;
    this.options = allowEdit ? ["--allow-edit"] : [];
    this.folder = mkdtempSync(join(tmpdir(), "comfy-runner-page-"));
    this.workflows = join(this.folder, "workflows");
    cpSync(join(ROOT, "fixtures/workflows/"), this.workflows, { recursive: true, dereference: true });
    if (ownWorkflows) cpSync(fileURLToPath(new URL("../workflows/", import.meta.url)), this.workflows, { recursive: true });
  }

  async start() {
    const [simulatorPort, port] = [await freePort(), await freePort()];
    this.comfyui = `http://127.0.0.1:${simulatorPort}`;
    this.url = `http://127.0.0.1:${port}`;
    this.port = port;
    await this.startComfyUi();
    await this.serve();
    return this;
  }

  /** Starts the simulator, once more after `stopComfyUi`. */
  async startComfyUi() {
    const listen = new URL(this.comfyui).host;
    this.simulator = await start(["simulate", "--listen", listen, "--data", join(this.folder, "comfyui"), "--step-ms", String(this.stepMs)], `${this.comfyui}/system_stats`);
  }

  /** Kills the simulator, as a ComfyUI that runs out of memory dies. */
  async stopComfyUi() {
    await this.simulator.stop("SIGKILL");
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
