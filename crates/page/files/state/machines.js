// The ComfyUIs behind the server, as it last said. All that shows a part of it shares one answer.
import { signal } from "@preact/signals";
import { listComfyUis } from "../api/jobs.js";
import { useRefresh } from "../components/refresh.js";
import { oneAtATime } from "./one-at-a-time.js";
import { queue } from "./queue.js";

/** @import { ComfyUis } from "../api/types.js" */

const machines = signal(/** @type {ComfyUis | null} */ (null));

/** Asks for the ComfyUIs again. */
export const refreshMachines = oneAtATime(async () => {
  try {
    machines.value = await listComfyUis();
  } catch {
    // The connection is shown as lost by the live state.
  }
});

/** Returns the ComfyUIs; null before the first answer. They are asked for again while a component uses them. */
export function useMachines() {
  useRefresh(refreshMachines, [queue.value]);
  return machines.value;
}

/**
 * Whether the ComfyUI that has a job does not answer; none does, for a job that waits for one.
 * @param {ComfyUis | null} known
 * @param {string | null} comfyui
 */
export function isDown(known, comfyui) {
  const those = (known?.comfyuis ?? []).filter(({ name }) => comfyui === null || name === comfyui);
  return those.length > 0 && those.every(({ status }) => status === "down");
}
