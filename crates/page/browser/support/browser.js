// Chromium, and pages that watch what must never happen: errors on the console, violations of the Content-Security-Policy,
// and requests to another host.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
export const DESKTOP = { viewport: { width: 1440, height: 900 } };

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Opens pages of one person: they share storage and cookies. */
export class Person {
  static async enter(browser, server, options = {}) {
    const person = new Person();
    person.server = server;
    person.problems = [];
    person.expected = [];
    person.context = await browser.newContext({ baseURL: server.url, locale: "en-US", ...DESKTOP, permissions: ["clipboard-read", "clipboard-write"], ...options });
    person.context.setDefaultTimeout(60_000);
    return person;
  }

  /** Says that errors like this are part of the test. */
  expect(pattern) {
    this.expected.push(pattern);
  }

  async open(path) {
    const page = await this.context.newPage();
    const problem = (text) => this.problems.push(`${page.url()}: ${text}`);
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && problem(message.text()));
    page.on("pageerror", (error) => problem(error.stack ?? error.message));
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http") && origin !== this.server.url) problem(`a request to ${request.url()}`);
    });
    await page.goto(path);
    return page;
  }

  /** Fails if something happened that must not. */
  assertNoProblems() {
    const problems = this.problems.filter((text) => !this.expected.some((pattern) => pattern.test(text)));
    assert.deepEqual(problems, []);
  }

  /** Closes the pages. */
  async leave() {
    await this.context.close();
  }
}

/** Fails with what axe finds in a page. */
export async function assertAccessible(page, what) {
  // The page's policy forbids scripts of others; evaluating is not bound by it.
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const violations = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
  assert.deepEqual(violations, [], what);
}

/** A PNG of one colour, as a file that a person chooses. */
export async function picture(page, name = "photo.png", [width, height] = [64, 48], color = "#3060c0") {
  const base64 = await page.evaluate(
    ([width, height, color]) => {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width, height });
      const context = canvas.getContext("2d");
      context.fillStyle = color;
      context.fillRect(0, 0, width, height);
      return canvas.toDataURL("image/png").split(",")[1];
    },
    [width, height, color],
  );
  return { name, mimeType: "image/png", buffer: Buffer.from(base64, "base64") };
}

/** A file as a browser hands it over when it is dropped or pasted. */
function transferOf(page, { name, mimeType, buffer }) {
  return page.evaluateHandle(
    ([base64, name, type]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name, { type }));
      return transfer;
    },
    [buffer.toString("base64"), name, mimeType],
  );
}

/** Drops a file on an element. */
export async function drop(element, file) {
  await element.dispatchEvent("drop", { dataTransfer: await transferOf(element.page(), file) });
}

/** Pastes a file where the focus is. */
export async function paste(page, file) {
  await page.evaluate(
    (data) => (document.activeElement ?? document).dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })),
    await transferOf(page, file),
  );
}
