import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { drop, paste, picture } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

const { server, test } = pageTests();

/** Runs the form and returns the params that the server recorded. */
async function run(page) {
  const before = (await server.api("/api/jobs?limit=1")).jobs[0]?.prompt_id;
  await page.locator(".run-button").click();
  for (let tries = 0; tries < 2400; tries++) {
    const { jobs } = await server.api("/api/jobs?limit=1");
    if (jobs[0] && jobs[0].prompt_id !== before) return (await server.newestJob()).params;
    assert.equal(await page.locator(".run-bar [role=alert]").count(), 0, await page.locator(".run-bar").innerText());
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("no job was submitted");
}

test("each kind of value that is entered is the one that the server gets", async (person) => {
  const page = await person.open("/w/every-input");
  const prompt = page.getByRole("textbox", { name: "Prompt" });
  const heightOf = async (text) => (await prompt.fill(text), (await prompt.boundingBox()).height);
  assert.ok((await heightOf("line\n".repeat(12))) > (await heightOf("first line\nsecond line")), "it grows with its text");
  await page.getByRole("slider", { name: "Count" }).fill("7");
  assert.equal(await page.getByRole("spinbutton", { name: "Count" }).inputValue(), "7");
  await page.getByRole("spinbutton", { name: "Amount" }).fill("0.33");
  await page.getByText("From none to all.").waitFor();
  await page.getByRole("switch", { name: "Bold" }).check();
  await page.getByRole("combobox", { name: "Style" }).selectOption("Watercolour");
  await page.getByRole("textbox", { name: "Seed" }).fill("18446744073709551615");
  await page.getByRole("button", { name: "Tall" }).click();
  assert.deepEqual([await page.getByRole("spinbutton", { name: "Width" }).inputValue(), await page.getByRole("spinbutton", { name: "Height" }).inputValue()], ["512", "768"]);
  await page.getByRole("button", { name: "Swap width and height" }).click();
  const params = await run(page);
  assert.deepEqual(
    [params.prompt, params.count, params.amount, params.bold, params.style, params.size],
    ["first line\nsecond line", 7, 0.33, true, "water", { w: 768, h: 512 }],
  );
  const record = await (await fetch(`${server.url}/api/jobs/${(await server.newestJob()).prompt_id}`)).text();
  assert.match(record, /"seed":\s*"?18446744073709551615/);
});

/** Types a number key by key, as a person does, in place of what a field has. */
async function type(field, text) {
  await field.press("ControlOrMeta+a");
  await field.pressSequentially(text);
  assert.equal(await field.evaluate((element) => (element.validity.badInput ? "no number" : element.value)), text);
}

test("numbers are typed key by key, in each kind of field", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  const field = (name) => page.getByRole("spinbutton", { name, exact: true });
  const error = (path) => page.locator(`[data-input="${path}"] > .field-error`);
  await type(field("Count"), "3.5");
  await error("count").getByText("Enter a whole number").waitFor();
  await type(field("Count"), "3");
  await type(field("Amount"), "-0.5");
  await error("amount").getByText("Between 0 and 1").waitFor();
  await type(field("Amount"), "1e-1");
  await type(field("Amount"), "0.05");
  await type(field("Seconds"), "1.5");
  await page.getByRole("combobox", { name: "LoRA", exact: true }).fill("detail");
  await page.keyboard.press("Enter");
  await type(field("Strength of LoRA"), "-0.5");
  await type(field("Strength of LoRA"), "0.75");
  await type(field("Width"), "96.5");
  await error("size").getByText("Enter a whole number").waitFor();
  await type(field("Width"), "96");
  const params = await run(page);
  assert.deepEqual([params.count, params.amount, params.scenes[0].seconds, params.lora.strength, params.size.w], [3, 0.05, 1.5, 0.75, 96]);

  await page.goto("/w/text-to-image");
  await type(field("Guidance"), "7.5");
  assert.equal((await run(page)).cfg, 7.5);
});

test("a text that is no number is an error, and nothing is sent", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  const before = (await server.api("/api/jobs?limit=1")).jobs[0]?.prompt_id;
  const junk = async (name, text, path, good) => {
    const field = page.getByRole("spinbutton", { name, exact: true });
    await field.press("ControlOrMeta+a");
    await field.pressSequentially(text);
    const error = path ? page.locator(`[data-input="${path}"] > .field-error`) : page.locator("#run-count-error");
    await error.getByText("Enter a number").waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.ok(await field.evaluate((element) => element.validity.badInput), "the text stays");
    await page.locator(".run-button").click();
    await type(field, good);
    await error.waitFor({ state: "detached" });
  };
  await page.getByRole("combobox", { name: "LoRA", exact: true }).fill("detail");
  await page.keyboard.press("Enter");
  await junk("Count", "3e", "count", "3");
  await junk("Amount", "-", "amount", "0.5");
  await junk("Seconds", "1e-", "scenes.0.seconds", "2");
  await junk("Strength of LoRA", "-", "lora", "1");
  await junk("Height", "--5", "size", "64");
  await junk("How many times to run", "2e", null, "2");
  // A reset takes such a text away.
  const count = page.getByRole("spinbutton", { name: "Count", exact: true });
  await count.pressSequentially("e");
  await page.getByRole("button", { name: "Reset" }).click();
  await page.waitForFunction((element) => !element.validity.badInput && element.value === "3", await count.elementHandle());
  assert.equal((await server.api("/api/jobs?limit=1")).jobs[0]?.prompt_id, before);
});

test("a ratio keeps the number of pixels, and a seed can be drawn, locked and unlocked", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  await page.getByLabel("Aspect ratio").selectOption("16:9");
  const [width, height] = [Number(await page.getByRole("spinbutton", { name: "Width" }).inputValue()), Number(await page.getByRole("spinbutton", { name: "Height" }).inputValue())];
  assert.ok(Math.abs(width / height - 16 / 9) < 0.1 && Math.abs(width * height - 512 * 512) < 30_000, `${width} × ${height}`);
  // Where a side reaches a bound, the ratio stays.
  const size = async () => [await page.getByRole("spinbutton", { name: "Width" }).inputValue(), await page.getByRole("spinbutton", { name: "Height" }).inputValue()];
  for (const [side, ratio, expected] of [["64", "16:9", ["112", "64"]], ["64", "2:3", ["64", "96"]], ["2048", "16:9", ["2048", "1152"]]]) {
    await page.getByRole("spinbutton", { name: "Width" }).fill(side);
    await page.getByRole("spinbutton", { name: "Height" }).fill(side);
    await page.getByLabel("Aspect ratio").selectOption("1:1");
    await page.getByLabel("Aspect ratio").selectOption(ratio);
    assert.deepEqual(await size(), expected, `${side} ${ratio}`);
  }
  const seed = page.getByRole("textbox", { name: "Seed" });
  await page.getByRole("button", { name: "New random number" }).click();
  const drawn = await seed.inputValue();
  assert.ok(/^\d+$/.test(drawn) && Number.isSafeInteger(Number(drawn)));
  await page.getByRole("button", { name: /^Unlock/ }).click();
  assert.equal(await seed.inputValue(), "");
  await run(page);
  const used = (await server.newestJob()).seeds.seed;
  await page.getByRole("button", { name: /^Lock/ }).click();
  assert.equal(await seed.inputValue(), String(used));
});

test("a resolution with options takes one of them", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  const field = page.getByRole("group", { name: "Format" });
  assert.equal(await field.getByRole("spinbutton").count(), 0);
  await field.getByRole("radio", { name: "Wide" }).check({ force: true });
  assert.deepEqual((await run(page)).format, { w: 768, h: 512 });
});

test("wrong values are shown while they are entered, and the server's answer beside its field", async (person) => {
  person.expect(/400 \(Bad Request\)/);
  const page = await person.open("/w/every-input");
  const error = (path) => page.locator(`[data-input="${path}"] > .field-error`);
  await page.locator(".run-button").click();
  await error("prompt").getByText("Prompt is required").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "TEXTAREA");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  await error("prompt").waitFor({ state: "detached" });
  const count = page.getByRole("spinbutton", { name: "Count" });
  await count.fill("12");
  await error("count").getByText("Between 1 and 9").waitFor();
  assert.equal(await count.getAttribute("aria-invalid"), "true");
  await count.fill("2.5");
  await error("count").getByText("Enter a whole number").waitFor();
  await count.fill("3");
  await page.getByRole("spinbutton", { name: "Width" }).fill("9000");
  await error("size").getByText("Between 64 and 2048").waitFor();
  await page.getByRole("spinbutton", { name: "Width" }).fill("512");
  // What only the server knows: a limit that the manifest got meanwhile.
  const manifest = `${server.workflows}/every-input/manifest.yaml`;
  const before = readFileSync(manifest, "utf8");
  writeFileSync(manifest, before.replace("default: 3, min: 1, max: 9", "default: 1, min: 1, max: 2"));
  await page.locator(".run-button").click();
  await error("count").getByText(/2/).waitFor();
  await page.locator(".run-bar").getByRole("alert").waitFor();
  writeFileSync(manifest, before);
});

test("models and LoRAs are found by typing, with the keyboard alone", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  const checkpoint = page.getByRole("combobox", { name: "Checkpoint" });
  await checkpoint.focus();
  await page.keyboard.type("xl");
  await page.locator(".listbox").getByRole("option").first().waitFor();
  for (const option of await page.locator(".listbox").getByRole("option").allInnerTexts()) assert.match(option, /xl/i);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  const chosen = await checkpoint.inputValue();
  assert.match(chosen, /xl/i);
  await page.getByRole("combobox", { name: "LoRA", exact: true }).fill("detail");
  await page.keyboard.press("Enter");
  await page.getByRole("spinbutton", { name: "Strength of LoRA", exact: true }).fill("0.7");
  const params = await run(page);
  assert.equal(params.checkpoint, chosen);
  assert.deepEqual([/detail/.test(params.lora.file), params.lora.strength], [true, 0.7]);

  await page.goto("/w/text-to-image-studio");
  await page.getByRole("button", { name: "Add LoRA" }).click();
  await page.getByRole("button", { name: "Add LoRA" }).click();
  await page.getByRole("combobox", { name: "LoRAs 1" }).click();
  await page.locator(".listbox").getByRole("option").nth(1).click();
  await page.getByRole("button", { name: "Remove LoRA 2" }).click();
  const { loras } = await run(page);
  assert.equal(loras.length, 1);
  assert.ok(loras[0].file.endsWith(".safetensors") && loras[0].strength === 1);
});

test("scenes are added, duplicated, moved and removed", async (person) => {
  const page = await person.open("/w/every-input");
  await page.getByRole("textbox", { name: "Prompt" }).fill("x");
  const texts = page.getByRole("textbox", { name: "What happens" });
  await texts.fill("first");
  await page.getByRole("button", { name: "Add scene" }).click();
  await texts.nth(1).fill("second");
  await page.getByRole("button", { name: "Duplicate scene 1" }).click();
  await texts.nth(1).fill("copy");
  await page.getByRole("button", { name: "Move scene 3 up" }).click();
  assert.deepEqual(await texts.evaluateAll((areas) => areas.map((area) => area.value)), ["first", "second", "copy"]);
  await page.getByRole("button", { name: "Remove scene 1" }).click();
  await page.getByRole("button", { name: "Add scene" }).click();
  await page.getByRole("button", { name: "Add scene" }).click();
  assert.ok(await page.getByRole("button", { name: "Add scene" }).isDisabled());
  await page.locator(".run-button").click();
  await page.getByText("What happens is required").first().waitFor();
  await page.getByRole("button", { name: "Remove scene 4" }).click();
  await page.getByRole("button", { name: "Remove scene 3" }).click();
  assert.deepEqual((await run(page)).scenes, [{ text: "second", seconds: 1 }, { text: "copy", seconds: 2 }]);
});

test("groups fold, and presets fill the form", async (person) => {
  const page = await person.open("/w/every-input");
  assert.equal(await page.getByText("Choose file").first().isVisible(), false);
  await page.locator("summary", { hasText: "Files" }).click();
  await page.getByText("Choose file").first().waitFor();
  await page.getByRole("button", { name: "Small", exact: true }).click();
  assert.equal(await page.getByRole("spinbutton", { name: "Width" }).inputValue(), "64");
  assert.equal(await page.getByRole("spinbutton", { name: "Count" }).inputValue(), "1");
});

test("an image is chosen, dropped or pasted, shown, kept over a reload, and used again", async (person) => {
  const page = await person.open("/w/image-to-image");
  const field = page.locator('[data-input="image"]');
  const shown = field.locator("img.file-preview");
  await field.locator("input[type=file]").setInputFiles(await picture(page, "chosen.png"));
  await shown.waitFor();
  assert.match(await shown.getAttribute("alt"), /chosen\.png$/);
  await page.waitForFunction(() => localStorage.getItem("comfy-runner.form.image-to-image")?.includes("chosen.png"));
  await page.reload();
  await shown.waitFor();
  assert.ok(await shown.evaluate(async (image) => (await image.decode(), image.naturalWidth === 64)));

  await drop(field.locator(".file-zone"), await picture(page, "dropped.png"));
  await field.locator('img[alt$="dropped.png"]').waitFor();
  await paste(page, await picture(page, "pasted.png"));
  await field.locator('img[alt$="pasted.png"]').waitFor();

  await field.getByRole("button", { name: "Use an earlier one" }).click();
  await page.getByRole("dialog").getByRole("button", { name: /chosen\.png/ }).click();
  await field.locator('img[alt$="chosen.png"]').waitFor();
  assert.match((await run(page)).image, /chosen\.png$/);
  await field.getByRole("button", { name: "Remove the file" }).click();
  await page.locator(".run-button").click();
  await field.getByText("Choose a file").waitFor();
});

/** A file that ComfyUI made, as a person has it on the disk. */
function media(source, name, mimeType) {
  return { name, mimeType, buffer: readFileSync(fileURLToPath(new URL(`../../../../fixtures/embedded/${source}`, import.meta.url))) };
}

for (const [input, tag, source, mimeType] of [
  ["clip", "video", "video.mp4", "video/mp4"],
  ["sound", "audio", "audio.mp3", "audio/mpeg"],
]) {
  test(`${tag} is dropped or pasted, can be played, and is used again`, async (person) => {
    const page = await person.open("/w/every-input");
    await page.getByRole("textbox", { name: "Prompt" }).fill("x");
    await page.locator("summary", { hasText: "Files" }).click();
    const field = page.locator(`[data-input="${input}"]`);
    const shown = (name) => field.locator(`${tag}.file-preview[aria-label$="${name}"]`);
    const ending = source.slice(source.indexOf("."));
    await drop(field.locator(".file-zone"), media(source, `dropped${ending}`, mimeType));
    await shown(`dropped${ending}`).waitFor();
    await shown(`dropped${ending}`).evaluate((player) => (player.readyState > 0 ? null : new Promise((resolve, reject) => Object.assign(player, { onloadedmetadata: resolve, onerror: () => reject(player.error) }))));
    assert.ok(await shown(`dropped${ending}`).evaluate((player) => player.controls && player.duration > 0));
    // Nothing has the focus: the file goes to the first input that takes its kind, past those of images.
    await paste(page, media(source, `pasted${ending}`, mimeType));
    await shown(`pasted${ending}`).waitFor();
    await field.getByRole("button", { name: "Use an earlier one" }).click();
    await page.getByRole("dialog").getByRole("button", { name: `dropped${ending}` }).click();
    await shown(`dropped${ending}`).waitFor();
    assert.ok((await run(page))[input].endsWith(`dropped${ending}`));
  });
}

test("a file of another kind than the input takes is refused where it is dropped", async (person) => {
  const page = await person.open("/w/every-input");
  await page.locator("summary", { hasText: "Files" }).click();
  const field = page.locator('[data-input="clip"]');
  await drop(field.locator(".file-zone"), media("audio.mp3", "song.mp3", "audio/mpeg"));
  await field.getByRole("alert").getByText("song.mp3 is not a video").waitFor();
  assert.equal(await field.locator(".file-preview").count(), 0);
});

test("a file that is no image is refused beside its field", async (person) => {
  person.expect(/400 \(Bad Request\)/);
  const page = await person.open("/w/image-to-image");
  await page.locator('[data-input="image"] input[type=file]').setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no image at all") });
  await page.locator('[data-input="image"]').getByRole("alert").waitFor();
});

/** Opens the workflow with a mask and chooses its image. */
async function openMask(person) {
  const page = await person.open("/w/mask");
  await page.locator('[data-input="image"] input[type=file]').setInputFiles(await picture(page, "photo.png", [64, 64]));
  await page.locator('[data-input="image"] img.file-preview').waitFor();
  return page;
}

/** Paints a stripe from top to bottom, 20 of 64 wide, and uses the mask. */
async function paintStripe(page, x) {
  await page.getByRole("button", { name: "Paint" }).click();
  const canvas = page.getByRole("img", { name: "Mask", exact: true });
  await page.waitForFunction((element) => element.width === 64 && element.dataset.ready === "true", await canvas.elementHandle());
  const box = await canvas.boundingBox();
  await page.getByRole("slider", { name: "Size" }).fill("20");
  await page.mouse.move(box.x + (box.width * x) / 64, box.y + 1);
  await page.mouse.down();
  await page.mouse.move(box.x + (box.width * x) / 64, box.y + box.height - 1, { steps: 8 });
  await page.mouse.up();
  await page.getByRole("button", { name: "Use this mask" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.locator('[data-input="mask"] img.file-preview').waitFor();
}

/** Runs the workflow and returns, for each title of a node, how bright its image is at some places of the middle row. */
async function masksOf(page, titles, places) {
  await run(page);
  const { prompt_id } = await server.newestJob();
  while ((await server.api(`/api/run/status/${prompt_id}`)).status !== "completed") await new Promise((resolve) => setTimeout(resolve, 25));
  const { files } = await server.api(`/api/jobs/${prompt_id}/files`);
  const brightness = async (title) =>
    page.evaluate(
      async ([url, places]) => {
        const image = new Image();
        image.src = url;
        await image.decode();
        const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        return places.map((x) => context.getImageData(x, 32, 1, 1).data[0]);
      },
      [files.find((file) => file.node_title === title).url, places],
    );
  return Promise.all(titles.map(brightness));
}

test("a mask is painted over the image, and both of ComfyUI's loaders read the same from it", async (person) => {
  const page = await openMask(person);
  await paintStripe(page, 10);
  assert.deepEqual(await masksOf(page, ["Mask by alpha", "Mask by red"], [10, 50]), [[255, 0], [255, 0]]);
});

test("a mask is corrected, and is removed when another image takes the place of the one below it", async (person) => {
  const page = await openMask(person);
  await paintStripe(page, 10);
  await paintStripe(page, 50);
  assert.deepEqual(await masksOf(page, ["Mask by alpha"], [10, 30, 50]), [[255, 0, 255]]);
  await page.locator('[data-input="image"] input[type=file]').setInputFiles(await picture(page, "larger.png", [96, 64]));
  await page.getByText("The mask was painted over another image, and is removed.").waitFor();
  await page.locator('[data-input="mask"] img.file-preview').waitFor({ state: "detached" });
  // The values of a job have the mask of their image.
  await page.getByRole("button", { name: "Use these values" }).click();
  await page.locator('[data-input="image"] img[alt$="photo.png"]').waitFor();
  await page.locator('[data-input="mask"] img.file-preview').waitFor();
  // A mask that was chosen stays: it may fit several images.
  await page.locator('[data-input="mask"] input[type=file]').setInputFiles(await picture(page, "own-mask.png", [64, 64], "#fff"));
  await page.locator('[data-input="mask"] img[alt$="own-mask.png"]').waitFor();
  await page.locator('[data-input="image"] input[type=file]').setInputFiles(await picture(page, "third.png", [64, 64]));
  await page.locator('[data-input="image"] img[alt$="third.png"]').waitFor();
  await page.locator('[data-input="mask"] img[alt$="own-mask.png"]').waitFor();
});
