// Texts in the language of the reader. Each language is one file in `texts`; English is there from the start.
import { signal } from "@preact/signals";
import { en } from "./texts/en.js";
import { remember, recall } from "./storage.js";

/** @typedef {typeof en} Texts */
/** @typedef {keyof Texts} TextKey */

/** The languages, each with its own name and the module that has its texts. */
export const LANGUAGES = [
  { code: "en", name: "English", load: async () => en },
  { code: "zh", name: "中文", load: async () => (await import("./texts/zh.js")).zh },
];

/** @type {import("@preact/signals").Signal<Texts>} */
const texts = signal(en);

/** The code of the language that is shown. */
export const language = signal("en");

/**
 * Returns a text, with the values of its `{names}`. A text for numbers has forms: `{count, one: "...", other: "..."}`.
 * @param {TextKey} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const text = texts.value[key];
  const chosen = typeof text === "string" ? text : new Intl.PluralRules(language.value).select(Number(values.count)) === "one" ? text.one : text.other;
  return chosen.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * Returns whether there is a text for a key that is put together at run time.
 * @param {string} key
 * @returns {key is TextKey}
 */
export function hasText(key) {
  return key in en;
}

/** @param {string} code */
export async function setLanguage(code) {
  const chosen = LANGUAGES.find((language) => language.code === code);
  if (!chosen) return;
  texts.value = await chosen.load();
  language.value = code;
  document.documentElement.lang = code === "zh" ? "zh-CN" : code;
  remember("language", code);
}

/** Chooses the language that was chosen before, or the first of the browser's that there is. */
export async function startLanguage() {
  const wanted = [recall("language"), ...navigator.languages.map((tag) => tag.split("-")[0])];
  const code = wanted.find((code) => LANGUAGES.some((language) => language.code === code)) ?? "en";
  if (code !== "en") await setLanguage(code);
}
