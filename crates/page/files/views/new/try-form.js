// The form of a draft as it will be, and a run of it that saves nothing.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { getRecord } from "../../api/jobs.js";
import { executeUnsaved } from "../../api/workflows.js";
import { createForm } from "../../form/form.js";
import { SubmitButton } from "../../form/submit-button.js";
import { useSubmit } from "../../form/submit.js";
import { valuesOfJob } from "../../form/values.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { Entries } from "../../inputs/entries.js";
import { notifyError } from "../../state/notices.js";
import { JobPanel } from "../job/panel.js";

/** @param {{ draft: import("./draft.js").Draft }} props */
export function TryForm({ draft }) {
  const manifest = draft.manifest.value;
  const { graph } = draft;
  const before = useRef(/** @type {import("../../form/form.js").Form | null} */ (null));
  const form = useMemo(() => createForm(manifest, { kept: false, before: before.current }), [manifest]);
  before.current = form;
  useEffect(() => () => form.dispose(), [form]);
  const job = useSignal(/** @type {string | null} */ (null));
  const canRun = draft.problems.value.length === 0;
  const send = !graph || !canRun ? null : async (/** @type {Record<string, any>} */ params) => {
    const submitted = await executeUnsaved(await draft.text(), graph, params);
    job.value = submitted.prompt_id;
    return submitted;
  };
  const { sending, onSubmit } = useSubmit(form, ".form-preview", send);
  const useValues = async (/** @type {string} */ id) => {
    try {
      form.replace(valuesOfJob(manifest, await getRecord(id)));
    } catch (error) {
      notifyError(error);
    }
  };
  return html`<form class="form-preview" novalidate aria-label=${t("new.form")} onSubmit=${onSubmit}>
      <h2>${manifest.name ?? manifest.id}</h2>
      ${manifest.description && html`<p class="muted">${manifest.description}</p>`}
      <${Entries} entries=${manifest.inputs ?? []} form=${form} />
      ${form.failure.value && html`<p class="note error" role="alert">${form.failure.value}</p>`}
      ${graph
        ? html`<${SubmitButton} form=${form} sending=${sending} disabled=${!canRun} className="try-button">${t("new.try")}</${SubmitButton}>`
        : html`<p class="muted">${t("edit.tryBlocks")}</p>`}
    </form>
    ${job.value && html`<section class="try-result" aria-label=${t("run.results")}><${JobPanel} key=${job.value} id=${job.value} inLibrary=${false} onUseValues=${useValues} onQueued=${(/** @type {string} */ id) => (job.value = id)} onDeleted=${() => (job.value = null)} /></section>`}`;
}
