// Resolutions: how they are written, and sizes of a given ratio.

/** @typedef {{ w: number, h: number }} Size */

/**
 * Reads `"832x1216"`, `{w, h}` or `{width, height}`.
 * @param {any} value
 * @returns {Size | null}
 */
export function parseSize(value) {
  if (typeof value === "string") {
    const match = /^\s*(\d+)\s*[x×*]\s*(\d+)\s*$/i.exec(value);
    return match ? { w: Number(match[1]), h: Number(match[2]) } : null;
  }
  if (typeof value !== "object" || value === null) return null;
  const [w, h] = [value.w ?? value.width, value.h ?? value.height];
  return w === undefined || h === undefined ? null : { w: Number(w), h: Number(h) };
}

/** Ratios to choose from, wide to tall. */
export const RATIOS = ["16:9", "3:2", "4:3", "1:1", "3:4", "2:3", "9:16"];

/**
 * Returns the size of a ratio with about the same number of pixels, in steps and within bounds.
 * @param {Size} size
 * @param {string} ratio
 * @param {{ min?: number, max?: number, step?: number }} bounds
 * @returns {Size}
 */
export function withRatio(size, ratio, { min = 16, max = 16384, step = 16 }) {
  const [across = 1, down = 1] = ratio.split(":").map(Number);
  const area = Math.max(1, size.w * size.h);
  const width = Math.sqrt((area * across) / down);
  const height = (width * down) / across;
  // Where a bound is reached, the side that reaches it decides, so that the ratio stays: the smaller one, then the larger one.
  const grown = Math.max(1, min / Math.min(width, height));
  const scale = Math.min(grown, max / Math.max(width, height));
  const round = (/** @type {number} */ side) => Math.min(max, Math.max(min, Math.round((side * scale) / step) * step));
  return { w: round(width), h: round(height) };
}

/**
 * Returns the listed ratio that a size has, within two percent.
 * @param {Size} size
 */
export function ratioOf(size) {
  return RATIOS.find((ratio) => {
    const [across = 1, down = 1] = ratio.split(":").map(Number);
    return Math.abs((size.w / size.h) * (down / across) - 1) < 0.02;
  });
}
