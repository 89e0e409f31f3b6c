// A job in a list: picture, workflow, status or progress, times, and what can be done with it.
import { useSignal } from "@preact/signals";
import { cancelJob, deleteJob, retryJob } from "../../api/jobs.js";
import { Button } from "../../components/button.js";
import { Confirm } from "../../components/confirm.js";
import { Icon } from "../../components/icon.js";
import { StatusBadge } from "../../components/status.js";
import { Thumbnail } from "../../components/thumbnail.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { thumbnailOf } from "../../media.js";
import { ago, duration, exactTime, runTime } from "../../state/clock.js";
import { fetchSummary, forget, isOver, jobSignal, statusOf } from "../../state/jobs.js";
import { notify, notifyError } from "../../state/notices.js";

/** @param {{ id: string, onDeleted: (id: string) => void }} props */
export function JobRow({ id, onDeleted }) {
  const job = jobSignal(id).value;
  const { summary, progress } = job;
  const status = statusOf(job) ?? "pending";
  const busy = useSignal(false);
  const deleting = useSignal(false);
  const doing = async (/** @type {() => Promise<void>} */ action) => {
    busy.value = true;
    try {
      await action();
    } catch (error) {
      notifyError(error);
    } finally {
      busy.value = false;
    }
  };
  const cancel = () =>
    doing(async () => {
      await cancelJob(id);
      await fetchSummary(id);
    });
  const retry = () =>
    doing(async () => {
      await retryJob(id);
      notify(t("job.retried"));
    });
  const remove = () =>
    doing(async () => {
      deleting.value = false;
      await deleteJob(id);
      forget(id);
      onDeleted(id);
    });
  const file = summary ? thumbnailOf(summary) : undefined;
  const name = summary?.workflow_name ?? id;
  const seconds = summary && runTime(summary);
  return html`<article class="job-row" aria-busy=${busy.value}>
    <a class="job-picture" href=${`/jobs/${id}`} tabindex="-1" aria-hidden="true">${file ? html`<${Thumbnail} file=${file} alt="" />` : html`<span class="thumbnail-icon"><${Icon} name=${status === "error" ? "warning" : "image"} /></span>`}</a>
    <div class="job-what">
      <a class="job-name" href=${`/jobs/${id}`}>${name}</a>
      <span class="job-id muted">${id.slice(0, 8)}</span>
      ${summary?.error && html`<p class="job-error">${summary.error}</p>`}
    </div>
    <div class="job-state">
      ${status === "running" && progress ? html`<progress max="100" value=${progress.percent ?? 0} aria-label=${t("live.progress")}></progress><span class="muted">${Math.round(progress.percent ?? 0)} %</span>` : html`<${StatusBadge} status=${status} />`}
    </div>
    <div class="job-when muted">
      ${summary?.queued_at && html`<time datetime=${summary.queued_at} title=${exactTime(summary.queued_at)}>${ago(summary.queued_at)}</time>`}
      ${seconds != null && html`<span>${duration(seconds)}</span>`}
    </div>
    <div class="job-buttons">
      ${isOver(status)
        ? html`<${Button} icon="retry" kind="quiet" label=${t("job.again")} disabled=${busy.value} onClick=${retry} />
            <${Button} icon="trash" kind="quiet" label=${t("job.delete")} disabled=${busy.value} onClick=${() => (deleting.value = true)} />`
        : html`<${Button} icon="stop" kind="quiet" label=${t("live.cancel")} disabled=${busy.value} onClick=${cancel} />`}
    </div>
    ${deleting.value &&
    html`<${Confirm} title=${t("job.delete")} text=${t("job.deleteText")} action=${t("delete")} onConfirm=${remove} onClose=${() => (deleting.value = false)} />`}
  </article>`;
}
