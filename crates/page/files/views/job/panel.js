// A job: live while it waits or runs, and what it made when it is over.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { getRecord } from "../../api/jobs.js";
import { useLoad } from "../../components/load.js";
import { Failed, Loading } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { fetchSummary, isOver, jobSignal, statusOf } from "../../state/jobs.js";
import { JobActions } from "./actions.js";
import { Code } from "./code.js";
import { Details } from "./details.js";
import { Live } from "./live.js";
import { Result } from "./result.js";

/**
 * @param {object} props
 * @param {string} props.id
 * @param {boolean} [props.inLibrary] whether the library has its workflow
 * @param {((id: string) => void) | null} props.onUseValues null where no form takes the values
 * @param {(id: string) => void} props.onQueued a job was submitted from here
 * @param {(id: string) => void} props.onDeleted
 */
export function JobPanel({ id, inLibrary = true, onUseValues, onQueued, onDeleted }) {
  const job = jobSignal(id).value;
  const status = statusOf(job);
  const over = isOver(status);
  const tab = useSignal("details");
  useEffect(() => {
    if (!job.summary) void fetchSummary(id);
  }, [id]);
  // Once when the job is shown, and again when it is over: outputs and times come with the end.
  const record = useLoad(() => getRecord(id), [id, over]);
  if (record.error && !job.summary) return html`<${Failed} error=${record.error} onRetry=${record.reload} />`;
  if (!status) return html`<${Loading} />`;
  const tabs = /** @type {const} */ (["details", "code"]);
  return html`<div class="job-panel">
    <div class="job-main">
      ${!over && html`<${Live} id=${id} job=${job} />`}
      ${status === "completed" && html`<${Result} id=${id} record=${record.data} />`}
      ${status === "error" && html`<div class="job-ended error" role="alert"><strong>${t("job.failed")}</strong><p>${job.summary?.error ?? job.progress?.error ?? ""}</p></div>`}
      ${status === "cancelled" && html`<div class="job-ended"><strong>${t("job.cancelled")}</strong></div>`}
      ${(job.summary?.warnings ?? []).map((warning) => html`<p key=${warning} class="note warning">${warning}</p>`)}
    </div>
    <${JobActions} id=${id} inLibrary=${inLibrary} status=${status} record=${record.data} onUseValues=${onUseValues} onQueued=${onQueued} onDeleted=${onDeleted} />
    ${record.data &&
    html`<div class="tabs">
      <div role="tablist" aria-label=${t("job.about")}>
        ${tabs.map(
          (name) => html`<button
            key=${name}
            id=${`tab-${name}`}
            type="button"
            role="tab"
            aria-selected=${tab.value === name}
            aria-controls=${`panel-${name}`}
            tabindex=${tab.value === name ? 0 : -1}
            onClick=${() => (tab.value = name)}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
              if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
              tab.value = tabs[1 - tabs.indexOf(name)] ?? name;
              document.getElementById(`tab-${tab.value}`)?.focus();
            }}
          >
            ${t(`job.${name}`)}
          </button>`,
        )}
      </div>
      <div role="tabpanel" id=${`panel-${tab.value}`} aria-labelledby=${`tab-${tab.value}`} tabindex="0">
        ${tab.value === "details" ? html`<${Details} record=${record.data} />` : html`<${Code} record=${record.data} inLibrary=${inLibrary} />`}
      </div>
    </div>`}
  </div>`;
}
