// What the page remembers in this browser: settings and the values of forms, never a key.

const PREFIX = "comfy-runner.";

/**
 * Returns what was remembered under a name; null when nothing was, or the browser allows no storage.
 * @param {string} name
 * @returns {string | null}
 */
export function recall(name) {
  try {
    return window.localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string | null} value null forgets it
 */
export function remember(name, value) {
  try {
    if (value === null) window.localStorage.removeItem(PREFIX + name);
    else window.localStorage.setItem(PREFIX + name, value);
  } catch {
    // Full, or not allowed: the page works without.
  }
}
