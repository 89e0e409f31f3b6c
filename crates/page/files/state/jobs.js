// What is known of jobs: each is a signal, so that a change draws only what shows that job.
import { signal } from "@preact/signals";
import { getSummary } from "../api/jobs.js";
import { oneAtATime } from "./one-at-a-time.js";

/** @import { JobEvent, JobSummary, Progress, Status } from "../api/types.js" */

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {JobSummary | null} summary null until it has been fetched
 * @property {Progress | null} progress the latest state that was reported, for a job that is not over
 */

/** @type {Map<string, import("@preact/signals").Signal<Job>>} */
const jobs = new Map();

/** @typedef {(id: string, workflowId: string | null) => void} QueuedListener */

/** @type {Set<QueuedListener>} */
const queuedListeners = new Set();

/** @typedef {(workflowId: string | null) => void} EndedListener */

/** @type {Set<EndedListener>} */
const endedListeners = new Set();

/** Counts the jobs that were queued, ended, were deleted or may have changed unnoticed: lists look again. */
export const changes = signal(0);

/**
 * Calls a function for each job that is queued, in their order, until the returned function is called. A signal would not do:
 * of several values between two renderings only the last is seen.
 * @param {QueuedListener} listener
 */
export function onQueued(listener) {
  queuedListeners.add(listener);
  return () => void queuedListeners.delete(listener);
}

/**
 * Calls a function for each job that ends, with its workflow, until the returned function is called; with null when jobs may
 * have ended unnoticed.
 * @param {EndedListener} listener
 */
export function onEnded(listener) {
  endedListeners.add(listener);
  return () => void endedListeners.delete(listener);
}

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
  void fetchSummary(id);
  if (event.type === "job.queued") for (const listener of queuedListeners) listener(id, workflowId);
  else if (event.type !== "job.started") for (const listener of endedListeners) listener(workflowId);
  if (event.type !== "job.started") changes.value += 1;
}

/**
 * What fetches the entry of each job.
 * @type {Map<string, () => Promise<void>>}
 */
const fetches = new Map();

/**
 * Fetches the entry of a job, once more if it is asked for meanwhile.
 * @param {string} id
 * @returns {Promise<void>}
 */
export function fetchSummary(id) {
  let fetchIt = fetches.get(id);
  if (!fetchIt) {
    fetchIt = oneAtATime(async () => {
      try {
        const summary = await getSummary(id);
        if (summary) takeSummaries([summary]);
      } catch {
        // The connection is shown as lost by the live state; the entry is fetched again when it is back.
      }
    });
    fetches.set(id, fetchIt);
  }
  return fetchIt();
}

/** Fetches every job again that was not over when it was last heard of. */
export function refreshOpenJobs() {
  for (const [id, job] of jobs) {
    if (!isOver(statusOf(job.peek()))) void fetchSummary(id);
  }
  for (const listener of endedListeners) listener(null);
  changes.value += 1;
}

/** @param {string} id */
export function forget(id) {
  jobs.delete(id);
  fetches.delete(id);
  changes.value += 1;
}
