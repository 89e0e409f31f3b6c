import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assertAccessible, drop } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

const fixture = (path) => fileURLToPath(new URL(`../../../../fixtures/${path}`, import.meta.url));

const { server, test, enter, startServer } = pageTests();

test("a graph becomes a workflow: inputs are ticked, renamed, ordered and bounded, and the ZIP works", async (person) => {
  const page = await person.open("/");
  await page.getByRole("link", { name: "New workflow" }).click();
  await page.locator("input[type=file]").setInputFiles(fixture("ui/default.0.3.64.workflow.json"));
  const item = (key) => page.locator(`.draft-input[data-key="${key}"]`);
  await item("6.text").waitFor();
  await assertAccessible(page, "a draft");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("My painter");
  await page.getByRole("textbox", { name: "Folder and id" }).fill("my-painter");
  await item("5.batch_size").getByRole("checkbox").first().uncheck();
  await item("3.steps").locator("summary").click();
  await item("3.steps").getByRole("textbox", { name: "Label" }).fill("How long");
  await item("3.steps").getByRole("spinbutton", { name: "Largest" }).fill("40");
  await item("6.text").locator("summary").click();
  await item("6.text").getByRole("checkbox", { name: "Required" }).check();
  await page.getByRole("button", { name: "Move Negative prompt up" }).click();
  // A value that was not detected, by its node in the drawing.
  await page.locator(".drawing").getByRole("button", { name: /Save Image/ }).click();
  await item("9.filename_prefix").getByRole("checkbox").check();
  await page.getByRole("button", { name: "Back to all inputs" }).click();

  const preview = page.getByRole("region", { name: "Preview" });
  await preview.getByRole("slider", { name: "How long" }).waitFor();
  await page.getByRole("radio", { name: "manifest.yaml" }).check({ force: true });
  await preview.locator("pre", { hasText: "filename_prefix" }).waitFor();
  const yaml = await preview.locator("pre").innerText();
  assert.match(yaml, /^# Written by [^]*\nid: my-painter\nname: My painter\n/);
  assert.ok(yaml.indexOf("id: negative_prompt") < yaml.indexOf("id: prompt"));
  assert.ok(!yaml.includes("batch_size") && yaml.includes("# node 3, KSampler"));

  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download as ZIP" }).click()]);
  assert.equal(download.suggestedFilename(), "my-painter.zip");
  execFileSync("python3", ["-m", "zipfile", "-e", await download.path(), server.workflows]);
  const manifest = await server.api("/api/run/my-painter");
  const steps = manifest.inputs.find((input) => input.id === "steps");
  assert.deepEqual([steps.label, steps.max, manifest.inputs[0].id], ["How long", 40, "negative_prompt"]);
  await page.goto("/w/my-painter");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).fill("a red fox");
  await page.getByRole("slider", { name: "How long" }).fill("2");
  await page.locator(".run-button").click();
  await page.locator(".stage .badge", { hasText: "Completed" }).waitFor();
});

test("a draft is tried without being saved, and saved; without --allow-edit the page says why not", async (person) => {
  person.expect(/409 \(Conflict\)/);
  const page = await person.open("/new");
  const choose = async (id) => {
    await page.locator("input[type=file]").setInputFiles(fixture("embedded/image.png"));
    await page.getByRole("textbox", { name: "Folder and id" }).fill(id);
  };
  const save = () => page.getByRole("button", { name: "Save", exact: true }).click();
  await choose("plate");
  await page.getByRole("button", { name: "Try it" }).click();
  await page.locator(".try-result .badge", { hasText: "Completed" }).waitFor();
  await page.locator(".try-result .file-picture img").waitFor();
  await assertAccessible(page, "a draft with a result");
  assert.ok(!existsSync(`${server.workflows}/plate`));
  assert.equal((await server.newestJob()).workflow_name, "Image");
  await page.goto(`/jobs/${(await server.newestJob()).prompt_id}`);
  await page.getByRole("button", { name: "Run again" }).waitFor();
  await page.getByRole("button", { name: "Use these values" }).waitFor({ state: "detached" });
  await page.goto("/new");
  await choose("plate");
  await save();
  await page.waitForURL("**/w/plate");
  await page.locator(".run-button").click();
  await page.locator(".stage .badge", { hasText: "Completed" }).waitFor();
  assert.match(readFileSync(`${server.workflows}/plate/manifest.yaml`, "utf8"), /# node 1, Plate/);
  await page.goto("/new");
  await choose("plate");
  await save();
  await page.getByRole("alert").getByText(/choose another id/).waitFor();

  const closed = await startServer({ allowEdit: false });
  const other = await enter({}, closed);
  const elsewhere = await other.open("/new");
  await elsewhere.locator("input[type=file]").setInputFiles(fixture("embedded/image.png"));
  await elsewhere.getByText(/without --allow-edit/).waitFor();
  assert.equal(await elsewhere.getByRole("button", { name: "Save", exact: true }).count(), 0);
  await elsewhere.getByRole("button", { name: "Try it" }).click();
  await elsewhere.locator(".try-result .badge", { hasText: "Completed" }).waitFor();
});

test("a video that ComfyUI made has its graph in it", async (person) => {
  const page = await person.open("/new");
  await drop(page.locator(".drop-graph"), { name: "clip.mp4", mimeType: "video/mp4", buffer: readFileSync(fixture("embedded/video.mp4")) });
  await page.locator(".draft-input").first().waitFor();
});

test("an image that ComfyUI made has its graph in it, and a file without one says so", async (person) => {
  person.expect(/400 \(Bad Request\)/);
  const page = await person.open("/new");
  await page.locator("input[type=file]").setInputFiles({ name: "notes.json", mimeType: "application/json", buffer: Buffer.from("[1, 2]") });
  await page.getByRole("alert").waitFor();
  await assertAccessible(page, "a refused file");
  await drop(page.locator(".drop-graph"), { name: "image.png", mimeType: "image/png", buffer: readFileSync(fixture("embedded/image.png")) });
  await page.getByRole("heading", { name: "Image", exact: true, level: 1 }).waitFor();
  await page.locator('.draft-input[data-key="1.color"]').waitFor();
  await page.getByRole("textbox", { name: "Folder and id" }).fill("no good");
  await page.getByRole("alert").getByText("no good").waitFor();
  assert.ok(await page.getByRole("button", { name: "Download as ZIP" }).isDisabled());
});

test("a draft with changes is not left without a question until it is downloaded", async (person) => {
  const page = await person.open("/new");
  await page.locator("input[type=file]").setInputFiles(fixture("embedded/image.png"));
  const name = page.getByRole("textbox", { name: "Name", exact: true });
  const question = page.getByRole("dialog", { name: "Leave without saving?" });
  await name.fill("My own");
  await page.getByRole("button", { name: "Another graph" }).click();
  await question.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await name.inputValue(), "My own");
  const [asked] = await Promise.all([page.waitForEvent("dialog"), page.evaluate(() => void setTimeout(() => location.reload(), 0))]);
  assert.equal(asked.type(), "beforeunload");
  await asked.dismiss();
  await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download as ZIP" }).click()]);
  await page.locator(".nav-link", { hasText: "Jobs" }).click();
  await page.waitForURL("**/jobs");

  await page.goto("/new");
  await page.locator("input[type=file]").setInputFiles(fixture("embedded/image.png"));
  await name.fill("Unwanted");
  await page.getByRole("button", { name: "Another graph" }).click();
  await question.getByRole("button", { name: "Leave", exact: true }).click();
  await page.getByText("Drop a graph here").waitFor();
});
