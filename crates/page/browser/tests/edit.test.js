import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { assertAccessible } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

const { server, test, enter, startServer } = pageTests();

const manifestFile = (id) => `${server.workflows}/${id}/manifest.yaml`;
const save = (page) => page.getByRole("button", { name: "Save", exact: true }).click();

test("a workflow is edited and tried; its file keeps comments and order, and changes only when it is saved", async (person) => {
  const file = manifestFile("text-to-image");
  const before = readFileSync(file, "utf8").replace("    min: 1\n", "    min: 1   # one is quick\n").replace("  - id: cfg", "  # How closely the prompt is followed.\n  - id: cfg");
  writeFileSync(file, before);
  const page = await person.open("/w/text-to-image");
  await page.getByRole("link", { name: "Edit workflow" }).click();
  const item = (key) => page.locator(`.draft-input[data-key="${key}"]`);
  await item("3.steps").waitFor();
  await assertAccessible(page, "a workflow that is edited");
  assert.ok(await item("3.steps").getByRole("checkbox").first().isChecked());
  assert.equal(await item("5.height").count(), 0, "the size is one input");
  assert.equal(await page.locator(".drawing .marked").count(), 5, "also the two nodes that take a prompt by its name in braces");
  const detected = item("3.denoise");
  await page.getByRole("button", { name: "Show every value" }).click();
  await detected.getByRole("checkbox").first().check();
  await item("3.steps").locator("summary").click();
  await item("3.steps").getByRole("textbox", { name: "Label" }).fill("How long");
  await item("3.steps").getByRole("spinbutton", { name: "Largest" }).fill("40");
  await item("3.sampler_name").locator("summary").click();
  await item("3.sampler_name").getByRole("textbox", { name: /^Options/ }).fill("euler = Euler\ndpmpp_2m = DPM++ 2M\nddim");
  await page.getByRole("button", { name: "Move Guidance up" }).click();
  await item("3.seed").getByRole("checkbox").first().uncheck();

  const preview = page.getByRole("region", { name: "Preview" });
  await preview.getByRole("slider", { name: "How long" }).fill("3");
  await preview.getByRole("textbox", { name: "Prompt", exact: true }).fill("a red fox");
  await page.keyboard.press("Control+Enter");
  await page.locator(".try-result .badge", { hasText: "Completed" }).waitFor();
  const tried = await server.newestJob();
  assert.deepEqual([tried.params.steps, tried.params.prompt, tried.graph["3"].inputs.steps], [3, "a red fox", 3]);
  assert.equal(readFileSync(file, "utf8"), before);

  await page.getByRole("radio", { name: "manifest.yaml" }).check({ force: true });
  await preview.locator("pre", { hasText: "label: How long" }).waitFor();
  await save(page);
  await page.waitForURL("**/w/text-to-image");
  await page.getByRole("slider", { name: "How long" }).waitFor();
  const after = readFileSync(file, "utf8");
  const lines = (text) => text.split("\n");
  assert.deepEqual(lines(after).filter((line) => !lines(before).includes(line)), [
    "    label: How long",
    "    max: 40",
    "      - ddim",
    "  - id: denoise",
    "    label: Denoise",
    "    field: denoise",
    "    default: 1",
    "    max: 1",
    "    step: 0.01",
  ]);
  assert.ok(after.includes("    min: 1   # one is quick\n"));
  assert.ok(after.includes("  # How closely the prompt is followed.\n  - id: cfg"));
  assert.ok(after.indexOf("id: cfg") < after.indexOf("id: steps") && !after.includes("id: seed"));
});

test("bounds and the step are typed key by key, and what is no number keeps the draft from being saved", async (person) => {
  const page = await person.open("/w/image-to-image/edit");
  const item = page.locator('.draft-input[data-key="3.denoise"]');
  await item.locator("summary").click();
  const type = async (name, text) => {
    const field = item.getByRole("spinbutton", { name });
    await field.press("ControlOrMeta+a");
    await field.pressSequentially(text);
    assert.equal(await field.inputValue(), text);
  };
  await type("Step", "0.25");
  await type("Smallest", "-0.5");
  const largest = item.getByRole("spinbutton", { name: "Largest" });
  await largest.press("ControlOrMeta+a");
  await largest.pressSequentially("3e");
  await item.getByText("Enter a number").waitFor();
  await page.getByRole("alert").getByText(/is no number/).waitFor();
  assert.ok(await page.getByRole("button", { name: "Save", exact: true }).isDisabled());
  await type("Largest", "2.75");
  await page.getByRole("radio", { name: "manifest.yaml" }).check({ force: true });
  const yaml = page.getByRole("region", { name: "Preview" }).locator("pre");
  await yaml.filter({ hasText: "max: 2.75" }).waitFor();
  assert.match(await yaml.innerText(), /min: -0\.5\n\s+max: 2\.75\n\s+step: 0\.25/);

  const seed = page.locator('.draft-input[data-key="3.seed"]');
  await seed.locator("summary").click();
  await seed.getByRole("spinbutton", { name: "Largest" }).pressSequentially("18446744073709551615");
  await yaml.filter({ hasText: "max: 18446744073709551615" }).waitFor();
  await page.getByRole("radio", { name: "Form" }).check({ force: true });
  await page.getByRole("button", { name: "New random number" }).click();
  assert.match(await page.getByRole("textbox", { name: "Seed" }).inputValue(), /^\d+$/);
});

test("a value that was not offered comes with what its node takes", async (person) => {
  const page = await person.open("/w/no-model/edit");
  const crop = page.locator('.draft-input[data-key="2.crop"]');
  await page.locator(".draft-input").first().waitFor();
  await page.locator(".drawing").getByRole("button", { name: /Scale/ }).click();
  await crop.getByRole("checkbox").first().check();
  await page.getByRole("region", { name: "Preview" }).getByRole("combobox", { name: "Crop" }).selectOption("center");
  await save(page);
  await page.waitForURL("**/w/no-model");
  assert.match(readFileSync(manifestFile("no-model"), "utf8"), /- id: crop\n    type: select\n    label: Crop\n    node_id: 2\n    field: crop\n    default: disabled\n    options:\n?[^]*center/);
});

test("two people edit the same workflow: the second is told, and reads it again", async (person) => {
  const [first, second] = [person, await enter()];
  second.expect(/412 \(Precondition Failed\)/);
  const [one, two] = [await first.open("/w/test-progress/edit"), await second.open("/w/test-progress/edit")];
  const name = (page) => page.getByRole("textbox", { name: "Name", exact: true });
  await name(one).fill("Of the first");
  await name(two).fill("Of the second");
  await save(one);
  await one.waitForURL("**/w/test-progress");
  await save(two);
  await two.getByRole("alert").getByText(/has been changed/).waitFor();
  assert.match(readFileSync(manifestFile("test-progress"), "utf8"), /^name: Of the first$/m);
  await two.getByRole("button", { name: "Read it again" }).click();
  await two.getByRole("heading", { name: "Edit Of the first" }).waitFor();
  await name(two).fill("Of both");
  await save(two);
  await two.getByRole("heading", { name: "Of both", level: 1 }).waitFor();
});

test("inputs of a workflow of blocks are edited, and what is wrong is said before it is saved", async (person) => {
  const page = await person.open("/w/multi-scene-video/edit");
  await page.getByText("This workflow is assembled").waitFor();
  const item = page.locator('.draft-input[data-key="steps"]');
  await item.locator("summary").click();
  await item.getByRole("textbox", { name: "Help" }).fill("More steps take longer");
  await item.getByRole("spinbutton", { name: "Largest" }).fill("0");
  await page.locator(".note.warning", { hasText: "steps" }).waitFor();
  await item.getByRole("spinbutton", { name: "Largest" }).fill("30");
  await page.locator(".note.warning", { hasText: "steps" }).waitFor({ state: "detached" });
  await save(page);
  await page.getByText("More steps take longer").waitFor();
});

test("inputs in groups stay in their groups", async (person) => {
  const before = readFileSync(manifestFile("every-input"), "utf8");
  const page = await person.open("/w/every-input/edit");
  const first = page.locator(".draft-input.offered").first();
  await first.locator("summary").click();
  await first.getByRole("textbox", { name: "Label" }).fill("Renamed");
  await save(page);
  await page.waitForURL("**/w/every-input");
  const after = readFileSync(manifestFile("every-input"), "utf8");
  const changed = after.split("\n").filter((line) => !before.includes(line));
  assert.equal(changed.length, 1, changed.join("\n"));
});

test("without --allow-edit, nothing offers to edit", async () => {
  const closed = await startServer({ allowEdit: false });
  const person = await enter({}, closed);
  person.expect(/403 \(Forbidden\)/);
  const page = await person.open("/w/text-to-image");
  await page.getByRole("button", { name: "Reset all values" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Edit workflow" }).count(), 0);
  await page.goto("/w/text-to-image/edit");
  await page.getByRole("alert").getByText(/--allow-edit/).waitFor();
});

test("changes that are not saved are not left without a question", async (person) => {
  const page = await person.open("/w/no-model");
  await page.getByRole("link", { name: "Edit workflow" }).click();
  const name = page.getByRole("textbox", { name: "Name", exact: true });
  const question = page.getByRole("dialog", { name: "Leave without saving?" });
  await page.locator(".nav-link", { hasText: "Jobs" }).click();
  await page.waitForURL("**/jobs");
  await page.goBack();

  await name.fill("Renamed plate");
  await page.locator(".nav-link", { hasText: "Jobs" }).click();
  await question.waitFor();
  await assertAccessible(page, "the question");
  await question.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await name.inputValue(), "Renamed plate");
  // Back, by the browser's own button.
  await page.evaluate(() => history.back());
  await question.waitFor();
  await page.waitForURL("**/w/no-model/edit");
  await question.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await name.inputValue(), "Renamed plate");
  const [asked] = await Promise.all([page.waitForEvent("dialog"), page.evaluate(() => void setTimeout(() => location.reload(), 0))]);
  assert.equal(asked.type(), "beforeunload");
  await asked.dismiss();
  assert.equal(await name.inputValue(), "Renamed plate");

  await page.evaluate(() => history.back());
  await question.getByRole("button", { name: "Leave", exact: true }).click();
  await page.waitForURL("**/w/no-model");
  await page.getByRole("heading", { name: "Coloured plate" }).waitFor();

  await page.goForward();
  await name.fill("Renamed plate");
  await save(page);
  await page.getByRole("heading", { name: "Renamed plate", level: 1 }).waitFor();
  await page.locator(".nav-link", { hasText: "Jobs" }).click();
  await page.waitForURL("**/jobs");
});
