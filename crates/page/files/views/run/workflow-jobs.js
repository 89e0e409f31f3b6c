// The jobs of a workflow, newest first, and the one that is shown.
import { useEffect, useMemo } from "preact/hooks";
import { signal } from "@preact/signals";
import { listJobs } from "../../api/jobs.js";
import { isOver, onQueued, takeSummaries } from "../../state/jobs.js";
import { notifyError } from "../../state/notices.js";

/** @import { JobList } from "../../api/types.js" */
/** @typedef {ReturnType<typeof createWorkflowJobs>} WorkflowJobs */

const PAGE = 30;

/** @param {string} workflowId */
function createWorkflowJobs(workflowId) {
  const ids = signal(/** @type {string[] | null} */ (null));
  const selected = signal(/** @type {string | null} */ (null));
  const cursor = signal(/** @type {string | null} */ (null));
  /** Whether the shown job follows the newest one. */
  let following = true;

  /**
   * Returns the job that runs, which may be older than those of the first page.
   * @param {JobList} page
   */
  async function findRunning({ jobs, next_cursor: next }) {
    const listed = jobs.find((job) => job.status === "running");
    if (listed || next === null || jobs.some((job) => isOver(job.status))) return listed?.prompt_id;
    const older = await listJobs({ workflow_id: workflowId, status: "running", limit: 1 });
    takeSummaries(older.jobs);
    return older.jobs[0]?.prompt_id;
  }

  return {
    ids,
    selected,
    cursor,
    async load() {
      try {
        const page = await listJobs({ workflow_id: workflowId, limit: PAGE });
        takeSummaries(page.jobs);
        const listed = page.jobs.map((job) => job.prompt_id);
        // Jobs that were queued while the list was on its way are not in it.
        ids.value = [...(ids.value ?? []).filter((id) => !listed.includes(id)), ...listed];
        cursor.value = page.next_cursor;
        if (selected.value !== null) return;
        const running = await findRunning(page);
        if (running && !ids.value.includes(running)) ids.value = [...ids.value, running];
        selected.value ??= running ?? ids.value[0] ?? null;
        following = selected.value === (ids.value[0] ?? null);
      } catch (error) {
        ids.value ??= [];
        notifyError(error);
      }
    },
    async more() {
      const page = await listJobs({ workflow_id: workflowId, limit: PAGE, cursor: cursor.value });
      takeSummaries(page.jobs);
      const known = new Set(ids.value);
      ids.value = [...(ids.value ?? []), ...page.jobs.map((job) => job.prompt_id).filter((id) => !known.has(id))];
      cursor.value = page.next_cursor;
    },
    /** @param {string} id */
    add(id) {
      if (ids.value?.includes(id)) return;
      ids.value = [id, ...(ids.value ?? [])];
      if (following || !selected.value) selected.value = id;
    },
    /**
     * Takes jobs that were submitted here, in the order in which they run, and shows the first.
     * @param {string[]} submitted
     */
    submitted(submitted) {
      for (const id of submitted) this.add(id);
      if (submitted[0]) this.select(submitted[0]);
    },
    /**
     * Shows a job.
     * @param {string} id
     */
    select(id) {
      if (!ids.value?.includes(id)) ids.value = [id, ...(ids.value ?? [])];
      selected.value = id;
      following = ids.value[0] === id;
    },
    /** @param {string} id */
    remove(id) {
      ids.value = (ids.value ?? []).filter((other) => other !== id);
      if (selected.value === id) selected.value = ids.value[0] ?? null;
    },
  };
}

/**
 * Follows the jobs of a workflow, also those that another page or program starts.
 * @param {string} workflowId
 */
export function useWorkflowJobs(workflowId) {
  const jobs = useMemo(() => createWorkflowJobs(workflowId), [workflowId]);
  useEffect(() => void jobs.load(), [jobs]);
  useEffect(() => onQueued((id, queuedOf) => queuedOf === workflowId && jobs.add(id)), [jobs]);
  return jobs;
}
