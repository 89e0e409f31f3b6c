// Workflows: list, manifest, check, run and build.
import { request, withQuery } from "./client.js";

/** @import { Inspection, Manifest, Submitted, WorkflowCheck, WorkflowSummary } from "./types.js" */

/** @returns {Promise<WorkflowSummary[]>} */
export function listWorkflows() {
  return request("GET", "/api/workflows");
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
