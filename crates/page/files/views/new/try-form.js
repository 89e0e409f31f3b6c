// The form of a draft as it will be, and a run of it that saves nothing.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { getRecord } from "../../api/jobs.js";
import { executeUnsaved } from "../../api/workflows.js";
import { Button } from "../../components/button.js";
import { focusFirstError } from "../../form/focus.js";
import { createForm } from "../../form/form.js";
import { useRunKey } from "../../form/run-key.js";
import { valuesOfJob } from "../../form/values.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { Entries } from "../../inputs/entries.js";
import { notify, notifyError } from "../../state/notices.js";
import { JobPanel } from "../job/panel.js";

/** @param {{ draft: import("./draft.js").Draft }} props */
export function TryForm({ draft }) {
  const manifest = draft.manifest.value;
  const { graph } = draft;
  const before = useRef(/** @type {import("../../form/form.js").Form | null} */ (null));
  const form = useMemo(() => createForm(manifest, { kept: false, before: before.current }), [manifest]);
  before.current = form;
  useEffect(() => () => form.dispose(), [form]);
  const sending = useSignal(false);
  const job = useSignal(/** @type {string | null} */ (null));
  const run = async () => {
    if (!graph || sending.value || form.uploads.value > 0) return;
    if (!form.attempt()) return focusFirstError(".form-preview");
    sending.value = true;
    try {
      const submitted = await executeUnsaved(await draft.text(), graph, form.params());
      form.usedSeeds.value = submitted.seeds;
      job.value = submitted.prompt_id;
      for (const warning of submitted.warnings ?? []) notify(warning);
    } catch (error) {
      form.refuse(error);
      focusFirstError(".form-preview");
    } finally {
      sending.value = false;
    }
  };
  useRunKey(run);
  const useValues = async (/** @type {string} */ id) => {
    try {
      form.replace(valuesOfJob(manifest, await getRecord(id)));
    } catch (error) {
      notifyError(error);
    }
  };
  return html`<form
      class="form-preview"
      novalidate
      aria-label=${t("new.form")}
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        void run();
      }}
    >
      <h2>${manifest.name ?? manifest.id}</h2>
      ${manifest.description && html`<p class="muted">${manifest.description}</p>`}
      <${Entries} entries=${manifest.inputs ?? []} form=${form} />
      ${form.failure.value && html`<p class="note error" role="alert">${form.failure.value}</p>`}
      ${graph
        ? html`<${Button} type="submit" icon="play" filled busy=${sending.value} disabled=${form.uploads.value > 0 || draft.problems.value.length > 0} className="try-button">${form.uploads.value > 0 ? t("file.uploading") : t("new.try")}</${Button}>`
        : html`<p class="muted">${t("edit.tryBlocks")}</p>`}
    </form>
    ${job.value && html`<section class="try-result" aria-label=${t("run.results")}><${JobPanel} key=${job.value} id=${job.value} inLibrary=${false} onUseValues=${useValues} onQueued=${(/** @type {string} */ id) => (job.value = id)} onDeleted=${() => (job.value = null)} /></section>`}`;
}
