// Writes a manifest as YAML: an input a block, as `comfy-runner init` writes them.

/** @import { Input } from "../../api/types.js" */

const KEYS = ["id", "type", "label", "tooltip", "group", "required", "node_id", "field", "targets", "default", "min", "max", "step", "options"];

/**
 * Returns the lines of an input in the list `inputs`.
 * @param {Input} input
 * @param {string} comment
 */
export function inputYaml(input, comment) {
  const known = KEYS.filter((key) => key in input);
  const others = Object.keys(input).filter((key) => !KEYS.includes(key));
  const lines = [...known, ...others].flatMap((key) => {
    const value = /** @type {any} */ (input)[key];
    return value === undefined || value === null ? [] : [`${key}: ${yamlValue(value)}`];
  });
  return [...(comment ? [`  # ${comment}`] : []), ...lines.map((line, index) => `${index === 0 ? "  - " : "    "}${line}`)].join("\n");
}

/**
 * Returns a value on one line. JSON is YAML; what reads as a plain word needs no quotes.
 * @param {any} value
 * @returns {string}
 */
export function yamlValue(value) {
  if (typeof value === "string") return isPlain(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(yamlValue).join(", ")}]`;
  if (value && typeof value === "object") return `{${Object.entries(value).map(([key, entry]) => `${yamlValue(key)}: ${yamlValue(entry)}`).join(", ")}}`;
  return String(value);
}

/** @param {string} text */
function isPlain(text) {
  return /^[A-Za-z_][\w./() -]*$/.test(text) && !/\s$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text);
}
