import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { picture } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";
import { renameImages } from "../support/renaming-comfyui.js";

const { server, test, enter, startServer } = pageTests();

/** A Python with requests and Comfy's official client: `.ci/install-python-modules` makes one. */
const PYTHON = process.env.COMFY_RUNNER_TEST_PYTHON;

const readGraph = (workflow) => JSON.parse(readFileSync(`${server.workflows}/${workflow}/workflow.json`, "utf8"));

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
  await page.keyboard.press("+");
  await scaleIs("150 %");
  await page.keyboard.press("-");
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
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Enlarge");
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
  const saves = graph.nodes.find((node) => node.type === "SaveImage");
  assert.equal(saves.widgets_values[0], readGraph("text-to-image")[saves.id].inputs.filename_prefix, "the author's prefix");
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

/** The languages of the code, each with how it is run; Python's modules are only there where a Python is named. */
const LANGUAGES = {
  curl: (code) => ["bash", "-c", code],
  JavaScript: (code) => ["node", "--input-type=module", "-e", code],
  Python: PYTHON && ((code) => [PYTHON, "-c", code]),
  "Comfy SDK": PYTHON && ((code) => [PYTHON, "-c", code]),
};

/** Runs the code of a job in each language, in an empty folder. Calls `check` with what it wrote, its exit code and its files. */
async function runCode(page, check) {
  await page.getByRole("tab", { name: "As code" }).click();
  const shown = page.getByRole("tabpanel").locator("pre");
  for (const [language, command] of Object.entries(LANGUAGES)) {
    await page.getByRole("radio", { name: language }).check({ force: true });
    const code = await shown.innerText();
    if (!command) {
      execFileSync("python3", ["-c", "import ast, sys; ast.parse(sys.argv[1])", code]);
      console.log(`skipped: ${language} is parsed and not run, as COMFY_RUNNER_TEST_PYTHON names no Python with its modules`);
      continue;
    }
    const folder = mkdtempSync(join(tmpdir(), "comfy-runner-code-"));
    const [program, ...args] = command(code);
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, env: { ...process.env, COMFY_RUNNER_API_KEY: "" }, encoding: "utf8" });
    const files = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
    rmSync(folder, { recursive: true });
    await check({ language, code, status, stdout, stderr, files });
  }
}

/** Adds a workflow without inputs. */
async function addWorkflow(id, graph) {
  const body = JSON.stringify({ manifest: `id: ${id}\n`, graph });
  await server.api(`/api/workflows/${id}`, { method: "PUT", headers: { "Content-Type": "application/json" }, body });
}

const isImage = (bytes) => bytes.subarray(1, 4).toString() === "PNG";

test("the code that is shown runs, in each language, and saves the image under its name", async (person) => {
  const { page, job } = await openResult(person, "no-model", { color: 1234 });
  const folder = job.outputs.image.subfolder.split("/")[0];
  await runCode(page, ({ language, code, status, stderr, files }) => {
    assert.equal(status, 0, `${language}: ${stderr}`);
    // The official client sends a graph, which has the author's own prefix, not the folder of the job that is shown.
    const name = language === "Comfy SDK" ? "ComfyUI_00001_.png" : "final_00001_.png";
    assert.deepEqual(Object.keys(files), [name], language);
    assert.ok(isImage(files[name]), language);
    assert.ok(!code.includes(folder), language);
    if (language === "Comfy SDK") assert.match(code, /from_json\(\{[^]*"class_type": "EmptyImage"[^]*"filename_prefix": "ComfyUI"/);
    else assert.match(code, /"color": 1234/, language);
  });
});

test("the code of a job with several files saves all of them", async (person) => {
  await addWorkflow("several", {
    1: { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 3, color: 255 } },
    2: { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "plate" } },
  });
  const { page, job } = await openResult(person, "several", {});
  assert.equal(job.files.length, 3);
  await runCode(page, ({ language, status, stderr, files }) => {
    assert.equal(status, 0, `${language}: ${stderr}`);
    const names = Object.keys(files);
    if (language === "curl") assert.ok(names.length === 1 && names[0].endsWith(".zip") && files[names[0]].includes("output/"), String(names));
    else assert.ok(names.length === 3 && names.every((name) => isImage(files[name])), `${language}: ${names}`);
  });
});

test("the code of a job that fails says why, and fails", async (person) => {
  const job = await server.finished("fails", { message: "no more paint" });
  const page = await person.open(`/jobs/${job.prompt_id}`);
  await page.locator(".badge", { hasText: "Failed" }).waitFor();
  await runCode(page, ({ language, status, stdout, stderr, files }) => {
    assert.ok(status > 0, `${language}: ${stdout}`);
    assert.match(stdout + stderr, /no more paint/, language);
    assert.deepEqual(Object.keys(files), [], language);
  });
});

test("the code of a job that a wrong value keeps from starting says why, and fails", async (person) => {
  const { page } = await openResult(person, "no-model", { color: 7 });
  const manifest = `${server.workflows}/no-model/manifest.yaml`;
  const before = readFileSync(manifest, "utf8");
  writeFileSync(manifest, before.replace(/default: 3381759\n( +)min: 0\n +max: 16777215/, "default: 3\n$1max: 5"));
  await runCode(page, ({ language, status, stdout, stderr, files }) => {
    if (language === "Comfy SDK") return;
    assert.ok(status > 0, language);
    assert.match(stdout + stderr, /color/, language);
    assert.deepEqual(Object.keys(files), [], language);
  });
  writeFileSync(manifest, before);
});

test("the code of a job that reports a text prints it", async (person) => {
  await addWorkflow("caption", {
    1: { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 255 } },
    2: { class_type: "RunnerTestText", inputs: { image: ["1", 0], text: "a fox in the snow" } },
  });
  const { page } = await openResult(person, "caption", {});
  await runCode(page, ({ language, status, stdout, stderr }) => {
    assert.equal(status, 0, `${language}: ${stderr}`);
    assert.match(stdout, language === "curl" ? /"text": *"a fox in the snow"/ : /^a fox in the snow$/m, language);
  });
});

test("a seed of 64 bits keeps its digits wherever the page shows it, and in everything that is made of it", async (person) => {
  const SEED = "18446744073709551615";
  const { page } = await openResult(person, "text-to-image", { prompt: "x", steps: 2, seed: SEED });
  await page.getByRole("tabpanel").getByText(SEED).waitFor();
  await page.getByRole("button", { name: "Copy parameters" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`"seed": ${SEED}\n`));
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Open in ComfyUI" }).click()]);
  assert.match(readFileSync(await download.path(), "utf8"), new RegExp(`^\\s*${SEED},$`, "m"));

  const newestSeed = async () => {
    const record = await (await fetch(`${server.url}/api/jobs/${(await server.newestJob()).prompt_id}`)).text();
    return /"class_type": *"KSampler"[^]*?"seed": *(\d+)/.exec(record)?.[1] ?? record;
  };
  let newest = (await server.newestJob()).prompt_id;
  await runCode(page, async ({ language, code, status, stderr }) => {
    assert.match(code, new RegExp(`"seed": "?${SEED}"?\\b`), language);
    assert.equal(status, 0, `${language}: ${stderr}`);
    const before = newest;
    newest = (await server.newestJob()).prompt_id;
    assert.notEqual(newest, before, language);
    assert.equal(await newestSeed(), SEED, language);
  });

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
