import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

test("the modules in vendor are those of the pinned packages, with their licences", () => {
  const modules = {
    "preact.mjs": "preact/dist/preact.mjs",
    "preact-hooks.mjs": "preact/hooks/dist/hooks.mjs",
    "signals.mjs": "@preact/signals/dist/signals.mjs",
    "signals-core.mjs": "@preact/signals-core/dist/signals-core.mjs",
    "htm.mjs": "htm/dist/htm.mjs",
    "licences/preact.txt": "preact/LICENSE",
    "licences/signals.txt": "@preact/signals/LICENSE",
    "licences/signals-core.txt": "@preact/signals-core/LICENSE",
    "licences/htm.txt": "htm/LICENSE",
  };
  for (const [vendored, source] of Object.entries(modules)) {
    assert.equal(read(`../../files/vendor/${vendored}`), read(`../node_modules/${source}`), vendored);
  }
});

test("every language has the same texts with the same values in them", async () => {
  const { en } = await import("../../files/texts/en.js");
  const { zh } = await import("../../files/texts/zh.js");
  assert.deepEqual(Object.keys(zh), Object.keys(en));
  const names = (text) => [...new Set(JSON.stringify(text).match(/\{\w+\}/g))].sort();
  for (const key of Object.keys(en)) assert.deepEqual(names(zh[key]), names(en[key]), key);
});
