// The prefixes of file names as the author of a workflow wrote them. The graph of a job has the job's own folder in their place,
// where files of other runs would land.
import { getGraph, getManifest } from "../../api/workflows.js";

/** @typedef {Record<string, { inputs: Record<string, any> }>} Graph */

/** What the server writes in place of a prefix. The part after the folder serves where the author's prefix is not known. */
const IN_FOLDER = /^\d{8}_\d{6}_[0-9a-f]{6}\/((final|intermediate)\/\2)$/;

/**
 * Returns the graph as the author wrote it; null for a workflow of blocks, which has none before it runs.
 * @param {string} workflowId of the library
 * @returns {Promise<Graph | null>}
 */
export async function authorGraph(workflowId) {
  const { manifest } = await getManifest(workflowId);
  return manifest.type === "dynamic" ? null : getGraph(workflowId);
}

/**
 * Returns the graph of a job with the author's prefixes.
 * @param {Graph} graph
 * @param {Graph | null} author
 * @returns {Graph}
 */
export function withAuthorPrefixes(graph, author) {
  const nodes = Object.entries(graph).map(([id, node]) => {
    const inputs = Object.entries(node.inputs).map(([field, value]) => [field, authorPrefix(value, author?.[id]?.inputs[field])]);
    return [id, { ...node, inputs: Object.fromEntries(inputs) }];
  });
  return Object.fromEntries(nodes);
}

/**
 * Returns a graph in the format of ComfyUI's editor with the author's prefixes.
 * @param {{ nodes?: { id: any, widgets_values?: any }[] }} graph
 * @param {Graph | null} author
 */
export function editorGraphWithAuthorPrefixes(graph, author) {
  const nodes = graph.nodes?.map((node) => {
    const values = node.widgets_values;
    if (typeof values !== "object" || values === null) return node;
    const replaced = (/** @type {any} */ value) => authorPrefix(value, author?.[String(node.id)]?.inputs.filename_prefix);
    const widgets_values = Array.isArray(values) ? values.map(replaced) : Object.fromEntries(Object.entries(values).map(([name, value]) => [name, replaced(value)]));
    return { ...node, widgets_values };
  });
  return { ...graph, nodes };
}

/**
 * @param {any} value of the job
 * @param {any} written by the author
 */
function authorPrefix(value, written) {
  const own = typeof value === "string" ? IN_FOLDER.exec(value)?.[1] : undefined;
  if (own === undefined) return value;
  return typeof written === "string" && !written.includes("{{") ? written : own;
}
