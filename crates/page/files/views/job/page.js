// The page of one job.
import { useEffect } from "preact/hooks";
import { listWorkflows } from "../../api/workflows.js";
import { useLoad } from "../../components/load.js";
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
  const workflows = useLoad(listWorkflows, []).data;
  const inLibrary = !workflows || !summary || workflows.some((workflow) => workflow.id === summary.workflow_id);
  const workflow = summary && `/w/${encodeURIComponent(summary.workflow_id)}`;
  return html`<div class="page job-page">
    <div class="page-head">
      <h1>${summary?.workflow_name ?? t("job")}</h1>
    </div>
    <${JobPanel}
      id=${id}
      inLibrary=${inLibrary}
      onUseValues=${inLibrary ? (/** @type {string} */ job) => workflow && navigate(`${workflow}?from=${encodeURIComponent(job)}`) : null}
      onQueued=${(/** @type {string} */ job) => navigate(`/jobs/${encodeURIComponent(job)}`)}
      onDeleted=${() => navigate("/jobs")}
    />
  </div>`;
}
