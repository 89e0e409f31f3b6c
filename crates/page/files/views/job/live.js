// A job that waits or runs: its place in the queue, its preview, its progress, and cancel.
import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { cancelJob } from "../../api/jobs.js";
import { Button } from "../../components/button.js";
import { Icon } from "../../components/icon.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { fetchSummary, statusOf } from "../../state/jobs.js";
import { duration } from "../../state/clock.js";
import { isDown, useMachines } from "../../state/machines.js";
import { notifyError } from "../../state/notices.js";
import { usePreview } from "../../state/preview.js";
import { queue } from "../../state/queue.js";

/** A shorter time left is written as 0.0 s. */
const SHORTEST_LEFT = 0.05;

/** From this percentage on, such a time is true. */
const NEAR_END = 95;

/** @param {{ id: string, job: import("../../state/jobs.js").Job }} props */
export function Live({ id, job }) {
  const running = statusOf(job) === "running";
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const preview = usePreview(id, running, canvas);
  const machines = useMachines();
  // Before it is known who has the job, nothing is said of it.
  const silent = job.summary !== null && isDown(machines, job.summary.comfyui);
  const cancelling = useSignal(false);
  const cancel = async () => {
    cancelling.value = true;
    try {
      await cancelJob(id);
      await fetchSummary(id);
    } catch (error) {
      notifyError(error);
    } finally {
      cancelling.value = false;
    }
  };
  const percent = Math.round(job.progress?.percent ?? 0);
  return html`<div class="live">
    <div class="live-picture"><canvas ref=${canvas} role="img" aria-label=${t("live.preview")} hidden=${!preview}></canvas>${!preview && html`<span class="live-placeholder"><${Icon} name=${running ? "image" : "queue"} /></span>`}</div>
    <div class="live-status">
      <div class="live-line">
        <span class="live-node">${silent ? t("live.silent") : running ? (job.progress?.node_title ?? t("status.running")) : html`<${Place} id=${id} />`}</span>
        <${Button} icon="stop" kind="danger" busy=${cancelling.value} onClick=${cancel}>${t("live.cancel")}</${Button}>
      </div>
      <progress max="100" value=${running ? percent : undefined} aria-label=${t("live.progress")}></progress>
      ${running && html`<${Numbers} progress=${job.progress} percent=${percent} silent=${silent} />`}
    </div>
  </div>`;
}

/**
 * @param {object} props
 * @param {import("../../api/types.js").Progress | null} props.progress
 * @param {number} props.percent
 * @param {boolean} props.silent whether nothing is heard of the job: then it is not known how fast it is
 */
function Numbers({ progress, percent, silent }) {
  const rate = silent ? null : progress?.step_rate;
  const left = silent ? null : progress?.eta_seconds;
  // The first steps say little of those that follow.
  const isBelieved = left != null && (left >= SHORTEST_LEFT || percent >= NEAR_END);
  return html`<div class="live-numbers">
    <span>${percent} %</span>
    ${progress?.total_steps ? html`<span>${t("live.step", { step: progress.step ?? 0, total: progress.total_steps })}</span>` : null}
    ${rate ? html`<span>${rate >= 1 ? t("live.rate", { rate: rate.toFixed(1) }) : t("live.slowRate", { rate: (1 / rate).toFixed(1) })}</span>` : null}
    ${isBelieved && html`<span>${t("live.left", { time: duration(left) })}</span>`}
    ${progress?.effective_total ? html`<span>${t("live.nodes", { done: progress.nodes_done ?? 0, total: progress.effective_total })}</span>` : null}
  </div>`;
}

/** How many jobs are before this one. */
/** @param {{ id: string }} props */
function Place({ id }) {
  const position = queue.value?.jobs.find((job) => job.prompt_id === id)?.position;
  return position ? t("live.place", { count: position }) : t("status.pending");
}
