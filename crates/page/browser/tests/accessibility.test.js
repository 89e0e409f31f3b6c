import assert from "node:assert/strict";
import { DESKTOP, PHONE, assertAccessible, picture } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

let job, failed;
const { server, test, enter } = pageTests({}, async () => {
  job = await server.finished("text-to-image", { steps: 2 });
  failed = await server.finished("fails", {});
  await server.finished("video", {});
});

const VIEWS = {
  library: async (page) => page.locator(".card:not(.skeleton)").first().waitFor(),
  jobs: async (page) => page.locator(".job-row").first().waitFor(),
  queue: async (page) => page.getByText("Nothing waits").waitFor(),
};

for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing in any view: ${size}, ${colorScheme}`, { ...options, colorScheme, reducedMotion: "reduce" }, async (person) => {
      person.expect(/404 \(Not Found\)/);
      const page = await person.open("/");
      for (const [name, ready] of Object.entries(VIEWS)) {
        await page.goto(name === "library" ? "/" : `/${name}`);
        await ready(page);
        await assertAccessible(page, name);
      }
      await page.getByRole("button", { name: "Settings" }).click();
      await assertAccessible(page, "settings");

      await page.goto("/w/every-input");
      await page.locator("summary", { hasText: "Files" }).click();
      await page.locator(".run-button").click();
      await page.locator(".field-error").first().waitFor();
      await assertAccessible(page, "a form with an error");
      await page.getByRole("combobox", { name: "Checkpoint" }).click();
      await page.locator(".listbox").waitFor();
      await assertAccessible(page, "an open list");

      await page.goto("/w/text-to-image");
      await page.locator(".file-picture img").waitFor();
      await assertAccessible(page, "a result");
      await page.getByRole("tab", { name: "As code" }).click();
      await assertAccessible(page, "code");
      await page.getByRole("button", { name: "Enlarge" }).first().click();
      await assertAccessible(page, "an enlarged image");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Compare" }).click();
      await page.locator(".compare, .dialog .state").first().waitFor();
      await assertAccessible(page, "a comparison");

      await page.goto(`/jobs/${failed.prompt_id}`);
      await page.getByText("This job failed").waitFor();
      await assertAccessible(page, "a failed job");
      await page.goto(`/jobs/${job.prompt_id}`);
      await page.locator(".file-picture img").waitFor();
      await page.getByRole("button", { name: "Delete job" }).click();
      await assertAccessible(page, "a question");

      await page.goto("/w/mask");
      await page.locator('[data-input="image"] input[type=file]').setInputFiles(await picture(page));
      await page.locator("img.file-preview").waitFor();
      await page.getByRole("button", { name: "Use an earlier one" }).first().click();
      await page.locator(".file-tile").first().waitFor();
      await assertAccessible(page, "earlier files");
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Paint" }).click();
      await page.getByRole("img", { name: "Mask", exact: true }).waitFor();
      await assertAccessible(page, "the painter");

      await page.goto("/jobs/nothing");
      await page.getByRole("alert").waitFor();
      await assertAccessible(page, "an error");
    });
  }
}

const ADDRESSES = ["/", "/w/every-input", "/w/text-to-image", "/jobs", "/queue", "/new"];

/** What a control looks like, with what may show its focus for it. */
const look = `(control) => {
  const near = [control, control.parentElement, control.closest(".card"), control.closest("label")].filter((element) => element);
  const looks = near.flatMap((element) => [undefined, "::before", "::after"].map((part) => getComputedStyle(element, part)));
  return looks.map((style) => [style.outline, style.boxShadow, style.borderColor, style.backgroundColor, style.opacity].join()).join();
}`;

test("every control is reached with the Tab key, in the order of the page, and shows that it has the focus", { reducedMotion: "reduce" }, async (person) => {
  const page = await person.open("/");
  for (const address of [...ADDRESSES, `/jobs/${job.prompt_id}`]) {
    await page.goto(address);
    await page.locator("main h1, main h2, main .card:not(.skeleton)").first().waitFor();
    await page.waitForLoadState("networkidle");
    const controls = await page.evaluate(`{
      const look = ${look};
      // Of a group of radio buttons, Tab reaches the chosen one.
      const all = document.querySelectorAll("a[href], button, input:not([type=radio]:not(:checked)), select, textarea, summary, [tabindex]");
      const tabbable = [...all].filter((control) => control.tabIndex >= 0 && !control.disabled && control.checkVisibility({ visibilityProperty: true }));
      tabbable.forEach((control, index) => Object.assign(control, { order: index, unfocused: look(control) }));
      tabbable.length;
    }`);
    assert.ok(controls > 5, `${address} has ${controls} controls`);
    const order = [];
    for (let presses = 0; presses < controls; presses++) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate(`{
        const control = document.activeElement;
        ({ order: control.order, shown: (${look})(control) !== control.unfocused, html: control.outerHTML.slice(0, 120) });
      }`);
      if (focus.order === undefined) break;
      assert.ok(focus.shown, `${address}: ${focus.html} does not show the focus`);
      order.push(focus.order);
    }
    const missed = await page.evaluate((order) => [...document.querySelectorAll("*")].filter((control) => control.order !== undefined && !order.includes(control.order)).map((control) => control.outerHTML.slice(0, 120)), order);
    assert.deepEqual(missed, [], `not reached at ${address}`);
    assert.deepEqual(order, [...Array(controls).keys()], `the order of ${address}`);
  }
});

test("the first link leads past the navigation, and the way back still works", async (person) => {
  const page = await person.open("/");
  await page.locator(".card:not(.skeleton)").first().waitFor();
  await page.locator(".nav-link", { hasText: "Jobs" }).click();
  await page.waitForURL("**/jobs");
  await page.getByRole("link", { name: "Skip to content" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.id === "main");
  await page.goBack();
  await page.goBack();
  await page.locator(".card:not(.skeleton)").first().waitFor();
});

test("axe finds nothing while a job runs", async (person) => {
  await server.execute("test-progress", { steps: 3000, delay_ms: 50 });
  const page = await person.open("/w/test-progress");
  await page.getByRole("img", { name: "Preview" }).waitFor();
  await assertAccessible(page, "a running job");
  await page.goto("/queue");
  await page.locator(".job-row progress").waitFor();
  await assertAccessible(page, "the queue");
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByText("Nothing waits").waitFor();
});

test("the language and the theme are chosen and kept", async (person) => {
  const page = await person.open("/");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("radio", { name: "中文" }).check({ force: true });
  await page.getByRole("heading", { name: "工作流", exact: true }).waitFor();
  await page.getByRole("radio", { name: "深色" }).check({ force: true });
  await page.reload();
  await page.getByRole("heading", { name: "工作流", exact: true }).waitFor();
  await page.locator('html[data-theme="dark"][lang="zh-CN"]').waitFor();
  await page.locator(".card:not(.skeleton)").first().waitFor();
  await assertAccessible(page, "in Chinese");
  const chinese = await enter({ locale: "zh-CN" });
  await (await chinese.open("/jobs")).getByRole("heading", { name: "任务" }).waitFor();
});

test("with reduced motion nothing moves by itself, and progress and previews still come", { reducedMotion: "reduce" }, async (person) => {
  const page = await person.open("/");
  const moving = () =>
    page.evaluate(() => {
      const animated = document.getAnimations().map((animation) => animation.effect.target.className);
      const styled = [...document.querySelectorAll("*")].filter((element) =>
        [null, "::before", "::after", "::-webkit-progress-value"].some((part) => {
          const { animationName, transitionDuration, transitionProperty, scrollBehavior } = getComputedStyle(element, part);
          return animationName !== "none" || (transitionProperty !== "none" && transitionDuration !== "0s") || scrollBehavior !== "auto";
        }),
      );
      return [...animated, ...styled.map((element) => element.className)];
    });
  const clip = page.locator(".card video");
  await clip.waitFor();
  await clip.scrollIntoViewIfNeeded();
  assert.ok(await clip.evaluate((video) => video.paused));
  assert.deepEqual(await moving(), []);
  // Before an answer comes, placeholders of the cards are shown.
  let answer;
  const asked = new Promise((resolve) => (answer = resolve));
  await page.route((url) => url.pathname === "/api/workflows", async (route) => (await asked, route.continue()));
  await page.reload();
  await page.locator(".card.skeleton").first().waitFor();
  assert.deepEqual(await moving(), []);
  answer();
  await page.locator(".card:not(.skeleton)").first().waitFor();

  await page.goto("/w/test-progress");
  await page.getByRole("spinbutton", { name: "Steps" }).fill("3000");
  await page.getByRole("spinbutton", { name: "Milliseconds per step" }).fill("50");
  await page.locator(".run-button").click();
  await page.getByRole("img", { name: "Preview" }).waitFor();
  const step = async () => Number(/step (\d+)/.exec(await page.locator(".live-numbers").innerText())?.[1] ?? 0);
  const before = await step();
  await page.waitForFunction((before) => Number(/step (\d+)/.exec(document.querySelector(".live-numbers")?.textContent)?.[1] ?? 0) > before, before);
  assert.deepEqual(await moving(), []);
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByText("This job was cancelled.").waitFor();
});
