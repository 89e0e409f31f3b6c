// What is recorded of a job: times, seeds and parameters.
import { toJson } from "../../api/json.js";
import { CopyButton } from "../../components/copy-button.js";
import { StatusBadge } from "../../components/status.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { duration, exactTime, runTime } from "../../state/clock.js";

/** @param {{ record: import("../../api/types.js").JobRecord }} props */
export function Details({ record }) {
  const seconds = runTime(record);
  const params = Object.entries(record.params).filter(([id]) => !(id in record.seeds));
  return html`<div class="details">
    <dl>
      <dt>${t("details.status")}</dt><dd><${StatusBadge} status=${record.status} /></dd>
      ${record.queued_at && html`<dt>${t("details.queued")}</dt><dd>${exactTime(record.queued_at)}</dd>`}
      ${seconds !== null && html`<dt>${t("details.took")}</dt><dd>${duration(seconds)}</dd>`}
      <dt>${t("details.id")}</dt><dd><code>${record.prompt_id}</code></dd>
      ${record.retry_of && html`<dt>${t("details.retryOf")}</dt><dd><a href=${`/jobs/${record.retry_of}`}><code>${record.retry_of}</code></a></dd>`}
      <dt>${t("details.folder")}</dt><dd><code>${record.output_folder}</code></dd>
    </dl>
    <h2>${t("details.params")}</h2>
    <dl>
      ${params.map(([id, value]) => html`<dt key=${`${id}-name`}>${id}</dt><dd key=${id}>${shown(value)}</dd>`)}
      ${Object.entries(record.seeds).map(([id, seed]) => html`<dt key=${`${id}-name`}>${id}</dt><dd key=${id}><code>${String(seed)}</code></dd>`)}
    </dl>
    <${CopyButton} label=${t("details.copy")} text=${toJson({ ...record.params, ...record.seeds }, 2)} />
  </div>`;
}

/** @param {any} value */
function shown(value) {
  if (typeof value === "string") return value || "–";
  if (value && typeof value === "object" && "w" in value && "h" in value) return `${value.w} × ${value.h}`;
  return html`<code>${toJson(value)}</code>`;
}
