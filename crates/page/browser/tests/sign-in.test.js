import assert from "node:assert/strict";
import { assertAccessible } from "../support/browser.js";
import { pageTests } from "../support/page-tests.js";

const KEY = "a-long-key-for-the-tests";
const { server, test } = pageTests({ stepMs: 50, keys: [KEY] });

test("with a key configured the page asks for one, works by a cookie, and forgets it on signing out", async (person) => {
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
  await page.getByRole("spinbutton", { name: "Steps" }).fill("60");
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
});
