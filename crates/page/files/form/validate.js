// What is wrong with the values of a form, as far as the manifest says. The server checks again.
import { t } from "../i18n.js";
import { flatInputs, isFileInput, labelOf, sceneInputs } from "./inputs.js";

/** @import { Input, Manifest } from "../api/types.js" */
/** @typedef {Record<string, string>} Errors by input id; for fields of scenes `scenes.0.prompt` */

/**
 * @param {Manifest} manifest
 * @param {Record<string, any>} values
 * @returns {Errors}
 */
export function validate(manifest, values) {
  /** @type {Errors} */
  const errors = {};
  for (const input of flatInputs(manifest.inputs)) checkInput(input, values[input.id], input.id, errors);
  return errors;
}

/**
 * @param {Input} input
 * @param {any} value
 * @param {string} path
 * @param {Errors} errors
 */
function checkInput(input, value, path, errors) {
  const error = errorOf(input, value);
  if (error) errors[path] = error;
  if (input.type !== "scene_list" || !Array.isArray(value)) return;
  value.forEach((scene, index) => {
    for (const field of sceneInputs(input)) checkInput(field, scene?.[field.id], `${path}.${index}.${field.id}`, errors);
  });
}

/**
 * @param {Input} input
 * @param {any} value
 * @returns {string | null}
 */
function errorOf(input, value) {
  const hasDefault = input.default !== undefined && input.default !== null && input.default !== "";
  if (isEmpty(input, value)) {
    if (!input.required) return null;
    // Without a value, the server takes the default; an empty text is sent as it is.
    if (hasDefault && input.type !== "text" && input.type !== "scene_list") return null;
    return isFileInput(input) ? t("check.file") : t("check.required", { label: labelOf(input) });
  }
  switch (input.type) {
    case "int":
      return checkNumber(input, value, true);
    case "float":
      return checkNumber(input, value, false);
    case "seed":
      return Number(value) === -1 ? null : checkNumber({ min: input.min ?? 0, max: input.max ?? LARGEST_SEED }, value, true);
    case "lora_picker":
      return checkNumber(input, value.strength, false);
    case "lora_picker_dynamic":
      return value.map((/** @type {any} */ lora) => checkNumber(input, lora.strength, false)).find(Boolean) ?? null;
    case "resolution_picker":
      return checkNumber({ min: 1, ...input }, value.w, true) ?? checkNumber({ min: 1, ...input }, value.h, true);
    case "scene_list":
      return checkCount(input, value.length);
    default:
      return null;
  }
}

/**
 * @param {Input} input
 * @param {any} value
 */
function isEmpty(input, value) {
  if (input.type === "lora_picker") return !value?.file;
  if (Array.isArray(value)) return value.length === 0;
  return value === undefined || value === null || (typeof value === "string" && value.trim() === "");
}

const LARGEST_SEED = 2n ** 64n - 1n;

/**
 * @param {{ min?: number | bigint, max?: number | bigint }} bounds
 * @param {any} value
 * @param {boolean} whole
 * @returns {string | null}
 */
export function checkNumber({ min, max }, value, whole) {
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) return t("check.number");
  if (whole && !Number.isInteger(number)) return t("check.whole");
  const bounds = { min: String(min ?? ""), max: String(max ?? "") };
  // A number is compared with a BigInt by its exact value.
  const exact = Number.isInteger(number) && /^-?\d+$/.test(String(value)) ? BigInt(value) : number;
  const [low, high] = [min !== undefined && exact < min, max !== undefined && exact > max];
  if (!low && !high) return null;
  if (min !== undefined && max !== undefined) return t("check.between", bounds);
  return low ? t("check.min", bounds) : t("check.max", bounds);
}

/**
 * @param {Input} input
 * @param {number} count
 */
function checkCount({ min, max }, count) {
  if (min !== undefined && count < min) return t("check.scenesMin", { count: min });
  return max !== undefined && count > max ? t("check.scenesMax", { count: max }) : null;
}
