// The ids of the jobs that a list shows, fetched page by page.
import { signal } from "@preact/signals";
import { listJobs } from "../../api/jobs.js";
import { takeSummaries } from "../../state/jobs.js";

const PAGE = 50;

/** @param {{ status: string, workflow_id: string }} filter */
export function createJobList(filter) {
  const ids = signal(/** @type {string[] | null} */ (null));
  const error = signal(/** @type {Error | null} */ (null));
  const done = signal(false);
  let cursor = /** @type {string | null} */ (null);
  let fetching = false;
  let refreshAgain = false;

  /** @param {string | null} from */
  async function page(from) {
    const { jobs, next_cursor } = await listJobs({ ...filter, limit: PAGE, cursor: from });
    takeSummaries(jobs);
    return { found: jobs.map((job) => job.prompt_id), next: next_cursor };
  }

  return {
    ids,
    error,
    done,

    /** Fetches the next page. */
    async more() {
      if (fetching || done.value) return;
      fetching = true;
      error.value = null;
      try {
        const { found, next } = await page(cursor);
        const known = new Set(ids.value);
        ids.value = [...(ids.value ?? []), ...found.filter((id) => !known.has(id))];
        cursor = next;
        done.value = next === null;
      } catch (failed) {
        error.value = failed instanceof Error ? failed : new Error(String(failed));
      } finally {
        fetching = false;
      }
      if (refreshAgain) await this.refresh();
    },

    /** Fetches the first page again, and puts what is new on top. */
    async refresh() {
      if (!ids.value) return;
      refreshAgain = fetching;
      if (fetching) return;
      fetching = true;
      try {
        const { found } = await page(null);
        const first = new Set(found);
        ids.value = [...found, ...(ids.value ?? []).filter((id) => !first.has(id))];
      } catch {
        // The list stays as it is; the shell shows that the connection is lost.
      } finally {
        fetching = false;
      }
      if (refreshAgain) await this.refresh();
    },

    /** @param {string} id */
    remove(id) {
      ids.value = (ids.value ?? []).filter((other) => other !== id);
    },
  };
}
