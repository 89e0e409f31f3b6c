// Figures of the page for docs/benchmarks.md: node measure.js [jobs] [previews] [startup]
// COMFY_RUNNER_BINARY names the binary; a release build's figures are those to write down.
import { readFileSync } from "node:fs";
import { DESKTOP, Person, launch } from "./support/browser.js";
import { TestServer } from "./support/server.js";

const wanted = process.argv.slice(2);
const does = (name) => wanted.length === 0 || wanted.includes(name);
const server = await TestServer.start({ stepMs: 0 });
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
      const requests = await page.evaluate(() => performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/assets/")).length);
      console.log(`files of the page: ${requests}`);
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
  const STEPS = 3000;
  const ROUNDS = 4;
  const person = await Person.enter(browser, server, DESKTOP);
  const page = await person.open("/w/test-progress");
  await page.evaluate(() => {
    window.previews = 0;
    const create = window.createImageBitmap;
    window.createImageBitmap = (...args) => ((window.previews += 1), create(...args));
  });
  for (let round = 0; round < ROUNDS; round++) {
    const { prompt_id } = await server.execute("test-progress", { steps: STEPS, delay_ms: 2, seed: round });
    await page.locator(".live-picture canvas:not([hidden])").waitFor();
    if (round === 0) console.log(`memory with the first previews, in MiB: ${JSON.stringify(await memory(page))}`);
    for (;;) {
      const { status } = await server.api(`/api/run/status/${prompt_id}`);
      if (status !== "running" && status !== "pending") break;
      await page.waitForTimeout(500);
    }
    console.log(`after ${await page.evaluate(() => window.previews)} previews: ${JSON.stringify(await memory(page))}`);
  }
  await person.context.close();
}

await browser.close();
await server.stop();
