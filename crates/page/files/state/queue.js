// What runs and what waits, as the server last said. All that shows a part of it shares one answer.
import { signal } from "@preact/signals";
import { getQueue } from "../api/jobs.js";
import { takeSummaries } from "./jobs.js";
import { oneAtATime } from "./one-at-a-time.js";

/** @import { Queue } from "../api/types.js" */

/** The latest answer; null before the first. */
export const queue = signal(/** @type {Queue | null} */ (null));

/** Why the latest attempt failed; null when it did not. */
export const queueError = signal(/** @type {Error | null} */ (null));

/** Asks for the queue again: something in it may have changed. */
export const refreshQueue = oneAtATime(async () => {
  try {
    const answer = await getQueue();
    takeSummaries(answer.jobs);
    queue.value = answer;
    queueError.value = null;
  } catch (error) {
    queueError.value = error instanceof Error ? error : new Error(String(error));
  }
});
