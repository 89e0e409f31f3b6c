// JSON whose integers keep their digits. JavaScript's numbers are exact up to 2^53 and seeds go up to 2^64, so larger integers
// are BigInts here.

/** Begins the text of an integer while JavaScript's own functions read and write it. */
const MARK = "\u0000";
const MARKED = new RegExp(`^${MARK}-?\\d+$`);
const STRING_OR_NUMBER = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * @param {string} text
 * @returns {any}
 */
export function parseJson(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(STRING_OR_NUMBER, (token) => (isRounded(token) ? `"\\u0000${token}"` : token));
  return JSON.parse(marked, (_, value) => (typeof value === "string" && MARKED.test(value) ? BigInt(value.slice(1)) : value));
}

/** @param {string} token */
function isRounded(token) {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
}

/**
 * @param {any} value
 * @param {number} [indent]
 */
export function toJson(value, indent) {
  const text = JSON.stringify(value, (_, entry) => (typeof entry === "bigint" ? `${MARK}${entry}` : entry), indent);
  return text.replace(/"\\u0000(-?\d+)"/g, "$1");
}
