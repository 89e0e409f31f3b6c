// A workflow that is being made of a graph, or edited: its inputs in order, which of them are offered, and the text of its
// manifest, which the server writes so that comments and order stay.
import { computed, effect, signal } from "@preact/signals";
import { toJson } from "../../api/json.js";
import { editManifest } from "../../api/workflows.js";
import { isGroup, labelOf } from "../../form/inputs.js";

/** @import { Finding, Input, InputEntry, InputGroup, Manifest } from "../../api/types.js" */

/**
 * @typedef {object} DraftInput
 * @property {string} key
 * @property {boolean} detected whether it stays in sight when it is not offered: the server found it, or the manifest had it
 * @property {boolean} offered
 * @property {Input} input
 * @property {InputGroup[]} path the groups around it, outermost first
 * @property {string[]} nodes ids of the nodes that take its value
 */

/**
 * @typedef {object} DraftSource
 * @property {string} yaml the text of the manifest
 * @property {Manifest} manifest the values of that text
 * @property {Graph | null} graph null for a workflow that is assembled from blocks
 * @property {Input[]} [found] the inputs that the server finds in the graph
 * @property {Input[]} [others] inputs for the other values of the graph, from the server
 * @property {Finding[]} [findings]
 * @property {Record<string, Input["options"]>} [options] what pickers offer, by input
 * @property {{ id: string, etag: string } | null} [existing] the workflow that is edited, as it was read
 */

/** @typedef {ReturnType<typeof createDraft>} Draft */
/** @typedef {Record<string, { class_type: string, inputs: Record<string, any>, _meta?: { title?: string } }>} Graph */

const WRITE_AFTER = 200;

/** @param {DraftSource} source */
export function createDraft({ yaml, manifest, graph, found = [], others = [], findings = [], options = {}, existing = null }) {
  const inputs = signal(allInputs(manifest, graph, found, others));
  const about = signal({ id: manifest.id, name: manifest.name ?? "", category: manifest.category ?? "", description: manifest.description ?? "" });
  const offered = computed(() => inputs.value.filter((entry) => entry.offered));
  const values = computed(() => valuesOf(manifest, about.value, tree(offered.value)));
  /** The text with the values for which it was written. */
  const written = signal(/** @type {{ yaml: string, values: any, findings: Finding[] }} */ ({ yaml, values: values.peek(), findings: [] }));
  const refused = signal(/** @type {string | null} */ (null));
  /** The values that are saved, or that nobody wants to save. */
  const kept = signal(values.peek());

  const write = async (/** @type {Manifest} */ wanted) => {
    const edited = await editManifest(yaml, wanted);
    if (values.peek() === wanted) {
      written.value = { yaml: edited.yaml, values: wanted, findings: edited.findings };
      refused.value = null;
    }
    return edited.yaml;
  };
  let timer = 0;
  const stopWriting = effect(() => {
    const wanted = values.value;
    window.clearTimeout(timer);
    if (wanted === written.peek().values) return;
    timer = window.setTimeout(() => {
      write(wanted).catch((error) => {
        if (values.peek() === wanted) refused.value = error instanceof Error ? error.message : String(error);
      });
    }, WRITE_AFTER);
  });

  return {
    graph,
    findings,
    existing,
    inputs,
    about,
    /** The manifest as a form reads it. */
    manifest: computed(/** @returns {Manifest} */ () => ({ ...values.value, inputs: tree(offered.value.map((entry) => ({ ...entry, input: withOptions(entry, options) }))) })),
    /** The text of `manifest.yaml`, soon after a change. */
    yaml: computed(() => written.value.yaml),
    /** What the server says of the text. */
    remarks: computed(() => written.value.findings),
    /** Why the text cannot be written. */
    refused,
    problems: computed(() => problemsOf(about.value.id, offered.value)),
    /** Whether it has changes that are not kept. */
    changed: computed(() => values.value !== kept.value && toJson(values.value) !== toJson(kept.value)),

    /** Notes that the present values are kept, or that nobody wants them. */
    keep() {
      kept.value = values.peek();
    },

    /** Returns the text with every change. */
    async text() {
      const wanted = values.peek();
      return wanted === written.peek().values ? written.peek().yaml : write(wanted);
    },

    /**
     * @param {string} key
     * @param {boolean} on
     */
    offer(key, on) {
      inputs.value = inputs.value.map((entry) => (entry.key === key ? { ...entry, offered: on } : entry));
    },

    /**
     * @param {string} key
     * @param {Partial<Input>} changed keys that are undefined are taken away
     */
    change(key, changed) {
      inputs.value = inputs.value.map((entry) => (entry.key === key ? { ...entry, input: { ...entry.input, ...changed } } : entry));
    },

    /**
     * Moves an input among those that are offered in its group.
     * @param {string} key
     * @param {-1 | 1} by
     */
    move(key, by) {
      const list = [...inputs.value];
      const from = list.findIndex((entry) => entry.key === key);
      const moved = list[from];
      if (!moved) return;
      let to = from + by;
      while (list[to] && !(list[to]?.offered && samePath(list[to]?.path ?? [], moved.path))) to += by;
      if (!list[to]) return;
      list.splice(from, 1);
      list.splice(to, 0, moved);
      inputs.value = list;
    },

    /** Stops writing: the draft is gone. */
    dispose() {
      window.clearTimeout(timer);
      stopWriting();
    },
  };
}

/**
 * @param {Input} input
 * @returns {string[]} `node.field` of each field that takes the value
 */
export function boundFields(input) {
  const own = input.node_id === undefined ? [] : fieldsOf(input).map((field) => ({ node_id: input.node_id, field }));
  return (input.targets ?? own).map(({ node_id, field }) => `${node_id}.${field}`);
}

/**
 * Returns the fields of the node that take the value. A size is two.
 * @param {Input} input
 */
function fieldsOf({ type, field }) {
  return field === undefined && type === "resolution_picker" ? ["width", "height"] : [field ?? ""];
}

/**
 * Returns the inputs of the manifest, those that the server found besides, and one for each other value of the graph.
 * @param {Manifest} manifest
 * @param {Graph | null} graph
 * @param {Input[]} found
 * @param {Input[]} others
 * @returns {DraftInput[]}
 */
function allInputs(manifest, graph, found, others) {
  const own = withPaths(manifest.inputs ?? [], []).map((entry) => ({ ...entry, key: boundFields(entry.input)[0] ?? entry.input.id, detected: true, offered: true }));
  const bound = new Set([...own.flatMap(({ input }) => boundFields(input)), ...placeholders(graph ?? {})]);
  const hasSections = own.some(({ input }) => input.group !== undefined);
  const detected = found
    .map((input) => (hasSections || input.group === undefined ? input : { ...input, group: undefined }))
    .filter((input) => !boundFields(input).some((field) => bound.has(field)))
    .map((input) => ({ key: boundFields(input)[0] ?? input.id, detected: true, offered: false, input, path: [] }));
  for (const { input } of detected) boundFields(input).forEach((field) => bound.add(field));
  const ids = new Set(own.map(({ input }) => input.id));
  const all = [...own, ...[...detected, ...otherInputs(others, graph ?? {}, bound)].map((entry) => ({ ...entry, input: { ...entry.input, id: freeId(entry.input, ids) } }))];
  const keys = new Set();
  return all.map((entry) => {
    const key = keys.has(entry.key) ? `${entry.key} ${entry.input.id}` : entry.key;
    keys.add(key);
    return { ...entry, key, nodes: nodesOf(entry.input, graph ?? {}) };
  });
}

/**
 * Returns the ids of the nodes that take the value of an input, by binding or by its name in braces.
 * @param {Input} input
 * @param {Graph} graph
 */
function nodesOf(input, graph) {
  const bound = (input.targets ?? [input]).flatMap(({ node_id }) => (node_id === undefined ? [] : [String(node_id)]));
  const name = new RegExp(`\\{\\{\\s*${input.id.replace(/\W/g, "\\$&")}\\b`);
  const named = Object.entries(graph).filter(([, { inputs }]) => Object.values(inputs).some((value) => typeof value === "string" && name.test(value)));
  return [...new Set([...bound, ...named.map(([node]) => node)])];
}

/**
 * @param {InputEntry[]} entries
 * @param {InputGroup[]} path
 * @returns {{ input: Input, path: InputGroup[] }[]}
 */
function withPaths(entries, path) {
  return entries.flatMap((entry) => (isGroup(entry) ? withPaths(entry.items ?? [], [...path, entry]) : [{ input: entry, path }]));
}

/**
 * Returns inputs in their groups. A group is where the first of its inputs is.
 * @param {Pick<DraftInput, "input" | "path">[]} entries
 * @returns {InputEntry[]}
 */
function tree(entries) {
  /** @type {InputEntry[]} */
  const roots = [];
  /** @type {Map<InputGroup, InputEntry[]>} */
  const itemsOf = new Map();
  for (const { input, path } of entries) {
    let list = roots;
    for (const group of path) {
      let items = itemsOf.get(group);
      if (!items) {
        items = [];
        itemsOf.set(group, items);
        list.push({ ...group, items });
      }
      list = items;
    }
    list.push(input);
  }
  return roots;
}

/**
 * @param {InputGroup[]} a
 * @param {InputGroup[]} b
 */
function samePath(a, b) {
  return a.length === b.length && a.every((group, index) => group === b[index]);
}

/**
 * Returns the values that the text is to have: those of before, with what was changed. Keys that are new come in the order
 * in which people write them.
 * @param {Manifest} manifest
 * @param {{ id: string, name: string, category: string, description: string }} about
 * @param {InputEntry[]} inputs
 * @returns {Manifest}
 */
function valuesOf(manifest, about, inputs) {
  const { id, name, type, category, description, ...others } = manifest;
  const head = { id: about.id, name: about.name, type, category: about.category, description: about.description };
  const given = Object.entries(head).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  const written = inputs.map(inOrder);
  return { id: about.id, ...Object.fromEntries(given), ...others, ...(written.length || "inputs" in manifest ? { inputs: written } : {}) };
}

const KEYS = ["id", "type", "label", "tooltip", "group", "required", "node_id", "field", "targets", "default", "min", "max", "step", "options"];

/**
 * Returns an input with its keys in the order in which people write them, without those that are undefined or no number.
 * @param {InputEntry} entry
 * @returns {InputEntry}
 */
function inOrder(entry) {
  if (isGroup(entry)) return { ...entry, items: entry.items?.map(inOrder) };
  const keys = [...KEYS.filter((key) => key in entry), ...Object.keys(entry).filter((key) => !KEYS.includes(key))];
  const pairs = keys.map((key) => [key, /** @type {any} */ (entry)[key]]);
  return Object.fromEntries(pairs.filter(([, value]) => value !== undefined && !Number.isNaN(value)));
}

/**
 * @param {Pick<DraftInput, "input">} entry
 * @param {Record<string, Input["options"]>} options
 */
function withOptions({ input }, options) {
  const offered = input.options ?? options[input.id];
  return offered ? { ...input, options: offered } : input;
}

/**
 * Returns the fields that take a value by a name in braces.
 * @param {Graph} graph
 */
function placeholders(graph) {
  return Object.entries(graph).flatMap(([node, { inputs }]) =>
    Object.entries(inputs).flatMap(([field, value]) => (typeof value === "string" && /\{\{\s*\w/.test(value) ? [`${node}.${field}`] : [])),
  );
}

/**
 * Returns inputs for the values of the graph that no other input sets: the server's, else one with the type of the value.
 * @param {Input[]} others
 * @param {Graph} graph
 * @param {Set<string>} bound
 * @returns {Omit<DraftInput, "nodes">[]}
 */
function otherInputs(others, graph, bound) {
  const known = new Map(others.map((input) => [boundFields(input)[0], input]));
  return Object.entries(graph).flatMap(([node_id, node]) =>
    Object.entries(node.inputs).flatMap(([field, value]) => {
      const key = `${node_id}.${field}`;
      if (bound.has(key) || value === null || typeof value === "object") return [];
      const input = known.get(key) ?? { id: field, type: typeOf(value), label: titleCase(field), node_id, field, default: value };
      return [{ key, detected: false, offered: false, path: [], input }];
    }),
  );
}

/**
 * @param {unknown} value
 * @returns {Input["type"]}
 */
function typeOf(value) {
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "bigint" || Number.isInteger(value)) return "int";
  return typeof value === "number" ? "float" : "text";
}

/**
 * Returns an id that no other input has, and takes it.
 * @param {Input} input
 * @param {Set<string>} taken
 */
function freeId(input, taken) {
  let id = input.id;
  if (taken.has(id)) id = `${input.id}_${input.node_id ?? input.targets?.[0]?.node_id ?? ""}`.replace(/[^\w-]/g, "_");
  for (let number = 2; taken.has(id); number++) id = `${input.id}_${number}`;
  taken.add(id);
  return id;
}

/** @param {string} field */
function titleCase(field) {
  const words = field.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Returns what keeps a draft from being a workflow.
 * @param {string} id
 * @param {DraftInput[]} offered
 * @returns {{ kind: "id" | "input" | "number" | "twice", name: string }[]}
 */
function problemsOf(id, offered) {
  /** @type {{ kind: "id" | "input" | "number" | "twice", name: string }[]} */
  const problems = [];
  if (!/^[A-Za-z0-9._-]+$/.test(id)) problems.push({ kind: "id", name: id });
  const seen = new Set();
  for (const { input } of offered) {
    if (!input.id || input.id.startsWith("_")) problems.push({ kind: "input", name: labelOf(input) });
    if ([input.min, input.max, input.step].some(Number.isNaN)) problems.push({ kind: "number", name: labelOf(input) });
    if (seen.has(input.id)) problems.push({ kind: "twice", name: input.id });
    seen.add(input.id);
  }
  return problems;
}
