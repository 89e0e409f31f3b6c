// Takes the screenshots of the page in docs/images: node screenshots.js
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DESKTOP, PHONE, Person, launch } from "./support/browser.js";
import { TestServer } from "./support/server.js";

const image = (name) => fileURLToPath(new URL(`../../../docs/images/${name}.jpg`, import.meta.url));
const fixture = (path) => fileURLToPath(new URL(`../../../fixtures/${path}`, import.meta.url));
const server = await new TestServer({ stepMs: 40, ownWorkflows: false }).start();
const browser = await launch();

const prompts = ["a lighthouse above a calm sea at dusk", "a forest in autumn, mist", "mountains at night, stars", "a desert at sunset"];
const upload = new FormData();
for (const [index, prompt] of prompts.entries()) await server.finished("text-to-image", { prompt, steps: 8, seed: 40 + index, resolution: "768x512" });
const { prompt_id } = await server.newestJob();
const result = await (await fetch(`${server.url}/api/run/result/${prompt_id}?output_type=image`)).blob();
upload.append("file", result, "desert.png");
const { filename } = await (await fetch(`${server.url}/api/run/upload-image`, { method: "POST", body: upload })).json();
await server.finished("image-to-image", { image: filename, prompt: "the same scene in winter", steps: 6, seed: 3 });
await server.finished("text-to-image-studio", { prompt: "a castle on a hill, oil painting", steps: 8, seed: 11 });
await server.finished("multi-scene-video", { image: filename, steps: 4 });
await server.finished("no-model", {});

async function take(name, options, path, prepare) {
  const person = await Person.enter(browser, server, { ...options, deviceScaleFactor: 1 });
  const page = await person.open(path);
  await prepare(page);
  await page.waitForTimeout(700);
  await page.screenshot({ path: image(name), type: "jpeg", quality: 82 });
  person.assertNoProblems();
  await person.leave();
}

const small = { viewport: { width: 1280, height: 800 } };
const shown = (page) => page.locator(".file-picture img").waitFor();
await take("page-library", { ...DESKTOP, ...small }, "/", (page) => page.locator(".card img").nth(2).waitFor());
await take("page-run", { ...DESKTOP, ...small }, "/w/text-to-image", shown);
await take("page-run-dark", { ...DESKTOP, ...small, colorScheme: "dark" }, "/w/text-to-image", async (page) => {
  await page.getByRole("spinbutton", { name: "Steps" }).fill("100");
  await page.locator(".run-button").click();
  await page.getByRole("img", { name: "Preview" }).waitFor();
  await page.locator(".live-numbers", { hasText: /step 7\d of 100/ }).waitFor();
});
await take("page-jobs-dark", { ...DESKTOP, ...small, colorScheme: "dark" }, "/jobs", (page) => page.locator(".job-row img").nth(5).waitFor());
await take("page-new", { ...DESKTOP, ...small }, "/new", async (page) => {
  await page.locator("input[type=file]").setInputFiles({ name: "my-painter.json", mimeType: "application/json", buffer: readFileSync(fixture("ui/default.0.3.64.workflow.json")) });
  await page.locator(".draft-input").first().waitFor();
});
await take("page-phone", PHONE, "/w/text-to-image", async (page) => {
  await shown(page);
  await page.locator(".stage").scrollIntoViewIfNeeded();
  await page.evaluate(() => document.querySelector(".stage").scrollIntoView());
});
await browser.close();
await server.stop();
