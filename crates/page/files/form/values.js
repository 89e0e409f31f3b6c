// Values of a form: where they come from, and the params that are made of them.
import { flatInputs, isFileInput, optionsOf, sceneInputs } from "./inputs.js";
import { parseSize } from "./resolution.js";

/** @import { Input, JobRecord, Manifest } from "../api/types.js" */

/** @typedef {Record<string, any>} Values */

/**
 * Returns what a form shows for an input before anything is entered.
 * @param {Input} input
 * @param {Record<string, any>} [defaults] the manifest's `defaults`
 * @returns {any}
 */
export function initialValue(input, defaults = {}) {
  const given = input.default ?? defaults[input.id] ?? null;
  return given === null ? emptyValue(input) : formValue(input, given);
}

/** @param {Input} input */
function emptyValue(input) {
  switch (input.type) {
    case "boolean":
      return false;
    case "seed":
      return -1;
    case "lora_picker_dynamic":
    case "scene_list":
      return [];
    case "lora_picker":
      return { file: "", strength: 1 };
    case "select":
      return input.required ? (optionsOf(input)[0]?.value ?? "") : "";
    default:
      return "";
  }
}

/**
 * Returns the value of a request as the form holds it.
 * @param {Input} input
 * @param {any} value
 * @returns {any}
 */
export function formValue(input, value) {
  switch (input.type) {
    case "resolution_picker":
      return parseSize(value) ?? "";
    case "lora_picker":
      return loraValue(value);
    case "lora_picker_dynamic":
      return Array.isArray(value) ? value.map(loraValue) : [];
    case "scene_list":
      return Array.isArray(value) ? value.map((scene) => formScene(input, scene)) : [];
    case "boolean":
      return value === true || value === "true" || value === 1;
    default:
      return value ?? "";
  }
}

/** @param {any} value */
function loraValue(value) {
  if (typeof value === "object" && value !== null) return { file: value.file ?? "", strength: value.strength ?? 1 };
  const file = String(value ?? "");
  return { file: file.toLowerCase() === "none" ? "" : file, strength: 1 };
}

/**
 * @param {Input} input
 * @param {any} scene
 * @returns {Values}
 */
function formScene(input, scene) {
  const fields = sceneInputs(input).map((field) => [field.id, scene?.[field.id] === undefined ? initialValue(field) : formValue(field, scene[field.id])]);
  return { ...scene, ...Object.fromEntries(fields) };
}

/**
 * Returns a new scene.
 * @param {Input} input
 * @returns {Values}
 */
export function newScene(input) {
  return Object.fromEntries(sceneInputs(input).map((field) => [field.id, initialValue(field)]));
}

/**
 * @param {Manifest} manifest
 * @returns {Values}
 */
export function initialValues(manifest) {
  const defaults = /** @type {any} */ (manifest).defaults ?? {};
  return Object.fromEntries(flatInputs(manifest.inputs).map((input) => [input.id, initialValue(input, defaults)]));
}

/**
 * Returns the values of a form for the params of a job. Seeds are those that were used, so that the job is repeated.
 * @param {Manifest} manifest
 * @param {JobRecord} record
 * @returns {Values}
 */
export function valuesOfJob(manifest, record) {
  const values = initialValues(manifest);
  const inputs = flatInputs(manifest.inputs);
  const firstImage = inputs.find((input) => input.type === "image");
  for (const input of inputs) {
    const existing = record.params[`_existing_${input.id}`] ?? (input === firstImage ? record.params._existing_input_image : undefined);
    const given = record.params[input.id] ?? existing;
    if (given !== undefined && given !== null) values[input.id] = formValue(input, given);
    if (input.type === "resolution_picker") {
      const { width, height } = record.params;
      if (width !== undefined && height !== undefined && given === undefined) values[input.id] = { w: Number(width), h: Number(height) };
    }
    const seed = record.seeds[input.id];
    if (seed !== undefined) values[input.id] = seed;
  }
  return values;
}

/**
 * Returns the params of a request. Values that are empty are left out, so that the manifest's defaults apply; an empty text
 * is a value of its own.
 * @param {Manifest} manifest
 * @param {Values} values
 * @returns {Values}
 */
export function paramsOf(manifest, values) {
  return paramsOfInputs(flatInputs(manifest.inputs), values);
}

/**
 * @param {Input[]} inputs
 * @param {Values} values
 */
function paramsOfInputs(inputs, values) {
  /** @type {Values} */
  const params = {};
  for (const input of inputs) {
    const value = requestValue(input, values[input.id]);
    if (value !== undefined) params[input.id] = value;
  }
  return params;
}

/**
 * @param {Input} input
 * @param {any} value
 * @returns {any}
 */
function requestValue(input, value) {
  if (value === undefined || value === null) return undefined;
  switch (input.type) {
    case "int":
    case "float":
    case "seed":
      return value === "" ? undefined : exactNumber(value);
    case "lora_picker":
      return value.file ? { file: value.file, strength: exactNumber(value.strength) } : "none";
    case "lora_picker_dynamic":
      return value.filter((/** @type {any} */ lora) => lora.file).map((/** @type {any} */ lora) => ({ file: lora.file, strength: exactNumber(lora.strength) }));
    case "scene_list":
      return value.map((/** @type {any} */ scene) => ({ ...scene, ...paramsOfInputs(sceneInputs(input), scene) }));
    case "resolution_picker":
      return value === "" ? undefined : { w: exactNumber(value.w), h: exactNumber(value.h) };
    case "text":
      return value;
    default:
      return value === "" && (isFileInput(input) || !input.required) ? undefined : value;
  }
}

/**
 * Returns a number; digits that a number would round stay as they are, which the server reads exactly.
 * @param {any} value
 */
function exactNumber(value) {
  if (typeof value !== "string") return value;
  const number = Number(value);
  return Number.isNaN(number) || (Number.isInteger(number) && !Number.isSafeInteger(number)) ? value : number;
}
