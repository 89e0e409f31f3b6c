// A job as a small tile: its picture, or how far it is.
import { Icon } from "../../components/icon.js";
import { Thumbnail } from "../../components/thumbnail.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { thumbnailOf } from "../../media.js";
import { jobSignal, statusOf } from "../../state/jobs.js";
import { ago } from "../../state/clock.js";

/** @param {{ id: string, current: boolean, onSelect: (id: string) => void }} props */
export function FilmTile({ id, current, onSelect }) {
  const job = jobSignal(id).value;
  const status = statusOf(job) ?? "pending";
  const file = job.summary && status === "completed" ? thumbnailOf(job.summary) : undefined;
  const when = job.summary?.queued_at ? ago(job.summary.queued_at) : "";
  const percent = job.progress?.percent ?? 0;
  const how = [t(`status.${status}`), status === "running" && `${Math.round(percent)} %`, when].filter(Boolean).join(" ");
  return html`<button type="button" class="film-tile status-${status}" aria-current=${current || undefined} aria-label=${how} onClick=${() => onSelect(id)}>
    ${file ? html`<${Thumbnail} file=${file} alt="" />` : html`<span class="film-state">${inside(status, percent)}</span>`}
  </button>`;
}

/**
 * @param {import("../../api/types.js").Status} status
 * @param {number} percent
 */
function inside(status, percent) {
  switch (status) {
    case "running":
      return html`<span class="film-percent">${Math.round(percent)} %</span>`;
    case "pending":
      return html`<${Icon} name="queue" />`;
    case "error":
      return html`<${Icon} name="warning" />`;
    case "cancelled":
      return html`<${Icon} name="stop" />`;
    default:
      return html`<${Icon} name="check" />`;
  }
}
