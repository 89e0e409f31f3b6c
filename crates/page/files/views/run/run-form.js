// The form of a workflow with the button that runs it.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { execute } from "../../api/workflows.js";
import { Button } from "../../components/button.js";
import { SubmitButton } from "../../form/submit-button.js";
import { useSubmit } from "../../form/submit.js";
import { checkNumber } from "../../form/validate.js";
import { Entries } from "../../inputs/entries.js";
import { NumberInput } from "../../inputs/number-input.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { connection } from "../../state/live.js";
import { Presets } from "./presets.js";
import { WorkflowHead } from "./workflow-head.js";

/** @import { Manifest } from "../../api/types.js" */
/** @typedef {import("../../form/form.js").Form} Form */

const MOST_JOBS = 100;

/**
 * @param {object} props
 * @param {Manifest} props.manifest
 * @param {Form} props.form
 * @param {string | null} props.optionsMissing
 * @param {() => void} props.onReload
 * @param {(ids: string[]) => void} props.onSubmitted
 */
export function RunForm({ manifest, form, optionsMissing, onReload, onSubmitted }) {
  const typedCount = useSignal(/** @type {number | string} */ (1));
  const countError = checkNumber({ min: 1, max: MOST_JOBS }, typedCount.value, true);
  const count = countError ? 1 : Number(typedCount.value);
  const { sending, onSubmit } = useSubmit(form, ".run-form", countError ? null : async (params) => {
    const submitted = await execute(manifest.id, count > 1 ? { ...params, _count: count } : params);
    onSubmitted((submitted.jobs ?? [submitted]).map((job) => job.prompt_id));
    showStage();
    return submitted;
  });
  const connected = connection.value === "open";
  useEffect(() => {
    if (connected && form.failure.value === t("error.network")) form.failure.value = null;
  }, [connected]);
  return html`<form class="run-form" novalidate aria-label=${t("run.form")} onSubmit=${onSubmit}>
    <div class="run-fields">
      <${WorkflowHead} manifest=${manifest} form=${form} optionsMissing=${optionsMissing} />
      ${optionsMissing && html`<div class="note warning"><p>${t("run.optionsMissing")}</p><p class="muted">${optionsMissing}</p><${Button} icon="retry" onClick=${onReload}>${t("error.retry")}</${Button}></div>`}
      <${Presets} manifest=${manifest} form=${form} />
      <${Entries} entries=${manifest.inputs ?? []} form=${form} />
      ${(manifest.inputs ?? []).length === 0 && html`<p class="muted">${t("run.noInputs")}</p>`}
    </div>
    <div class="run-bar">
      ${form.failure.value && html`<p class="note error" role="alert">${form.failure.value}</p>`}
      ${countError && html`<p class="field-error" id="run-count-error">${t("run.count")}: ${countError}</p>`}
      <div class="run-actions">
        <label class="run-count" title=${t("run.count")}>
          <span class="visually-hidden">${t("run.count")}</span>
          <span aria-hidden="true">×</span>
          <${NumberInput}
            value=${typedCount.value}
            onValue=${(/** @type {number | string} */ typed) => (typedCount.value = typed)}
            attributes=${{ class: "field", min: 1, max: MOST_JOBS, "aria-invalid": Boolean(countError), "aria-describedby": countError ? "run-count-error" : undefined }}
          />
        </label>
        <${SubmitButton} form=${form} sending=${sending} kind="primary" className="run-button">
          ${count > 1 ? t("run.several", { count }) : t("run")}
          <kbd aria-hidden="true">${/Mac|iPhone|iPad/.test(navigator.platform) ? "⌘↵" : "Ctrl ↵"}</kbd>
        </${SubmitButton}>
      </div>
    </div>
  </form>`;
}

/** On a phone the result is below the form. */
function showStage() {
  if (!window.matchMedia("(max-width: 899px)").matches) return;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  document.querySelector(".stage")?.scrollIntoView({ behavior: calm ? "auto" : "smooth" });
}
