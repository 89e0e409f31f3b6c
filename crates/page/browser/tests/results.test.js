import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { picture } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";
import { renameImages } from "../support/renaming-comfyui.js";

const { server, test, enter, startServer } = pageTests();

/** A Python with requests and Comfy's official client: `.ci/install-python-modules` makes one. */
const PYTHON = process.env.COMFY_RUNNER_TEST_PYTHON;

/** Opens the newest result of a workflow that has run once. */
async function openResult(person, workflow, params) {
  const job = await server.finished(workflow, params);
  const page = await person.open(`/jobs/${job.prompt_id}`);
  await page.locator(".badge", { hasText: "Completed" }).waitFor();
  return { page, job };
}

test("an image is enlarged with the wheel, keys and buttons", async (person) => {
  const { page } = await openResult(person, "text-to-image", { steps: 2 });
  await page.getByRole("button", { name: "Enlarge" }).first().click();
  const dialog = page.getByRole("dialog");
  const scaleIs = (scale) => dialog.locator(".zoom-bar span[aria-live]", { hasText: scale }).waitFor();
  await scaleIs("100 %");
  await dialog.getByRole("button", { name: "Larger" }).click();
  await scaleIs("150 %");
  await dialog.locator(".zoom").focus();
  await page.keyboard.press("+");
  await scaleIs("225 %");
  await dialog.locator(".zoom").hover();
  await page.mouse.wheel(0, 100);
  await scaleIs("188 %");
  await dialog.getByRole("button", { name: "Fit" }).click();
  await scaleIs("100 %");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("a result is compared with its input and with another result", async (person) => {
  await server.finished("no-model", {});
  const page = await person.open("/w/image-to-image");
  await page.locator('[data-input="image"] input[type=file]').setInputFiles(await picture(page));
  await page.locator("img.file-preview").waitFor();
  await page.locator(".run-button").click();
  await page.locator(".stage .badge", { hasText: "Completed" }).waitFor();
  await page.getByRole("button", { name: "Compare" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("img", { name: "Input image" }).waitFor();
  await dialog.getByRole("slider").fill("20");
  assert.match(await dialog.locator(".compare-pictures").getAttribute("style"), /20%/);
  await dialog.getByLabel("Compare with").selectOption({ index: 1 });
  await dialog.getByRole("img", { name: /Coloured plate/ }).waitFor();
});

test("a video plays, and is downloaded under its name", async (person) => {
  const { page } = await openResult(person, "video", {});
  const video = page.locator(".file-picture video");
  await video.waitFor();
  await page.waitForFunction(() => document.querySelector(".file-picture video").readyState >= 2);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  assert.match(download.suggestedFilename(), /\.mp4$/);
  assert.ok(readFileSync(await download.path()).length > 500);
});

for (const [kind, ending, what] of [
  ["3d", "glb", "a 3D model is named"],
  ["audio", "wav", "a sound has a player"],
]) {
  test(`${what}, and offered as a download`, async () => {
    const comfyui = await startServer();
    const close = await renameImages(comfyui, ending);
    const { prompt_id } = await comfyui.finished("no-model", {});
    const person = await enter({}, comfyui);
    const page = await person.open(`/jobs/${prompt_id}`);
    const file = page.locator(`.file-view.media-${kind}`);
    const name = new RegExp(`_00001_\\.${ending}$`);
    if (kind === "audio") assert.match(await file.locator("audio[controls]").getAttribute("aria-label"), name);
    else await file.locator(".plain-file").getByText(name).waitFor();
    assert.equal(await file.locator("img, video").count(), 0);
    const [download] = await Promise.all([page.waitForEvent("download"), file.getByRole("link", { name: "Download" }).click()]);
    assert.match(download.suggestedFilename(), name);
    assert.ok(readFileSync(await download.path()).length > 100);
    // In the list it has the icon of its kind.
    await page.goto("/jobs");
    await page.locator(".job-row .thumbnail-icon").waitFor();
    close();
  });
}

test("the package has the record and the files", async (person) => {
  const { page, job } = await openResult(person, "no-model", {});
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Package" }).click()]);
  assert.equal(download.suggestedFilename(), `${job.prompt_id}.zip`);
  const names = execFileSync("python3", ["-m", "zipfile", "-l", await download.path()], { encoding: "utf8" });
  assert.match(names, /job\.json/);
  assert.match(names, /output\/.*\.png/);
});

test("the graph is saved in the format that ComfyUI's editor opens", async (person) => {
  const { page } = await openResult(person, "text-to-image", { prompt: "for the editor", steps: 2 });
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Open in ComfyUI" }).click()]);
  const graph = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.ok(graph.nodes.length > 3 && JSON.stringify(graph).includes("for the editor"));
});

test("parameters, seeds and times are listed, and the values fill the form again", async (person) => {
  const { page, job } = await openResult(person, "text-to-image", { prompt: "a grey heron", steps: 4 });
  const details = page.getByRole("tabpanel");
  await details.getByText("a grey heron").waitFor();
  await details.getByText(String(job.seeds.seed)).waitFor();
  await details.getByText("Took").waitFor();
  await page.getByRole("button", { name: "Use these values" }).click();
  await page.waitForURL("**/w/text-to-image");
  assert.equal(await page.getByRole("textbox", { name: "Prompt", exact: true }).inputValue(), "a grey heron");
});

test("run again makes another job with the same values", async (person) => {
  const { page, job } = await openResult(person, "no-model", { color: 255 });
  await page.getByRole("button", { name: "Run again" }).click();
  await page.waitForURL((url) => url.pathname.startsWith("/jobs/") && !url.pathname.endsWith(job.prompt_id));
  await page.locator(".badge", { hasText: "Completed" }).waitFor();
  const newest = await server.newestJob();
  assert.deepEqual([newest.retry_of, newest.params.color], [job.prompt_id, 255]);
});

test("the code that is shown runs, in each language, and saves the image", async (person) => {
  const { page } = await openResult(person, "no-model", { color: 1234 });
  await page.getByRole("tab", { name: "As code" }).click();
  const code = () => page.getByRole("tabpanel").locator("pre").innerText();
  const folder = mkdtempSync(join(tmpdir(), "comfy-runner-code-"));
  const run = (program, ...args) =>
    execFileSync(program, args, { cwd: folder, env: { ...process.env, COMFY_RUNNER_API_KEY: "" }, encoding: "utf8" });
  const isImage = (file) => readFileSync(join(folder, file)).subarray(1, 4).toString() === "PNG";

  run("bash", "-c", await code());
  assert.ok(isImage("result"));
  await page.getByRole("radio", { name: "JavaScript" }).check({ force: true });
  assert.match(run("node", "-e", `(async () => { ${await code()} })()`), /\.png \d+ bytes/);

  for (const [language, what] of [["Python", /"color": 1234/], ["Comfy SDK", /from_json\(\{[^]*"class_type": "EmptyImage"/]]) {
    await page.getByRole("radio", { name: language }).check({ force: true });
    assert.match(await code(), what);
    if (!PYTHON) {
      run("python3", "-c", "import ast, sys; ast.parse(sys.argv[1])", await code());
      console.log(`skipped: ${language} is parsed and not run, as COMFY_RUNNER_TEST_PYTHON names no Python with its modules`);
      continue;
    }
    run(PYTHON, "-c", await code());
    const saved = readdirSync(folder).filter((file) => file.endsWith(".png"));
    assert.ok(saved.length === 1 && isImage(saved[0]), `${language} saved ${saved}`);
    rmSync(join(folder, saved[0]));
  }
});

test("a seed of 64 bits keeps its digits wherever the page shows it, and in everything that is made of it", async (person) => {
  const SEED = "18446744073709551615";
  const { page } = await openResult(person, "text-to-image", { prompt: "x", steps: 2, seed: SEED });
  await page.getByRole("tabpanel").getByText(SEED).waitFor();
  await page.getByRole("button", { name: "Copy parameters" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`"seed": ${SEED}\n`));
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Open in ComfyUI" }).click()]);
  assert.match(readFileSync(await download.path(), "utf8"), new RegExp(`^\\s*${SEED},$`, "m"));

  await page.getByRole("tab", { name: "As code" }).click();
  const newestSeed = async () => {
    const record = await (await fetch(`${server.url}/api/jobs/${(await server.newestJob()).prompt_id}`)).text();
    return /"class_type": *"KSampler"[^]*?"seed": *(\d+)/.exec(record)?.[1] ?? record;
  };
  for (const language of ["curl", "Python", "JavaScript", "Comfy SDK"]) {
    await page.getByRole("radio", { name: language }).check({ force: true });
    const code = await page.getByRole("tabpanel").locator("pre").innerText();
    assert.match(code, new RegExp(`"seed": "?${SEED}"?\\b`), language);
    const before = (await server.newestJob()).prompt_id;
    const folder = mkdtempSync(join(tmpdir(), "comfy-runner-code-"));
    if (language === "curl") execFileSync("bash", ["-c", code], { cwd: folder });
    else if (language === "JavaScript") execFileSync("node", ["-e", `(async () => { ${code} })()`], { cwd: folder });
    else if (PYTHON) execFileSync(PYTHON, ["-c", code], { cwd: folder, env: { ...process.env, COMFY_RUNNER_API_KEY: "" } });
    else continue;
    assert.notEqual((await server.newestJob()).prompt_id, before);
    assert.equal(await newestSeed(), SEED, language);
  }

  await page.getByRole("button", { name: "Use these values" }).click();
  await page.waitForURL("**/w/text-to-image");
  assert.equal(await page.getByRole("textbox", { name: "Seed" }).inputValue(), SEED);
  // They are kept over a reload, and sent as they were.
  await page.waitForFunction((seed) => localStorage.getItem("comfy-runner.form.text-to-image")?.includes(seed), SEED);
  await page.reload();
  assert.equal(await page.getByRole("textbox", { name: "Seed" }).inputValue(), SEED);
  await page.getByRole("textbox", { name: "Seed" }).fill("18446744073709551616");
  await page.locator('[data-input="seed"] > .field-error', { hasText: `Between 0 and ${SEED}` }).waitFor();
  await page.getByRole("textbox", { name: "Seed" }).fill("18446744073709551614");
  await page.locator('[data-input="seed"] > .field-error').waitFor({ state: "detached" });
  await page.locator(".run-button").click();
  await page.locator(".stage .badge", { hasText: "Completed" }).waitFor();
  assert.equal(await newestSeed(), "18446744073709551614");
});

test("a job is deleted after a question", async (person) => {
  const { page, job } = await openResult(person, "no-model", {});
  await page.getByRole("button", { name: "Delete job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Delete job" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.waitForURL("**/jobs");
  assert.equal((await fetch(`${server.url}/api/jobs/${job.prompt_id}`)).status, 404);
});

test("a job that nobody knows is an error", async (person) => {
  person.expect(/404 \(Not Found\)/);
  const page = await person.open("/jobs/nothing");
  await page.getByRole("alert").getByText(/nothing/).waitFor();
});

test("texts that nodes report are shown and copied", async (person) => {
  const graph = {
    1: { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 255 } },
    2: { class_type: "RunnerTestText", inputs: { image: ["1", 0], text: "a fox\nin the snow" }, _meta: { title: "Caption" } },
  };
  const body = JSON.stringify({ manifest: "id: caption\n", graph });
  const { prompt_id } = await server.api("/api/manifest/execute", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const page = await person.open(`/jobs/${prompt_id}`);
  const text = page.locator(".result-text");
  await text.getByText("Caption").waitFor();
  assert.equal(await text.locator("pre").innerText(), "a fox\nin the snow");
  await text.getByRole("button", { name: "Copy" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "a fox\nin the snow");
});
