import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { pageTests } from "../support/page-tests.js";

const { server, test, enter, startServer } = pageTests();

test("the library shows a card for each workflow, with its newest result and whether it can run", async (person) => {
  await server.finished("no-model", {});
  await server.finished("video", {});
  const page = await person.open("/");
  const cards = page.locator(".card:not(.skeleton)");
  await cards.first().waitFor();
  assert.equal(await cards.count(), (await server.api("/api/workflows")).length + (await server.api("/api/broken-workflows")).length);
  const plate = cards.filter({ hasText: "Coloured plate" });
  await plate.locator("img").waitFor();
  assert.ok(await plate.locator("img").evaluate(async (image) => (await image.decode(), image.naturalWidth > 0)));
  assert.match(await plate.innerText(), /Ready/);
  const clip = cards.filter({ hasText: "A clip" }).locator("video");
  await clip.waitFor();
  assert.ok(await clip.evaluate((video) => video.muted && !video.controls));
});

test("cards are found by words, category and type, and the address keeps the filter", async (person) => {
  const page = await person.open("/");
  const names = () => page.locator(".card h2").allInnerTexts();
  await page.getByRole("searchbox").fill("scene video");
  await page.locator(".card h2", { hasText: "Multi-scene video" }).waitFor();
  assert.deepEqual(await names(), ["Multi-scene video"]);
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "video", exact: true }).click();
  await page.getByLabel("Type", { exact: true }).selectOption("dynamic");
  assert.deepEqual(await names(), ["Multi-scene video"]);
  await page.reload();
  await page.locator(".card h2").first().waitFor();
  assert.deepEqual(await names(), ["Multi-scene video"]);
  await page.getByRole("searchbox").fill("nothing like this");
  await page.getByText("No workflow matches").waitFor();
});

test("a card says what the workflow lacks, and leads to it with the keyboard", async (person) => {
  const manifest = `${server.workflows}/text-to-image/manifest.yaml`;
  const before = readFileSync(manifest, "utf8");
  writeFileSync(manifest, before.replace(/required_models:\n.*$/s, "required_models: [a-model-that-is-not-there.safetensors]\n"));
  const page = await person.open("/");
  const card = page.locator(".card", { hasText: "with any Stable Diffusion checkpoint" });
  await card.getByText("a-model-that-is-not-there").waitFor();
  await card.getByRole("link").focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/w/text-to-image");
  await page.locator(".missing code", { hasText: "a-model-that-is-not-there" }).waitFor();
  writeFileSync(manifest, before);
});

test("what the document names for the first view is less than 100 KB", async (person) => {
  const sizeOf = async (path) => {
    // `fetch` of Node unpacks: the announced length is that of the packed file.
    const response = await fetch(server.url + path, { headers: { "Accept-Encoding": "gzip" } });
    assert.equal(response.status, 200, path);
    return Number(response.headers.get("content-length"));
  };
  const html = await (await fetch(`${server.url}/`)).text();
  const addresses = [...new Set(html.match(/\/assets\/[^"]+/g))];
  const sizes = await Promise.all(addresses.map(sizeOf));
  const total = sizes.reduce((sum, size) => sum + size, html.length);
  assert.ok(total > 20_000 && total < 100_000, `${total} bytes`);
  const page = await person.open("/");
  await page.locator(".card:not(.skeleton)").first().waitFor();
});

test("cards become ready when ComfyUI answers, and show new results and workflows, without a reload", async () => {
  const own = await startServer();
  await own.stopComfyUi();
  const person = await enter({}, own);
  const page = await person.open("/");
  const plate = page.locator(".card", { hasText: "Coloured plate" }).first();
  await plate.getByText("ComfyUI does not answer").waitFor();
  await own.startComfyUi();
  await plate.getByText("Ready").waitFor();
  assert.equal(await plate.locator("img").count(), 0);
  await own.finished("no-model", {});
  await plate.locator("img").waitFor();
  cpSync(`${own.workflows}/no-model`, `${own.workflows}/copied-in`, { recursive: true });
  const manifest = `${own.workflows}/copied-in/manifest.yaml`;
  writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/^id: .*$/m, "id: copied-in").replace(/^name: .*$/m, "name: Copied in"));
  await page.getByRole("link", { name: "Copied in" }).waitFor();
});

test("a workflow that is broken has a card that says where, and leads to the reason", async (person) => {
  person.expect(/500 \(Internal Server Error\)/);
  cpSync(`${server.workflows}/no-model`, `${server.workflows}/mistaken`, { recursive: true });
  writeFileSync(`${server.workflows}/mistaken/manifest.yaml`, "id: mistaken\nname: Mistaken\ninputs:\n  - {id: [\n");
  try {
    const page = await person.open("/");
    const card = page.locator(".card", { hasText: "mistaken" });
    await card.getByText("Broken").waitFor();
    assert.match(await card.innerText(), /manifest\.yaml:\d+: /);
    await page.getByRole("searchbox").fill("mistaken");
    await card.getByRole("link", { name: "mistaken" }).click();
    await page.waitForURL("**/w/mistaken");
    await page.getByText(/is broken.*manifest\.yaml:\d+/).waitFor();
    rmSync(`${server.workflows}/mistaken`, { recursive: true });
    await page.goto("/");
    await page.locator(".card:not(.skeleton)").first().waitFor();
    assert.equal(await card.count(), 0);
  } finally {
    rmSync(`${server.workflows}/mistaken`, { recursive: true, force: true });
  }
});
