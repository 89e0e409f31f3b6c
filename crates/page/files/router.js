// The address of the page as a signal, and the views that addresses have.
import { signal } from "@preact/signals";

/** @typedef {{ path: string, query: URLSearchParams }} Address */

/** @returns {Address} */
function read() {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

/** The present address. */
export const address = signal(read());

/**
 * The place of the present entry in the browser's history: the difference of two says how far the reader went. An entry that is
 * not of this module comes after the one before.
 */
let index = placeOf(window.history.state, 0);

/** @type {{ isKept: () => boolean, ask: (leave: () => void) => void } | null} */
let guard = null;

/**
 * Asks, when the page is back at the entry that the reader was about to leave. A question before that could be answered before
 * it: of two ways through the history at the same time, browsers go one.
 * @type {(() => void) | null}
 */
let onReturn = null;

/**
 * Asks before the reader leaves the present path, until the returned function is called.
 * @param {() => boolean} isKept whether there is something to ask about
 * @param {(leave: () => void) => void} ask gets what is to be done if the answer is yes; `isKept` is false by then
 */
export function guardLeaving(isKept, ask) {
  const own = { isKept, ask };
  guard = own;
  return () => {
    if (guard === own) guard = null;
  };
}

/**
 * Goes to an address of the page.
 * @param {string} href
 * @param {{ replace?: boolean }} [options]
 */
export function navigate(href, { replace = false } = {}) {
  const before = address.value.path;
  if (guard?.isKept() && new URL(href, window.location.href).pathname !== before) return guard.ask(() => navigate(href, { replace }));
  if (!replace) index += 1;
  window.history[replace ? "replaceState" : "pushState"]({ index }, "", href);
  address.value = read();
  if (address.value.path !== before) window.scrollTo(0, 0);
}

/** Follows the browser's buttons. */
function onPopState() {
  if (onReturn) {
    const ask = onReturn;
    onReturn = null;
    return ask();
  }
  const moved = placeOf(window.history.state, index + 1) - index;
  if (guard?.isKept() && moved !== 0 && window.location.pathname !== address.value.path) {
    const { ask } = guard;
    onReturn = () => ask(() => window.history.go(moved));
    return window.history.go(-moved);
  }
  index += moved;
  address.value = read();
}

/**
 * @param {any} state of an entry of the browser's history
 * @param {number} otherwise
 * @returns {number}
 */
function placeOf(state, otherwise) {
  return Number.isInteger(state?.index) ? state.index : otherwise;
}

/**
 * Returns the name of the view of a path, with the part of the path that names something.
 * @param {string} path
 * @returns {{ view: "library" | "run" | "edit" | "jobs" | "job" | "queue" | "new" | "unknown", id: string }}
 */
export function route(path) {
  const [first, second, third, ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (rest.length) return { view: "unknown", id: "" };
  if (first === "w" && second && third === "edit") return { view: "edit", id: second };
  if (third) return { view: "unknown", id: "" };
  if (!first) return { view: "library", id: "" };
  if (first === "w" && second) return { view: "run", id: second };
  if (first === "jobs") return second ? { view: "job", id: second } : { view: "jobs", id: "" };
  if (first === "queue" && !second) return { view: "queue", id: "" };
  if (first === "new" && !second) return { view: "new", id: "" };
  return { view: "unknown", id: "" };
}

/** Follows the browser's buttons, and links of the page without loading the document again. */
export function startRouter() {
  window.history.replaceState({ index }, "");
  window.addEventListener("popstate", onPopState);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== window.location.origin) return;
    // The browser itself goes to a place in the view.
    if (link.hash && link.pathname === window.location.pathname) return;
    if (route(link.pathname).view === "unknown") return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
