// Jobs: list, record, files, cancel, retry, delete, and the queue.
import { request, withQuery } from "./client.js";

/** @import { ComfyUis, JobFiles, JobList, JobRecord, JobSummary, Progress, Queue, Submitted } from "./types.js" */

/**
 * @typedef {object} JobsFilter
 * @property {string} [status]
 * @property {string} [workflow_id]
 * @property {number} [limit]
 * @property {string | null} [cursor]
 */

/**
 * @param {JobsFilter} filter
 * @param {AbortSignal} [signal]
 * @returns {Promise<JobList>}
 */
export function listJobs(filter, signal) {
  return request("GET", withQuery("/api/jobs", { ...filter }), { signal });
}

/**
 * Returns the entry of a job in the list: the record without the graph.
 * @param {string} id
 * @returns {Promise<JobSummary | undefined>}
 */
export async function getSummary(id) {
  /** @type {JobList} */
  const list = await request("GET", withQuery("/api/jobs", { prompt_id_prefix: id, limit: 1 }));
  return list.jobs[0];
}

/**
 * @param {string} id
 * @returns {Promise<JobRecord>}
 */
export function getRecord(id) {
  return request("GET", `/api/jobs/${encodeURIComponent(id)}`);
}

/**
 * @param {string} id
 * @returns {Promise<Progress>}
 */
export function getStatus(id) {
  return request("GET", `/api/run/status/${encodeURIComponent(id)}`);
}

/**
 * @param {string} id
 * @returns {Promise<JobFiles>}
 */
export function getFiles(id) {
  return request("GET", `/api/jobs/${encodeURIComponent(id)}/files`);
}

/**
 * @param {string} id
 * @returns {Promise<{ status: import("./types.js").Status }>}
 */
export function cancelJob(id) {
  return request("POST", `/api/run/cancel/${encodeURIComponent(id)}`);
}

/**
 * @param {string} id
 * @returns {Promise<Submitted>}
 */
export function retryJob(id) {
  return request("POST", `/api/jobs/${encodeURIComponent(id)}/retry`);
}

/**
 * @param {string} id
 * @returns {Promise<null>}
 */
export function deleteJob(id) {
  return request("DELETE", `/api/jobs/${encodeURIComponent(id)}`);
}

/** @returns {Promise<Queue>} */
export function getQueue() {
  return request("GET", "/api/queue");
}

/**
 * Returns the address of a job's ZIP.
 * @param {string} id
 */
export function packageUrl(id) {
  return `/api/jobs/${encodeURIComponent(id)}/package`;
}

/** @returns {Promise<ComfyUis>} */
export function listComfyUis() {
  return request("GET", "/api/comfyui");
}

/**
 * Says whether a ComfyUI gets more jobs.
 * @param {string} name
 * @param {boolean} draining
 */
export function setDraining(name, draining) {
  return request("POST", `/api/comfyui/${encodeURIComponent(name)}/${draining ? "drain" : "resume"}`);
}
