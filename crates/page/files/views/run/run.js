// A workflow: its form, and what it made.
import { useEffect, useMemo } from "preact/hooks";
import { getRecord } from "../../api/jobs.js";
import { getManifest } from "../../api/workflows.js";
import { LinkButton } from "../../components/button.js";
import { useLoad } from "../../components/load.js";
import { FailedPage, LoadingPage } from "../../components/states.js";
import { createForm } from "../../form/form.js";
import { valuesOfJob } from "../../form/values.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { address, navigate } from "../../router.js";
import { notify, notifyError } from "../../state/notices.js";
import { RunForm } from "./run-form.js";
import { Stage } from "./stage.js";
import { useWorkflowJobs } from "./workflow-jobs.js";

/** @param {{ id: string }} props */
export function RunView({ id }) {
  const { data, error, reload } = useLoad(() => getManifest(id), [id]);
  useEffect(() => {
    document.title = `${data?.manifest.name ?? id} · comfy-runner`;
  });
  if (data) return html`<${Runner} manifest=${data.manifest} optionsMissing=${data.optionsMissing} onReload=${reload} />`;
  if (error) return html`<${FailedPage} title=${id} error=${error} onRetry=${reload}><${LinkButton} href="/" icon="library">${t("nav.library")}</${LinkButton}></${FailedPage}>`;
  return html`<${LoadingPage} title=${id} />`;
}

/** @param {{ manifest: import("../../api/types.js").Manifest, optionsMissing: string | null, onReload: () => void }} props */
function Runner({ manifest, optionsMissing, onReload }) {
  const form = useMemo(() => createForm(manifest), [manifest]);
  const jobs = useWorkflowJobs(manifest.id);
  useEffect(() => () => form.dispose(), [form]);

  const from = address.value.query.get("from");
  useEffect(() => {
    if (from) void useValuesOf(from);
  }, [from]);
  /**
   * Fills the form with the values of a job, and takes the job out of the address: a reload keeps what was edited since.
   * @param {string} job
   */
  async function useValuesOf(job) {
    try {
      form.replace(valuesOfJob(manifest, await getRecord(job)));
      notify(t("run.valuesTaken"));
    } catch (failed) {
      notifyError(failed);
    }
    navigate(`/w/${encodeURIComponent(manifest.id)}`, { replace: true });
  }
  return html`<div class="runner">
    <${RunForm} manifest=${manifest} form=${form} optionsMissing=${optionsMissing} onReload=${onReload} onSubmitted=${(/** @type {string[]} */ ids) => jobs.submitted(ids)} />
    <${Stage} manifest=${manifest} jobs=${jobs} onUseValues=${useValuesOf} />
  </div>`;
}
