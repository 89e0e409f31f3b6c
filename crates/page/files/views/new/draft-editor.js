// A draft: the drawing, the inputs, and what it becomes: the form, and the manifest.
import { useEffect, useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { addWorkflow } from "../../api/workflows.js";
import { Button } from "../../components/button.js";
import { download } from "../../download.js";
import { createForm } from "../../form/form.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { Entries } from "../../inputs/entries.js";
import { navigate } from "../../router.js";
import { zip } from "../../zip.js";
import { boundFields } from "./draft.js";
import { GraphDrawing } from "./graph-drawing.js";
import { InputEditor } from "./input-editor.js";
import { NewField } from "./new-field.js";

/** @param {{ draft: import("./draft.js").Draft, onClose: () => void }} props */
export function DraftEditor({ draft, onClose }) {
  const node = useSignal(/** @type {string | null} */ (null));
  const everything = useSignal(false);
  const tab = useSignal("form");
  const about = draft.about.value;
  const problems = draft.problems.value;
  const marked = new Set(draft.offered.value.flatMap(boundFields).map((field) => field.slice(0, field.indexOf("."))));
  const nodeOf = (/** @type {import("./draft.js").DraftInput} */ entry) => (boundFields(entry.input)[0] ?? "").split(".")[0] ?? "";
  const shown = draft.inputs.value.filter((entry) => (node.value ? nodeOf(entry) === node.value : entry.detected || entry.offered || everything.value));
  const title = (/** @type {string} */ id) => draft.graph[id]?._meta?.title ?? draft.graph[id]?.class_type ?? id;
  const saving = useSignal(false);
  const refused = useSignal(/** @type {string | null} */ (null));
  const save = async () => {
    saving.value = true;
    refused.value = null;
    try {
      await addWorkflow(about.id, draft.yaml.value, draft.graph);
      navigate(`/w/${encodeURIComponent(about.id)}`);
    } catch (error) {
      refused.value = error instanceof Error ? error.message : String(error);
    } finally {
      saving.value = false;
    }
  };
  const saveZip = () => {
    const files = { [`${about.id}/manifest.yaml`]: draft.yaml.value, [`${about.id}/workflow.json`]: `${JSON.stringify(draft.graph, null, 2)}\n` };
    download(`${about.id}.zip`, zip(files), "application/zip");
  };
  const set = (/** @type {Partial<typeof about>} */ changed) => (draft.about.value = { ...draft.about.value, ...changed });
  return html`<div class="page draft">
    <div class="page-head">
      <h1>${about.name}</h1>
      <div class="filters">
        <${Button} onClick=${onClose}>${t("new.another")}</${Button}>
        <${Button} icon="download" disabled=${problems.length > 0} onClick=${saveZip}>${t("new.zip")}</${Button}>
        <${Button} icon="check" kind="primary" busy=${saving.value} disabled=${problems.length > 0} onClick=${save}>${t("new.save")}</${Button}>
      </div>
    </div>
    ${draft.findings.length > 0 && html`<details class="note warning" open><summary>${t("new.findings", { count: draft.findings.length })}</summary><ul>${draft.findings.map((finding, index) => html`<li key=${index}>${finding.message}</li>`)}</ul></details>`}
    ${refused.value && html`<p class="note error" role="alert">${refused.value}</p>`}
    ${problems.map((problem) => html`<p key=${problem.kind + problem.name} class="note error" role="alert">${t(`new.problem.${problem.kind}`, { name: problem.name })}</p>`)}
    <${GraphDrawing} graph=${draft.graph} marked=${marked} current=${node.value} onSelect=${(/** @type {string} */ id) => (node.value = node.value === id ? null : id)} />
    <div class="draft-columns">
      <section aria-label=${t("run.form")}>
        <div class="draft-about">
          <${NewField} label=${t("new.name")} value=${about.name} onInput=${(/** @type {string} */ name) => set({ name })} />
          <${NewField} label=${t("new.id")} value=${about.id} onInput=${(/** @type {string} */ id) => set({ id: id.trim() })} />
          <${NewField} label=${t("library.category")} value=${about.category} onInput=${(/** @type {string} */ category) => set({ category })} />
          <${NewField} label=${t("new.description")} value=${about.description} onInput=${(/** @type {string} */ description) => set({ description })} />
        </div>
        <h2>${node.value ? t("new.inputsOf", { title: title(node.value) }) : t("new.inputs")}</h2>
        <p class="muted">${t("new.inputsText")}</p>
        <ul class="draft-inputs">${shown.map((entry) => html`<${InputEditor} key=${entry.key} entry=${entry} draft=${draft} nodeTitle=${title(nodeOf(entry))} />`)}</ul>
        ${shown.length === 0 && html`<p class="muted">${t("new.noValues")}</p>`}
        ${node.value
          ? html`<${Button} kind="quiet" onClick=${() => (node.value = null)}>${t("new.allNodes")}</${Button}>`
          : html`<${Button} kind="quiet" onClick=${() => (everything.value = !everything.value)}>${everything.value ? t("new.fewer") : t("new.everything")}</${Button}>`}
      </section>
      <section aria-label=${t("new.preview")}>
        <div class="segments draft-tabs" role="radiogroup" aria-label=${t("new.preview")}>
          <label><input type="radio" name="draft-tab" checked=${tab.value === "form"} onChange=${() => (tab.value = "form")} /><span>${t("new.form")}</span></label>
          <label><input type="radio" name="draft-tab" checked=${tab.value === "manifest"} onChange=${() => (tab.value = "manifest")} /><span>manifest.yaml</span></label>
        </div>
        ${tab.value === "form" ? html`<${FormPreview} manifest=${draft.manifest.value} />` : html`<pre class="yaml" tabindex="0">${draft.yaml.value}</pre>`}
      </section>
    </div>
  </div>`;
}

/** @param {{ manifest: import("../../api/types.js").Manifest }} props */
function FormPreview({ manifest }) {
  const form = useMemo(() => createForm(manifest, { kept: false }), [manifest]);
  useEffect(() => () => form.dispose(), [form]);
  return html`<div class="form-preview">
    <h2>${manifest.name}</h2>
    ${manifest.description && html`<p class="muted">${manifest.description}</p>`}
    <${Entries} entries=${manifest.inputs ?? []} form=${form} />
  </div>`;
}
