// What runs now, and what waits.
import { useEffect } from "preact/hooks";
import { Empty, FailedPage, LoadingPage } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { queue, queueError, refreshQueue } from "../../state/queue.js";
import { JobRow } from "../jobs/job-row.js";
import { Machines } from "./machines.js";

export function QueueView() {
  const data = queue.value;
  const error = queueError.value;
  useEffect(() => void refreshQueue(), []);
  useEffect(() => {
    document.title = `${t("nav.queue")} · comfy-runner`;
  });
  if (error && !data) return html`<${FailedPage} title=${t("nav.queue")} error=${error} onRetry=${refreshQueue} />`;
  if (!data) return html`<${LoadingPage} title=${t("nav.queue")} />`;
  const running = data.jobs.filter((job) => job.status === "running");
  const waiting = data.jobs.filter((job) => job.status !== "running");
  const others = data.running + data.pending - data.jobs.length;
  return html`<div class="page">
    <div class="page-head"><h1>${t("nav.queue")}</h1></div>
    ${error && html`<p class="note error" role="alert">${error.message}</p>`}
    ${data.jobs.length === 0 && others <= 0 && html`<${Empty} icon="check" title=${t("queue.empty")}>${t("queue.emptyText")}</${Empty}>`}
    <${Section} title=${t("queue.running")} jobs=${running} />
    <${Section} title=${t("queue.waiting")} jobs=${waiting} />
    <${Machines} />
    ${others > 0 && html`<p class="note">${t("queue.others", { count: others })}</p>`}
  </div>`;
}

/** @param {{ title: string, jobs: import("../../api/types.js").QueuedJob[] }} props */
function Section({ title, jobs }) {
  if (jobs.length === 0) return null;
  return html`<section>
    <h2>${title} <span class="count">${jobs.length}</span></h2>
    <ul class="job-rows">${jobs.map((job) => html`<li key=${job.prompt_id} class="job-item"><${JobRow} id=${job.prompt_id} onDeleted=${() => {}} /></li>`)}</ul>
  </section>`;
}
