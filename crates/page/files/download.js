// Saves a text that the page made as a file.

/**
 * @param {string} name
 * @param {string | Blob} content
 * @param {string} type
 */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
