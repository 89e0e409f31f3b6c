// A workflow that is being made of a graph: its inputs in order, which of them are offered, and the files that it becomes.
import { computed, signal } from "@preact/signals";
import { flatInputs, labelOf } from "../../form/inputs.js";
import { inputYaml, yamlValue } from "./yaml.js";

/** @import { Input, Inspection, Manifest } from "../../api/types.js" */

/**
 * @typedef {object} DraftInput
 * @property {string} key
 * @property {boolean} detected whether the server found it, so that it stays in sight when it is not offered
 * @property {boolean} offered
 * @property {Input} input
 */

/** @typedef {ReturnType<typeof createDraft>} Draft */
/** @typedef {Record<string, { class_type: string, inputs: Record<string, any>, _meta?: { title?: string } }>} Graph */

/** @param {Inspection} inspection */
export function createDraft(inspection) {
  const { manifest, yaml, findings } = inspection;
  const graph = /** @type {Graph} */ (inspection.graph);
  const detected = flatInputs(manifest.inputs).map((input) => ({ key: keyOf(input), detected: true, offered: true, input }));
  const others = otherInputs(yaml, graph, new Set(flatInputs(manifest.inputs).flatMap(boundFields)));
  const inputs = signal(/** @type {DraftInput[]} */ ([...detected, ...others]));
  const about = signal({ id: manifest.id, name: manifest.name ?? manifest.id, category: manifest.category ?? "", description: manifest.description ?? "" });
  const offered = computed(() => inputs.value.filter((entry) => entry.offered).map((entry) => entry.input));

  return {
    graph,
    findings,
    inputs,
    about,
    offered,
    /** The manifest as a form reads it. */
    manifest: computed(/** @returns {Manifest} */ () => ({ ...manifest, ...about.value, presets: undefined, inputs: offered.value })),
    /** The text of `manifest.yaml`. */
    yaml: computed(() => manifestYaml(yaml, about.value, offered.value, graph)),
    problems: computed(() => problemsOf(about.value.id, offered.value)),

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
     * Moves an input among those that are offered.
     * @param {string} key
     * @param {-1 | 1} by
     */
    move(key, by) {
      const list = [...inputs.value];
      const from = list.findIndex((entry) => entry.key === key);
      let to = from + by;
      while (list[to] && !list[to]?.offered) to += by;
      const [moved] = list.splice(from, 1);
      if (moved) list.splice(Math.min(Math.max(to, 0), list.length), 0, moved);
      inputs.value = list;
    },
  };
}

/**
 * @param {Input} input
 * @returns {string[]} `node.field` of each field that takes the value
 */
export function boundFields(input) {
  const targets = input.targets ?? (input.node_id === undefined ? [] : [{ node_id: input.node_id, field: input.field }]);
  return targets.map(({ node_id, field }) => `${node_id}.${field}`);
}

/** @param {Input} input */
function keyOf(input) {
  return boundFields(input)[0] ?? input.id;
}

/**
 * Returns inputs for the values of the graph that are not offered yet: with the type that the server found where its YAML
 * lists them, else with the type of the value.
 * @param {string} yaml
 * @param {Graph} graph
 * @param {Set<string>} bound
 * @returns {DraftInput[]}
 */
function otherInputs(yaml, graph, bound) {
  const types = listedTypes(yaml);
  const found = Object.entries(graph).flatMap(([node_id, node]) =>
    Object.entries(node.inputs).flatMap(([field, value]) => {
      const key = `${node_id}.${field}`;
      if (bound.has(key) || value === null || typeof value === "object") return [];
      const type = types.get(key) ?? (typeof value === "boolean" ? "boolean" : typeof value === "number" ? (Number.isInteger(value) ? "int" : "float") : "text");
      const label = titleCase(field);
      return [{ key, detected: false, offered: false, input: { id: field, type, label, node_id, field, default: value } }];
    }),
  );
  const taken = new Map();
  return found.map((entry) => {
    const count = (taken.get(entry.input.id) ?? 0) + 1;
    taken.set(entry.input.id, count);
    return count === 1 ? entry : { ...entry, input: { ...entry.input, id: `${entry.input.id}_${entry.input.node_id}`.replace(/[^\w-]/g, "_") } };
  });
}

/**
 * Returns the types in the lines that the server wrote as comments: `#  - {id: width, type: int, node_id: 1, field: width, ...}`.
 * @param {string} yaml
 */
function listedTypes(yaml) {
  const lines = yaml.matchAll(/^#\s+- \{id: [^,]+, type: (\w+), node_id: "?([^",]+)"?, field: "?([^",}]+)"?/gm);
  return new Map([...lines].map(([, type, node, field]) => [`${node}.${field}`, type ?? "text"]));
}

/** @param {string} field */
function titleCase(field) {
  const words = field.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Returns the manifest: what the server wrote, with the inputs as they are now.
 * @param {string} yaml
 * @param {{ id: string, name: string, category: string, description: string }} about
 * @param {Input[]} inputs
 * @param {Graph} graph
 */
function manifestYaml(yaml, about, inputs, graph) {
  const lines = yaml.split("\n");
  const rest = lines.slice(lines.findIndex((line) => /^outputs:/.test(line)));
  const hasRest = lines.some((line) => /^outputs:/.test(line));
  const head = ["id", "name", "type", "category", "description"].flatMap((key) => {
    const value = key === "type" ? "static" : /** @type {any} */ (about)[key];
    return value ? [`${key}: ${yamlValue(value)}`] : [];
  });
  const blocks = inputs.map((input) => inputYaml(input, nodeComment(input, graph)));
  return [...head, "", inputs.length ? "inputs:" : "inputs: []", blocks.join("\n\n"), "", ...(hasRest ? rest : [])].join("\n").replace(/\n{3,}/g, "\n\n").trimEnd() + "\n";
}

/**
 * @param {Input} input
 * @param {Graph} graph
 */
function nodeComment(input, graph) {
  const node = String(input.node_id ?? input.targets?.[0]?.node_id ?? "");
  const title = graph[node]?._meta?.title ?? graph[node]?.class_type;
  return title ? `node ${node}, ${title.replaceAll("\n", " ")}` : "";
}

/**
 * Returns what keeps a draft from being a workflow.
 * @param {string} id
 * @param {Input[]} inputs
 * @returns {{ kind: "id" | "input" | "twice", name: string }[]}
 */
function problemsOf(id, inputs) {
  /** @type {{ kind: "id" | "input" | "twice", name: string }[]} */
  const problems = [];
  if (!/^[A-Za-z0-9._-]+$/.test(id)) problems.push({ kind: "id", name: id });
  const seen = new Set();
  for (const input of inputs) {
    if (!input.id || input.id.startsWith("_")) problems.push({ kind: "input", name: labelOf(input) });
    if (seen.has(input.id)) problems.push({ kind: "twice", name: input.id });
    seen.add(input.id);
  }
  return problems;
}
