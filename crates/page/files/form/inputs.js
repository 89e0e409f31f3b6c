// The inputs of a manifest, as a form needs them.

/** @import { Input, InputEntry, InputOption, Manifest, Scalar } from "../api/types.js" */

/**
 * @param {InputEntry} entry
 * @returns {entry is import("../api/types.js").InputGroup}
 */
export function isGroup(entry) {
  return !("id" in entry);
}

/**
 * Returns the inputs in the order of the form, those in groups included.
 * @param {InputEntry[] | undefined} entries
 * @returns {Input[]}
 */
export function flatInputs(entries) {
  return (entries ?? []).flatMap((entry) => (isGroup(entry) ? flatInputs(entry.items) : [entry]));
}

/**
 * Returns the entries of a form with groups only: consecutive inputs that name the same group belong together.
 * @param {InputEntry[]} entries
 * @returns {InputEntry[]}
 */
export function grouped(entries) {
  /** @type {InputEntry[]} */
  const result = [];
  let open = { group: "", items: /** @type {InputEntry[]} */ ([]) };
  for (const entry of entries) {
    const group = isGroup(entry) ? "" : (entry.group ?? "");
    if (group && group === open.group) {
      open.items.push(entry);
      continue;
    }
    open = { group, items: [entry] };
    result.push(group ? open : entry);
  }
  return result;
}

/** @param {Input} input */
export function labelOf(input) {
  return input.label ?? input.name ?? input.id;
}

/**
 * Returns the options with a label each.
 * @param {Input} input
 * @returns {{ value: Scalar, label: string }[]}
 */
export function optionsOf(input) {
  return (input.options ?? []).map((/** @type {InputOption} */ option) => {
    if (typeof option !== "object" || option === null) return { value: option, label: String(option) };
    const value = option.value ?? /** @type {Scalar} */ (option.label);
    return { value, label: String(option.label ?? value) };
  });
}

/**
 * Returns the fields of a scene as inputs.
 * @param {Input} input
 * @returns {Input[]}
 */
export function sceneInputs(input) {
  const fields = input.per_scene ?? [];
  if (Array.isArray(fields)) return fields;
  return Object.entries(fields).map(([id, field]) => ({ ...field, id }));
}

const FILE_TYPES = new Set(["image", "mask", "video", "audio", "3d"]);

/** @param {Input} input */
export function isFileInput(input) {
  return FILE_TYPES.has(input.type ?? "");
}

/**
 * Returns the input over whose image a mask is painted: the first image input.
 * @param {Manifest} manifest
 */
export function firstImageInput(manifest) {
  return flatInputs(manifest.inputs).find((input) => input.type === "image");
}
