import assert from "node:assert/strict";
import { pageTests } from "../support/page-tests.js";

const { server, test, enter, startServer } = pageTests({ stepMs: 30 });

test("the list of jobs is live, filtered, and leads to each", async (person) => {
  const page = await person.open("/jobs");
  await page.getByText("No jobs yet").waitFor();
  await server.finished("no-model", {});
  await server.finished("fails", {});
  const rows = page.locator(".job-row");
  await rows.filter({ hasText: "Completed" }).waitFor();
  await rows.filter({ hasText: /Failed/ }).getByText(/it broke/).waitFor();
  await rows.filter({ hasText: "Completed" }).locator("img").waitFor();
  await page.getByRole("button", { name: "Failed" }).click();
  await rows.filter({ hasText: "Completed" }).waitFor({ state: "detached" });
  await rows.filter({ hasText: /Failed/ }).waitFor();
  assert.equal(await rows.count(), 1);
  await page.getByRole("button", { name: "All", exact: true }).click();
  await page.getByLabel("Workflow", { exact: true }).selectOption("no-model");
  await rows.filter({ hasText: "Failed" }).waitFor({ state: "detached" });
  await rows.filter({ hasText: "Completed" }).waitFor();
  await page.reload();
  await rows.first().waitFor();
  assert.equal(await rows.count(), 1);
  await rows.getByRole("link", { name: "Coloured plate" }).click();
  await page.locator(".file-picture img").waitFor();
});

test("jobs are retried, cancelled and deleted from the list", async (person) => {
  const page = await person.open("/jobs?workflow=test-progress");
  await server.execute("test-progress", { steps: 2000, delay_ms: 100 });
  const rows = page.locator(".job-row");
  await rows.first().locator("progress").waitFor();
  await rows.first().getByRole("button", { name: "Cancel job" }).click();
  await rows.first().getByText("Cancelled").waitFor();
  await rows.first().getByRole("button", { name: "Run again" }).click();
  await page.getByText("The job was submitted again.").waitFor();
  await rows.nth(1).waitFor();
  await rows.first().locator("progress").waitFor();
  await rows.first().getByRole("button", { name: "Cancel job" }).click();
  await rows.first().getByText("Cancelled").waitFor();
  await rows.first().getByRole("button", { name: "Delete job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await rows.nth(1).waitFor({ state: "detached" });
});

test("the queue shows what runs and what waits", async (person) => {
  const page = await person.open("/queue");
  await page.getByText("Nothing waits and nothing runs").waitFor();
  const long = { steps: 2000, delay_ms: 100 };
  await server.execute("test-progress", long);
  await server.execute("test-progress", { ...long, seed: 2 });
  const section = (name) => page.locator("section", { has: page.getByRole("heading", { name }) });
  await section("Running").locator(".job-row progress").waitFor();
  await section("Waiting").locator(".job-row").waitFor();
  await section("Running").getByRole("button", { name: "Cancel job" }).click();
  await section("Waiting").waitFor({ state: "detached" });
  await section("ComfyUI servers").getByText("Connected").waitFor();
  await section("Running").getByRole("button", { name: "Cancel job" }).click();
  await page.getByText("Nothing waits and nothing runs").waitFor();
});

test("jobs of a ComfyUI that died say so, and stay in the queue with their buttons", async () => {
  const own = await startServer();
  const person = await enter({}, own);
  const [first] = [await own.execute("test-progress", { steps: 2000, delay_ms: 100 }), await own.execute("test-progress", { steps: 2000, delay_ms: 100, seed: 2 })];
  const page = await person.open(`/jobs/${first.prompt_id}`);
  await page.getByText(/steps\/s/).waitFor();
  await page.getByText(/ left$/).waitFor();
  const form = await person.open("/w/test-progress");
  await form.locator(".live").waitFor();
  await own.stopComfyUi();
  await page.getByText("ComfyUI does not answer; waiting for it").waitFor();
  assert.equal(await page.getByText(/steps\/s| left$/).count(), 0, "the rate is not known");
  await form.getByText("ComfyUI does not answer; waiting for it").waitFor();

  await page.goto("/queue");
  const section = (name) => page.locator("section", { has: page.getByRole("heading", { name }) });
  await section("Running").getByRole("button", { name: "Cancel job" }).waitFor();
  await section("Waiting").getByRole("button", { name: "Cancel job" }).waitFor();
  await section("ComfyUI servers").getByText("Not reachable").waitFor();

  await own.startComfyUi();
  await form.getByText("ComfyUI does not answer; waiting for it").waitFor({ state: "detached" });
  await section("ComfyUI servers").getByText("Connected").waitFor();
});

test("the card of a ComfyUI counts what waits on it, and the others are counted below", async () => {
  const own = await startServer();
  const person = await enter({}, own);
  const page = await person.open("/queue");
  for (let seed = 0; seed < 4; seed++) await own.execute("test-progress", { steps: 2000, delay_ms: 100, seed });
  const machines = page.locator("section", { has: page.getByRole("heading", { name: "ComfyUI servers" }) });
  const [{ jobs }, { waiting }] = await own.api("/api/comfyui").then((answer) => [answer.comfyuis[0], answer]);
  assert.equal(jobs.length + waiting, 4);
  await machines.getByText(jobs.length === 2 ? /Running: .* · one job waits on it/ : new RegExp(`Running: .* · ${jobs.length - 1} jobs wait on it`)).waitFor();
  if (waiting > 0) await machines.getByText(/wait until a ComfyUI has room/).waitFor();
});

test("a ComfyUI is told to take no more jobs, and to take them again", async (person) => {
  const page = await person.open("/queue");
  await page.getByRole("button", { name: "No more jobs" }).click();
  await page.getByText("Gets no more jobs").waitFor();
  assert.equal((await server.api("/api/comfyui")).comfyuis[0].draining, true);
  await page.getByRole("button", { name: "More jobs again" }).click();
  await page.getByText("Connected").waitFor();
});

test("a thousand jobs are listed as the list is scrolled, and only those near the view are drawn", async (person) => {
  for (let batch = 0; batch < 10; batch++) await server.execute("no-model", { _count: 100, color: batch });
  for (;;) {
    const queue = await server.api("/api/queue");
    if (queue.running + queue.pending === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const page = await person.open("/jobs");
  const rows = page.locator(".job-row");
  await rows.first().waitFor();
  assert.ok((await rows.count()) <= 200);
  for (let tries = 0; tries < 2000 && (await page.getByText("These are all jobs.").count()) === 0; tries++) {
    await page.mouse.wheel(0, 5000);
    await page.waitForTimeout(40);
  }
  await page.getByText("These are all jobs.").waitFor();
  const { drawn, height } = await page.evaluate(() => ({ drawn: document.querySelectorAll(".job-row").length, height: document.querySelector(".job-rows").clientHeight }));
  assert.ok(drawn < 250 && height > 1000 * 50, `${drawn} rows in ${height} pixels`);
  const newest = (await server.newestJob()).prompt_id.slice(0, 8);
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.locator(".job-row", { hasText: newest }).waitFor();
});

test("thumbnails are small encodings of the images", async (person) => {
  await server.finished("no-model", { size: "512x512" });
  const page = await person.context.newPage();
  const thumbnail = page.waitForResponse((response) => response.url().includes("/api/comfyui/view"));
  await page.goto("/jobs");
  assert.equal((await thumbnail).headers()["content-type"], "image/webp");
  const image = page.locator(".job-row img").first();
  assert.equal(await image.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 512);
});
