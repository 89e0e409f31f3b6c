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
 * Goes to an address of the page.
 * @param {string} href
 * @param {{ replace?: boolean }} [options]
 */
export function navigate(href, { replace = false } = {}) {
  const before = address.value.path;
  window.history[replace ? "replaceState" : "pushState"](null, "", href);
  address.value = read();
  if (address.value.path !== before) window.scrollTo(0, 0);
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
  window.addEventListener("popstate", () => (address.value = read()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== window.location.origin) return;
    if (route(link.pathname).view === "unknown") return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
