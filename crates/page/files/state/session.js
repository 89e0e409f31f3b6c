// What this reader may do.
import { signal } from "@preact/signals";
import { getSession } from "../api/session.js";

/** @import { Session } from "../api/types.js" */

/** Null until the server has said it. */
export const session = signal(/** @type {Session | null} */ (null));

/** Asks the server. Without an answer, nothing is offered that needs permission. */
export async function fetchSession() {
  try {
    session.value = await getSession();
  } catch {
    // The views show that the server does not answer.
  }
}
