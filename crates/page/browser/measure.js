// Figures of the page for docs/benchmarks.md: node measure.js [startup] [jobs] [previews]
// COMFY_RUNNER_BINARY names the binary; a release build's figures are those to write down.
import { readFileSync } from "node:fs";
import { DESKTOP, Person, launch } from "./support/browser.js";
import { relayPreviews } from "./support/preview-relay.js";
import { TestServer } from "./support/server.js";

const wanted = process.argv.slice(2);
const does = (name) => wanted.length === 0 || wanted.includes(name);
const server = await new TestServer({ stepMs: 0 }).start();
const browser = await launch();
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Memory of the renderer processes of the browser and of the browser itself, in MiB. */
async function memory(page) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("HeapProfiler.collectGarbage");
  const { metrics } = await cdp.send("Performance.getMetrics").catch(() => ({ metrics: [] }));
  const heap = metrics.find(({ name }) => name === "JSHeapUsedSize")?.value ?? (await page.evaluate(() => performance.memory.usedJSHeapSize));
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const rss = (type) =>
    processInfo
      .filter((process) => process.type === type)
      .reduce((sum, { id }) => {
        try {
          return sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0) / 1024;
        } catch {
          return sum; // It has ended.
        }
      }, 0);
  await cdp.detach();
  await session.detach();
  return { heap: (heap / 2 ** 20).toFixed(1), renderers: rss("renderer").toFixed(0), browser: rss("browser").toFixed(0) };
}

if (does("startup")) {
  const times = [];
  for (let round = 0; round < 11; round++) {
    const person = await Person.enter(browser, server, DESKTOP);
    const page = await person.context.newPage();
    await page.goto("/", { waitUntil: "commit" });
    await page.locator(".card").first().waitFor();
    // When the first card was painted, since the navigation began.
    times.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? performance.now()));
    if (round === 0) {
      const { files, bytes } = await page.evaluate(() => {
        const named = new Set([...document.querySelectorAll("script[src], link[href]")].map((element) => element.src ?? element.href));
        const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter(({ name }) => named.has(name))];
        return { files: loaded.length, bytes: loaded.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) };
      });
      console.log(`files of the first view: ${files}, ${(bytes / 1000).toFixed(1)} KB compressed`);
    }
    await person.context.close();
  }
  console.log(`first contentful paint, empty cache: median ${median(times).toFixed(0)} ms, worst ${Math.max(...times).toFixed(0)} ms of ${times.length}`);
}

if (does("jobs")) {
  const body = (color) => JSON.stringify({ params: { color, size: "64x64", _count: 100 } });
  for (let group = 0; group < 10; group++) {
    await server.api("/api/run/no-model/execute?wait=120", { method: "POST", headers: { "Content-Type": "application/json" }, body: body(group * 1000) });
  }
  const person = await Person.enter(browser, server, DESKTOP);
  const page = await person.open("/jobs");
  await page.locator(".job-row").nth(49).waitFor();
  const end = page.getByText("These are all jobs.");
  while (!(await end.isVisible())) {
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await page.waitForTimeout(100);
  }
  const rows = await page.locator(".job-row").count();
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.waitForTimeout(500);
  const frames = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const frames = [];
        const height = document.body.scrollHeight;
        const began = performance.now();
        let before = began;
        const step = (now) => {
          frames.push(now - before);
          before = now;
          const part = (now - began) / 8000;
          window.scrollTo(0, part * height);
          if (part < 1) requestAnimationFrame(step);
          else resolve(frames.slice(1));
        };
        requestAnimationFrame(step);
      }),
  );
  const sorted = frames.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(1);
  console.log(`${rows} rows drawn, ${nodes} elements; ${frames.length} frames of a scroll through all in 8 s: median ${at(0.5)} ms, p95 ${at(0.95)}, p99 ${at(0.99)}, worst ${at(1)}; over 34 ms: ${frames.filter((time) => time > 34).length}`);
  console.log(`memory with the list, in MiB: ${JSON.stringify(await memory(page))}`);
  await person.context.close();
}

if (does("previews")) {
  // An hour of ten previews per second. The server sends at most one per 150 ms, so a relay sends them: the next one as soon
  // as the page has decoded the one before.
  const PREVIEWS = 36_000;
  const PART = 6000;
  const relay = await relayPreviews(server, await noisyImages(24));
  const person = await Person.enter(browser, relay, DESKTOP);
  await person.context.addInitScript(() => {
    let socket;
    window.WebSocket = class extends WebSocket {
      constructor(url) {
        super(url);
        if (url.includes("prompt_id=")) socket = this;
      }
    };
    const { createImageBitmap } = window;
    window.createImageBitmap = async (...args) => {
      const bitmap = await createImageBitmap(...args);
      socket.send("next");
      return bitmap;
    };
  });
  const page = await person.open("/w/test-progress");
  await server.execute("test-progress", { steps: 10_000, delay_ms: 100, preview: false });
  await page.locator(".live-picture canvas:not([hidden])").waitFor();
  const began = performance.now();
  for (;;) {
    console.log(`after ${relay.sent} previews in ${((performance.now() - began) / 1000).toFixed(0)} s, memory in MiB: ${JSON.stringify(await memory(page))}`);
    if (relay.sent >= PREVIEWS) break;
    relay.allowed = Math.min(PREVIEWS, relay.allowed + (relay.allowed === 1 ? PART - 1 : PART));
    while (relay.sent < relay.allowed) await page.waitForTimeout(100);
  }
  await person.context.close();
  relay.close();
}

/** Returns JPEG images of 512 by 512 pixels, all different, of some 20 KB. */
async function noisyImages(count) {
  const page = await browser.newPage();
  const images = await page.evaluate((count) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 512, height: 512 });
    const context = canvas.getContext("2d");
    return Array.from({ length: count }, (_, image) => {
      for (let spot = 0; spot < 400; spot++) {
        context.fillStyle = `hsl(${(image * 15 + spot) % 360} 60% ${20 + Math.random() * 60}%)`;
        context.fillRect(Math.random() * 480, Math.random() * 480, 32, 32);
      }
      return canvas.toDataURL("image/jpeg", 0.8).split(",")[1];
    });
  }, count);
  await page.close();
  return images.map((base64) => Buffer.from(base64, "base64"));
}

await browser.close();
await server.stop();
