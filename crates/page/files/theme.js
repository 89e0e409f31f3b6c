// Light or dark: that of the system, unless the reader chose one.
import { signal } from "@preact/signals";
import { recall, remember } from "./storage.js";

/** @typedef {"system" | "light" | "dark"} Theme */

/** @type {readonly Theme[]} */
export const THEMES = ["system", "light", "dark"];

/** @type {import("@preact/signals").Signal<Theme>} */
export const theme = signal("system");

/** @param {Theme} chosen */
export function setTheme(chosen) {
  theme.value = chosen;
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  remember("theme", chosen === "system" ? null : chosen);
}

export function startTheme() {
  const chosen = THEMES.find((theme) => theme === recall("theme"));
  if (chosen) setTheme(chosen);
}
