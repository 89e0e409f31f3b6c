// The page of one job.
import { useEffect } from "preact/hooks";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { navigate } from "../../router.js";
import { jobSignal } from "../../state/jobs.js";
import { JobPanel } from "./panel.js";

/** @param {{ id: string }} props */
export function JobPage({ id }) {
  const { summary } = jobSignal(id).value;
  useEffect(() => {
    document.title = `${summary?.workflow_name ?? t("job")} · comfy-runner`;
  });
  const workflow = summary && `/w/${encodeURIComponent(summary.workflow_id)}`;
  return html`<div class="page job-page">
    <div class="page-head">
      <h1>${summary?.workflow_name ?? t("job")}</h1>
    </div>
    <${JobPanel}
      id=${id}
      onUseValues=${(/** @type {string} */ job) => workflow && navigate(`${workflow}?from=${encodeURIComponent(job)}`)}
      onQueued=${(/** @type {string} */ job) => navigate(`/jobs/${encodeURIComponent(job)}`)}
      onDeleted=${() => navigate("/jobs")}
    />
  </div>`;
}
