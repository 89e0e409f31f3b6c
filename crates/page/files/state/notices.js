// Short notices at the edge of the page: something was done, or failed where nothing else shows it.
import { signal } from "@preact/signals";

/** @typedef {{ key: number, text: string, kind: "info" | "error" }} Notice */

const SHOWN_FOR = 6000;
let next = 1;

/** The notices that are shown, oldest first. */
export const notices = signal(/** @type {Notice[]} */ ([]));

/**
 * @param {string} text
 * @param {"info" | "error"} [kind]
 */
export function notify(text, kind = "info") {
  const key = next++;
  notices.value = [...notices.value.slice(-3), { key, text, kind }];
  window.setTimeout(() => dismiss(key), kind === "error" ? SHOWN_FOR * 2 : SHOWN_FOR);
}

/**
 * Shows why something failed.
 * @param {unknown} error
 */
export function notifyError(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  notify(error instanceof Error ? error.message : String(error), "error");
}

/** @param {number} key */
export function dismiss(key) {
  notices.value = notices.value.filter((notice) => notice.key !== key);
}
