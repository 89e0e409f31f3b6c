// What is known of jobs: each is a signal, so that a change draws only what shows that job.
import { signal } from "@preact/signals";
import { getSummary } from "../api/jobs.js";

/** @import { JobEvent, JobSummary, Progress, Status } from "../api/types.js" */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {JobSummary | null} summary null until it has been fetched
 * @property {Progress | null} progress the latest state that was reported, for a job that is not over
 */

/** @type {Map<string, import("@preact/signals").Signal<Job>>} */
const jobs = new Map();

/** The latest job that was queued, for lists that show it. */
export const latestQueued = signal(/** @type {{ id: string, workflowId: string | null } | null} */ (null));

/** Counts the jobs that ended, were deleted or may have changed unnoticed: lists and counters look again. */
export const changes = signal(0);

/**
 * Returns the signal of a job.
 * @param {string} id
 */
export function jobSignal(id) {
  let job = jobs.get(id);
  if (!job) {
    job = signal({ id, summary: null, progress: null });
    jobs.set(id, job);
  }
  return job;
}

/**
 * Returns the status of a job, the newest that is known; null when nothing is.
 * @param {Job} job
 * @returns {Status | null}
 */
export function statusOf(job) {
  const recorded = job.summary?.status ?? null;
  if (recorded && isOver(recorded)) return recorded;
  return job.progress?.status ?? recorded;
}

/** @param {Status | null} status */
export function isOver(status) {
  return status === "completed" || status === "error" || status === "cancelled";
}

/**
 * Takes entries of a list.
 * @param {JobSummary[]} summaries
 */
export function takeSummaries(summaries) {
  for (const summary of summaries) {
    const job = jobSignal(summary.prompt_id);
    job.value = { ...job.value, summary };
  }
}

/**
 * Takes the state of a job that was reported live.
 * @param {string} id
 * @param {Progress} progress
 */
export function takeProgress(id, progress) {
  const job = jobSignal(id);
  const before = statusOf(job.value);
  job.value = { ...job.value, progress };
  if (!job.value.summary || before !== progress.status) void fetchSummary(id);
}

/**
 * Takes an event.
 * @param {JobEvent} event
 */
export function takeEvent(event) {
  const { prompt_id: id, workflow_id: workflowId } = event.data;
  if (event.type === "job.queued") latestQueued.value = { id, workflowId };
  void fetchSummary(id);
  if (isOver(event.data.status)) changes.value += 1;
}

/** @type {Set<string>} */
const fetching = new Set();
/** @type {Set<string>} */
const again = new Set();

/**
 * Fetches the entry of a job, once more if it is asked for meanwhile.
 * @param {string} id
 * @returns {Promise<void>}
 */
export async function fetchSummary(id) {
  if (fetching.has(id)) {
    again.add(id);
    return;
  }
  fetching.add(id);
  try {
    const summary = await getSummary(id);
    if (summary) takeSummaries([summary]);
  } catch {
    // The connection is shown as lost by the live state; the entry is fetched again when it is back.
  } finally {
    fetching.delete(id);
  }
  if (again.delete(id)) await fetchSummary(id);
}

/** Fetches every job again that was not over when it was last heard of. */
export function refreshOpenJobs() {
  for (const [id, job] of jobs) {
    if (!isOver(statusOf(job.peek()))) void fetchSummary(id);
  }
  changes.value += 1;
}

/** @param {string} id */
export function forget(id) {
  jobs.delete(id);
  changes.value += 1;
}
