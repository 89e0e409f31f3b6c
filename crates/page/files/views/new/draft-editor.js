// A draft: what it is called, its inputs, and what it becomes: the form, and the manifest.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { DraftHead } from "./draft-head.js";
import { DraftInputs } from "./draft-inputs.js";
import { TryForm } from "./try-form.js";
import { useUnsaved } from "./unsaved.js";

/**
 * @param {object} props
 * @param {import("./draft.js").Draft} props.draft
 * @param {() => void} props.onClose another graph is wanted, or the workflow is to be read again
 */
export function DraftEditor({ draft, onClose }) {
  const tab = useSignal("form");
  const { ask, question } = useUnsaved(draft);
  useEffect(() => () => draft.dispose(), [draft]);
  const remarks = [...draft.findings, ...draft.remarks.value];
  return html`<div class="page draft">
    <${DraftHead} draft=${draft} onClose=${draft.existing ? onClose : () => ask(onClose)} />
    ${question}
    ${remarks.length > 0 && html`<details class="note warning" open><summary>${t("new.findings", { count: remarks.length })}</summary><ul>${remarks.map((finding, index) => html`<li key=${index}>${finding.message}</li>`)}</ul></details>`}
    ${draft.refused.value && html`<p class="note error" role="alert">${draft.refused.value}</p>`}
    ${draft.problems.value.map((problem) => html`<p key=${problem.kind + problem.name} class="note error" role="alert">${t(`new.problem.${problem.kind}`, { name: problem.name })}</p>`)}
    <${DraftInputs} draft=${draft}>
      <section aria-label=${t("new.preview")}>
        <div class="segments draft-tabs" role="radiogroup" aria-label=${t("new.preview")}>
          <label><input type="radio" name="draft-tab" checked=${tab.value === "form"} onChange=${() => (tab.value = "form")} /><span>${t("new.form")}</span></label>
          <label><input type="radio" name="draft-tab" checked=${tab.value === "manifest"} onChange=${() => (tab.value = "manifest")} /><span>manifest.yaml</span></label>
        </div>
        <div hidden=${tab.value !== "form"}><${TryForm} draft=${draft} /></div>
        ${tab.value === "manifest" && html`<pre class="yaml" tabindex="0">${draft.yaml.value}</pre>`}
      </section>
    </${DraftInputs}>
  </div>`;
}
