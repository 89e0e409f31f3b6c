import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Person, assertAccessible, launch } from "../support/browser.js";
import { TestServer } from "../support/server.js";

const KEY = "a-long-key-for-the-tests";
let server, browser;
before(async () => {
  server = await TestServer.start({ stepMs: 20, keys: [KEY] });
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.stop();
});

test("with a key configured the page asks for one, works by a cookie, and forgets it on signing out", async () => {
  const person = await Person.enter(browser, server);
  person.expect(/401 \(Unauthorized\)|WebSocket/);
  const page = await person.open("/w/text-to-image");
  const field = page.getByLabel("API key");
  await field.waitFor();
  await assertAccessible(page, "sign in");
  await field.fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText(/not known/).waitFor();
  await field.fill(KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("textbox", { name: "Prompt", exact: true }).waitFor();
  // Requests, WebSockets and images go by the cookie.
  await page.locator(".run-button").click();
  await page.getByRole("img", { name: "Preview" }).waitFor();
  const image = page.locator(".file-picture img");
  await image.waitFor();
  assert.equal(await image.evaluate(async (image) => (await image.decode(), image.naturalWidth)), 512);
  const [cookie] = await person.context.cookies();
  assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!kept.includes(KEY) && !cookie.value.includes(KEY));

  await page.reload();
  await image.waitFor();
  // The page goes on asking while the server is gone.
  person.expect(/ERR_CONNECTION_REFUSED/);
  await server.stopServer();
  await server.serve();
  await page.goto("/jobs");
  await page.locator(".job-row").first().waitFor();
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await field.waitFor();
  assert.deepEqual(await person.context.cookies(), []);
  await page.reload();
  await field.waitFor();
  await person.leave();
});
