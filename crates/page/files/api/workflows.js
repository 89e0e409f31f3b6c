// Workflows: list, manifest, check, run and build; adding and editing them.
import { request, send, withQuery } from "./client.js";

/** @import { BrokenWorkflow, EditedManifest, Inspection, Manifest, Submitted, WorkflowCheck, WorkflowSummary } from "./types.js" */

/** @returns {Promise<WorkflowSummary[]>} */
export function listWorkflows() {
  return request("GET", "/api/workflows");
}

/**
 * Returns the workflows that cannot be used because of their files.
 * @returns {Promise<BrokenWorkflow[]>}
 */
export function listBrokenWorkflows() {
  return request("GET", "/api/broken-workflows");
}

/**
 * Returns the manifest with the options of pickers; without them when ComfyUI does not answer.
 * @param {string} id
 * @returns {Promise<{ manifest: Manifest, optionsMissing: string | null }>}
 */
export async function getManifest(id) {
  const path = `/api/run/${encodeURIComponent(id)}`;
  try {
    return { manifest: await request("GET", `${path}?resolve=true`), optionsMissing: null };
  } catch (error) {
    if (!(error instanceof Error) || !("status" in error) || error.status !== 500) throw error;
    return { manifest: await request("GET", path), optionsMissing: error.message };
  }
}

/**
 * @param {string} id
 * @returns {Promise<WorkflowCheck>}
 */
export function checkWorkflow(id) {
  return request("GET", `/api/workflows/${encodeURIComponent(id)}/check`);
}

/**
 * @param {string} id
 * @param {Record<string, any>} params
 * @returns {Promise<Submitted>}
 */
export function execute(id, params) {
  return request("POST", `/api/run/${encodeURIComponent(id)}/execute`, { json: { params } });
}

/**
 * Returns the graph for these parameters.
 * @param {string} id
 * @param {Record<string, any>} params
 * @param {"api" | "workflow"} format
 * @returns {Promise<any>}
 */
export function build(id, params, format) {
  return request("POST", withQuery(`/api/run/${encodeURIComponent(id)}/build`, { format }), { json: { params } });
}

/**
 * Returns the workflow that a file of ComfyUI would become.
 * @param {File} file
 * @param {string} id
 * @returns {Promise<Inspection>}
 */
export function inspect(file, id) {
  const form = new FormData();
  form.append("file", file);
  return request("POST", withQuery("/api/workflows/inspect", { id }), { form });
}

/**
 * Adds a workflow to the library.
 * @param {string} id
 * @param {string} manifest the text of `manifest.yaml`
 * @param {Record<string, any>} graph
 * @returns {Promise<WorkflowCheck>}
 */
export function addWorkflow(id, manifest, graph) {
  return request("PUT", `/api/workflows/${encodeURIComponent(id)}`, { json: { manifest, graph } });
}

/**
 * Returns the text of a manifest, with the tag that names it.
 * @param {string} id
 * @returns {Promise<{ text: string, etag: string }>}
 */
export async function getManifestText(id) {
  const response = await send("GET", `/api/workflows/${encodeURIComponent(id)}/manifest`);
  return { text: await response.text(), etag: response.headers.get("ETag") ?? "" };
}

/**
 * Replaces a manifest, if its text is still the one that `etag` names.
 * @param {string} id
 * @param {string} text
 * @param {string} etag
 * @returns {Promise<WorkflowCheck>}
 */
export function replaceManifest(id, text, etag) {
  const headers = { "Content-Type": "application/yaml", "If-Match": etag };
  return request("PUT", `/api/workflows/${encodeURIComponent(id)}/manifest`, { text, headers });
}

/**
 * Returns the graph of a workflow.
 * @param {string} id
 * @returns {Promise<Record<string, any>>}
 */
export function getGraph(id) {
  return request("GET", `/api/workflows/${encodeURIComponent(id)}/graph`);
}

/**
 * Returns the text of a manifest with other values, or the values that it has.
 * @param {string} yaml
 * @param {Manifest} [manifest]
 * @returns {Promise<EditedManifest>}
 */
export function editManifest(yaml, manifest) {
  return request("POST", "/api/manifest/edit", { json: { yaml, manifest } });
}

/**
 * Runs a workflow that is not in the library.
 * @param {string} manifest the text of `manifest.yaml`
 * @param {Record<string, any>} graph
 * @param {Record<string, any>} params
 * @returns {Promise<Submitted>}
 */
export function executeUnsaved(manifest, graph, params) {
  return request("POST", "/api/manifest/execute", { json: { manifest, graph, params } });
}
