import assert from "node:assert/strict";
import { assertAccessible } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

const { server, test, enter, startServer } = pageTests({ stepMs: 30 });

const completed = (page) => page.locator(".stage .badge", { hasText: "Completed" });

test("a prompt becomes an image, with live progress and previews", async (person) => {
  const page = await person.open("/");
  await page.getByRole("link", { name: "Text to image", exact: true }).click();
  await page.getByText("Nothing made yet").waitFor();
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a red fox in the snow");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("100");
  await page.locator(".run-button").click();
  const preview = page.getByRole("img", { name: "Preview" });
  await preview.waitFor();
  assert.ok(await preview.evaluate((canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1).data[3] === 255));
  await page.locator(".live-numbers", { hasText: /step \d+ of 100/ }).waitFor();
  await completed(page).waitFor();
  const image = page.locator(".file-picture img");
  await image.waitFor();
  assert.equal(await image.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 512);
  assert.equal((await server.newestJob()).params.prompt, "a red fox in the snow");
});

test("Ctrl+Enter runs from a field, and the job goes on after a reload and on another device", async (person) => {
  const other = await enter();
  const page = await person.open("/w/test-progress");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("2000");
  await page.getByRole("spinbutton", { name: "Milliseconds per step" }).fill("100");
  await page.keyboard.press("Control+Enter");
  await page.locator(".live-numbers").waitFor();
  await page.reload();
  await page.locator(".live-numbers", { hasText: /step \d+ of 2000/ }).waitFor();
  const elsewhere = await other.open("/w/test-progress");
  await elsewhere.locator(".live-numbers", { hasText: /step \d+ of 2000/ }).waitFor();
  await elsewhere.getByRole("button", { name: "Cancel job" }).click();
  await page.getByText("This job was cancelled.").waitFor();
  await elsewhere.getByText("This job was cancelled.").waitFor();
});

test("several jobs wait in line, and each says how many are before it", async (person) => {
  const page = await person.open("/w/test-progress");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("2000");
  await page.getByRole("spinbutton", { name: "Milliseconds per step" }).fill("100");
  await page.getByRole("spinbutton", { name: "How many times to run" }).fill("3");
  await page.getByRole("button", { name: "Run 3 times" }).click();
  // The first runs and is shown; the newest is on the left.
  await page.locator(".film-tile.status-pending + .film-tile.status-pending + .film-tile.status-running[aria-current]").waitFor();
  await page.locator(".film-tile.status-pending").first().click();
  await page.getByText("2 jobs before this one").waitFor();
  await page.locator(".film-tile.status-pending").last().click();
  await page.getByText("One job before this one").waitFor();
  await page.locator(".nav-link", { hasText: "Queue" }).locator(".count", { hasText: "3" }).waitFor();
  for (const { prompt_id } of (await server.api("/api/queue")).jobs.reverse()) {
    await fetch(`${server.url}/api/run/cancel/${prompt_id}`, { method: "POST" });
  }
  await page.getByText("This job was cancelled.").waitFor();
});

test("values survive a reload, and a link carries those of a job", async (person) => {
  const page = await person.open("/w/text-to-image");
  const prompt = page.getByRole("textbox", { name: "Prompt", exact: true });
  await prompt.fill("kept over a reload");
  await page.waitForFunction(() => localStorage.getItem("comfy-runner.form.text-to-image")?.includes("kept over a reload"));
  await page.reload();
  assert.equal(await prompt.inputValue(), "kept over a reload");
  const job = await server.finished("text-to-image", { prompt: "of a job", steps: 3, resolution: "768x512" });
  await page.goto(`/w/text-to-image?from=${job.prompt_id}`);
  await page.getByText("The form has the values of that job.").waitFor();
  assert.equal(await prompt.inputValue(), "of a job");
  assert.equal(await page.getByRole("spinbutton", { name: "Steps" }).inputValue(), "3");
  assert.equal(await page.getByRole("spinbutton", { name: "Width" }).inputValue(), "768");
  assert.equal(await page.getByRole("textbox", { name: "Seed" }).inputValue(), String(job.seeds.seed));
  assert.equal(new URL(page.url()).search, "");
  await page.getByRole("button", { name: "Reset all values" }).click();
  assert.notEqual(await prompt.inputValue(), "of a job");
});

test("a job that fails says why", async (person) => {
  const page = await person.open("/w/fails");
  await page.getByRole("textbox", { name: "Message" }).fill("the lens is dirty");
  await page.locator(".run-button").click();
  await page.getByRole("alert").getByText(/Breaks.*the lens is dirty/).waitFor();
});

test("a job goes on while the server restarts, and the page finds its end", async (person) => {
  person.expect(/ERR_CONNECTION_REFUSED|WebSocket/);
  const page = await person.open("/w/test-progress");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("40");
  await page.getByRole("spinbutton", { name: "Milliseconds per step" }).fill("100");
  await page.locator(".run-button").click();
  await page.locator(".live-numbers", { hasText: /step \d+ of 40/ }).waitFor();
  await server.stopServer();
  await page.getByText("Reconnecting…").waitFor();
  await server.serve();
  await page.getByText("Reconnecting…").waitFor({ state: "detached" });
  await completed(page).waitFor();
  await page.locator(".file-picture img").waitFor();
});

test("two tabs show the same jobs", async (person) => {
  const [one, two] = [await person.open("/w/no-model"), await person.open("/w/no-model")];
  await two.getByText("Nothing made yet").waitFor();
  await one.locator(".run-button").click();
  await completed(one).waitFor();
  await completed(two).waitFor();
  assert.equal(await one.locator(".film-tile").count(), await two.locator(".film-tile").count());
});

test("a page shows every job that a program starts", async (person) => {
  const page = await person.open("/w/no-model");
  await page.locator(".film-tile").first().waitFor();
  await server.execute("no-model", { _count: 5 });
  // One is from the test before.
  await page.locator(".film-tile").nth(5).waitFor();
});

test("a server that is gone is an error with a way back", async (person) => {
  person.expect(/ERR_CONNECTION_REFUSED|WebSocket/);
  const page = await person.open("/");
  await page.locator(".card:not(.skeleton)").first().waitFor();
  // The other views are fetched in the background.
  await page.waitForLoadState("networkidle");
  await server.stopServer();
  await page.getByRole("link", { name: "Jobs" }).click();
  await page.getByText("The server cannot be reached").waitFor();
  await server.serve();
  await page.getByRole("button", { name: "Try again" }).first().click();
  await page.locator(".job-row").first().waitFor();
});

test("each decoded preview is released as soon as it is drawn", async (person) => {
  await person.context.addInitScript(() => {
    const { createImageBitmap } = window;
    const { close } = ImageBitmap.prototype;
    window.previews = { made: 0, held: 0, most: 0 };
    window.createImageBitmap = async (...args) => {
      const bitmap = await createImageBitmap(...args);
      window.previews.made += 1;
      window.previews.most = Math.max(window.previews.most, ++window.previews.held);
      return bitmap;
    };
    ImageBitmap.prototype.close = function () {
      window.previews.held -= 1;
      close.call(this);
    };
  });
  const page = await person.open("/w/test-progress");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("40");
  await page.getByRole("spinbutton", { name: "Milliseconds per step" }).fill("100");
  await page.locator(".run-button").click();
  await page.getByRole("img", { name: "Preview" }).waitFor();
  await completed(page).waitFor();
  await page.waitForFunction(() => window.previews.held === 0);
  const { made, most } = await page.evaluate(() => window.previews);
  assert.ok(made > 5 && most <= 2, `${made} made, ${most} held at most`);
});

test("a time left that rounds to nothing is shown near the end only", async (person) => {
  const page = await person.context.newPage();
  let percent = 33;
  await page.routeWebSocket(/\/api\/run\/ws$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => {
      const message = JSON.parse(text);
      if (message.type === "progress" && message.data.status === "running") Object.assign(message.data, { percent, eta_seconds: 0.01 });
      socket.send(JSON.stringify(message));
    });
  });
  await page.goto("/w/test-progress");
  const { prompt_id: id } = await server.execute("test-progress", { steps: 2000, delay_ms: 100, seed: 71 });
  const numbers = page.locator(".live-numbers");
  await numbers.getByText("33 %").waitFor();
  assert.doesNotMatch(await numbers.innerText(), /left/);
  percent = 97;
  await numbers.getByText("0.0 s left").waitFor();
  await fetch(`${server.url}/api/run/cancel/${id}`, { method: "POST" });
  await page.getByText("This job was cancelled.").waitFor();
});

test("a workflow that is opened shows the job that runs rather than those that wait", async (person) => {
  const jobs = [];
  for (let seed = 0; seed < 33; seed++) jobs.push((await server.execute("test-progress", { steps: 2000, delay_ms: 100, seed: 100 + seed })).prompt_id);
  const page = await person.open("/w/test-progress");
  await page.locator(".film-tile.status-running[aria-current]").waitFor();
  await page.locator(".live-numbers").waitFor();
  for (const id of jobs.reverse()) await fetch(`${server.url}/api/run/cancel/${id}`, { method: "POST" });
  await page.getByText("This job was cancelled.").waitFor();
});

test("the form says once that ComfyUI does not answer, and forgets that the server did not", async () => {
  const own = await startServer();
  const person = await enter({}, own);
  person.expect(/500 \(Internal Server Error\)|ERR_CONNECTION_REFUSED|WebSocket/);
  await own.stopComfyUi();
  const page = await person.open("/w/text-to-image");
  await page.getByText("The lists of models cannot be fetched").waitFor();
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a fox");
  const check = page.waitForResponse(/\/check$/);
  await page.reload();
  await (await check).finished();
  await page.getByText("The lists of models cannot be fetched").waitFor();
  assert.equal(await page.locator(".run-fields .note").count(), 1);
  await own.startComfyUi();
  while (!(await own.api("/api/workflows/text-to-image/check")).ready) await page.waitForTimeout(100);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".run-fields .note").waitFor({ state: "detached" });

  await own.stopServer("SIGKILL");
  await page.locator(".run-button").click();
  const failure = page.getByText("The server cannot be reached");
  await failure.waitFor();
  await own.serve();
  await failure.waitFor({ state: "detached" });
});

test("an address without a workflow has a heading, and leads to the library", async (person) => {
  person.expect(/404 \(Not Found\)/);
  const page = await person.open("/w/nothing");
  await page.getByRole("heading", { name: "nothing", level: 1 }).waitFor();
  await page.getByRole("main").getByRole("alert").waitFor();
  await assertAccessible(page, "no such workflow");
  await page.getByRole("main").getByRole("link", { name: "Workflows" }).click();
  await page.locator(".card:not(.skeleton)").first().waitFor();
  await page.evaluate(() => (history.pushState(null, "", "/jobs/a/b"), history.pushState(null, "", "/jobs/a/b/c"), history.back()));
  await page.getByRole("heading", { name: "There is nothing at this address.", level: 1 }).waitFor();
  await assertAccessible(page, "nothing at this address");

  // The answer never comes.
  await page.route("**/api/run/no-model*", () => {});
  await page.goto("/w/no-model");
  await page.getByText("Loading…").last().waitFor();
  await page.getByRole("heading", { name: "no-model", level: 1 }).waitFor({ state: "attached" });
  await assertAccessible(page, "a view that loads");
});
