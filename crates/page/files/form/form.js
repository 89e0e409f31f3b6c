// The state of a workflow's form. Values are remembered in this browser, so that a reload loses nothing.
import { computed, effect, signal } from "@preact/signals";
import { ApiError } from "../api/client.js";
import { parseJson, toJson } from "../api/json.js";
import { recall, remember } from "../storage.js";
import { flatInputs } from "./inputs.js";
import { formValue, initialValues, paramsOf } from "./values.js";
import { validate } from "./validate.js";

/** @import { Manifest } from "../api/types.js" */
/** @typedef {import("./values.js").Values} Values */
/** @typedef {ReturnType<typeof createForm>} Form */
/** @typedef {{ values: import("@preact/signals").Signal<Values>, touched: import("@preact/signals").Signal<Set<string>> }} FormValues */

const REMEMBER_AFTER = 300;

/**
 * @param {Manifest} manifest
 * @param {{ kept?: boolean, before?: FormValues | null }} [options] `kept`: whether values are remembered; `before`: the form
 *   that this one replaces, whose values stay where they were edited
 */
export function createForm(manifest, { kept = true, before = null } = {}) {
  const name = `form.${manifest.id}`;
  const values = signal(kept ? withRemembered(manifest, name) : initialValues(manifest));
  /** Inputs whose errors are shown: those that were edited, and all after an attempt to run. */
  const touched = signal(before?.touched.peek() ?? /** @type {Set<string>} */ (new Set()));
  if (before) values.value = { ...values.value, ...editedValues(manifest, before) };
  const attempted = signal(false);
  const serverErrors = signal(/** @type {Record<string, string>} */ ({}));
  /** What the server said of the request as a whole. */
  const failure = signal(/** @type {string | null} */ (null));
  /** The seeds of the latest run, which a locked seed takes. */
  const usedSeeds = signal(/** @type {Record<string, number | bigint>} */ ({}));
  /** How many files are being uploaded: the form cannot be sent until they are there. */
  const uploads = signal(0);
  const found = computed(() => validate(manifest, values.value));
  const errors = computed(() => {
    const shown = Object.entries(found.value).filter(([path]) => attempted.value || touched.value.has(path.split(".")[0] ?? path));
    return { ...serverErrors.value, ...Object.fromEntries(shown) };
  });

  let timer = 0;
  const stopKeeping = effect(() => {
    const text = toJson(values.value);
    if (!kept) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => remember(name, text), REMEMBER_AFTER);
  });

  return {
    manifest,
    values,
    touched,
    errors,
    failure,
    usedSeeds,
    uploads,
    /** Whether the values can be sent as they are. */
    valid: computed(() => Object.keys(found.value).length === 0),

    /**
     * @param {string} id
     * @param {any} value
     */
    set(id, value) {
      values.value = { ...values.value, [id]: value };
      if (!touched.value.has(id)) touched.value = new Set([...touched.value, id]);
      const { [id]: _, ...others } = serverErrors.value;
      serverErrors.value = others;
      failure.value = null;
    },

    /** @param {Values} replaced */
    replace(replaced) {
      values.value = replaced;
      touched.value = new Set();
      attempted.value = false;
      serverErrors.value = {};
      failure.value = null;
      if (kept) remember(name, toJson(replaced));
    },

    reset() {
      this.replace(initialValues(manifest));
    },

    /** @param {Values} params values of a preset, as a request writes them */
    applyPreset(params) {
      const inputs = new Map(flatInputs(manifest.inputs).map((input) => [input.id, input]));
      const changed = Object.entries(params).flatMap(([id, value]) => {
        const input = inputs.get(id);
        return input ? [[id, formValue(input, value)]] : [];
      });
      this.replace({ ...values.value, ...Object.fromEntries(changed) });
    },

    params() {
      return paramsOf(manifest, values.value);
    },

    /** Shows every error. Returns whether there is none. */
    attempt() {
      attempted.value = true;
      failure.value = null;
      serverErrors.value = {};
      return Object.keys(found.value).length === 0;
    },

    /**
     * Puts what the server said beside the inputs that it names.
     * @param {unknown} error
     */
    refuse(error) {
      const byInput = error instanceof ApiError ? errorsByInput(manifest, error.body) : {};
      serverErrors.value = byInput;
      failure.value = error instanceof Error ? error.message : String(error);
    },

    /** Stops remembering: the form is gone. */
    dispose() {
      stopKeeping();
    },
  };
}

/**
 * Returns the values that were edited, of inputs that there still are.
 * @param {Manifest} manifest
 * @param {FormValues} before
 * @returns {Values}
 */
function editedValues(manifest, { values, touched }) {
  const edited = flatInputs(manifest.inputs).filter(({ id }) => touched.peek().has(id));
  return Object.fromEntries(edited.map((input) => [input.id, formValue(input, values.peek()[input.id])]));
}

/**
 * Returns the values of before where they still fit the manifest's inputs.
 * @param {Manifest} manifest
 * @param {string} name
 * @returns {Values}
 */
function withRemembered(manifest, name) {
  const values = initialValues(manifest);
  const text = recall(name);
  if (!text) return values;
  try {
    const remembered = parseJson(text);
    for (const input of flatInputs(manifest.inputs)) {
      const before = remembered?.[input.id];
      if (before !== undefined && before !== null) values[input.id] = formValue(input, before);
    }
  } catch {
    remember(name, null);
  }
  return values;
}

/**
 * Returns errors by input: `param_errors` name inputs, ComfyUI's `node_errors` name the fields that inputs are bound to.
 * @param {Manifest} manifest
 * @param {Record<string, any>} body
 */
function errorsByInput(manifest, body) {
  /** @type {Record<string, string>} */
  const byInput = { ...body.param_errors };
  for (const input of flatInputs(manifest.inputs)) {
    const targets = input.targets ?? (input.node_id === undefined ? [] : [{ node_id: input.node_id, field: input.field }]);
    for (const { node_id, field } of targets) {
      const errors = body.node_errors?.[String(node_id)]?.errors ?? [];
      const about = errors.find((/** @type {any} */ error) => error.extra_info?.input_name === field);
      if (about) byInput[input.id] = [about.message, about.details].filter(Boolean).join(": ");
    }
  }
  return byInput;
}
