// The drawing of a draft's graph, what the workflow is called, and the inputs to tick.
import { useSignal } from "@preact/signals";
import { Button } from "../../components/button.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { GraphDrawing } from "./graph-drawing.js";
import { InputEditor } from "./input-editor.js";
import { NewField } from "./new-field.js";

/** @import { Draft } from "./draft.js" */

/** @param {{ draft: Draft, children?: any }} props */
export function DraftInputs({ draft, children }) {
  const node = useSignal(/** @type {string | null} */ (null));
  const everything = useSignal(false);
  const { graph } = draft;
  const marked = new Set(draft.inputs.value.flatMap((entry) => (entry.offered ? entry.nodes : [])));
  const shown = draft.inputs.value.filter((entry) => (node.value ? entry.nodes.includes(node.value) : entry.detected || entry.offered || everything.value));
  const title = (/** @type {string} */ id) => graph?.[id]?._meta?.title ?? graph?.[id]?.class_type ?? id;
  return html`
    ${graph && html`<${GraphDrawing} graph=${graph} marked=${marked} current=${node.value} onSelect=${(/** @type {string} */ id) => (node.value = node.value === id ? null : id)} />`}
    <div class="draft-columns">
      <section aria-label=${t("run.form")}>
        <${About} draft=${draft} />
        <h2>${node.value ? t("new.inputsOf", { title: title(node.value) }) : t("new.inputs")}</h2>
        <p class="muted">${graph ? t("new.inputsText") : t("edit.blocks")}</p>
        <ul class="draft-inputs">${shown.map((entry) => html`<${InputEditor} key=${entry.key} entry=${entry} draft=${draft} nodeTitle=${title(entry.nodes[0] ?? "")} />`)}</ul>
        ${shown.length === 0 && html`<p class="muted">${t("new.noValues")}</p>`}
        ${graph &&
        (node.value
          ? html`<${Button} kind="quiet" onClick=${() => (node.value = null)}>${t("new.allNodes")}</${Button}>`
          : html`<${Button} kind="quiet" onClick=${() => (everything.value = !everything.value)}>${everything.value ? t("new.fewer") : t("new.everything")}</${Button}>`)}
      </section>
      ${children}
    </div>`;
}

/** @param {{ draft: Draft }} props */
function About({ draft }) {
  const about = draft.about.value;
  const set = (/** @type {Partial<typeof about>} */ changed) => (draft.about.value = { ...draft.about.value, ...changed });
  return html`<div class="draft-about">
    <${NewField} label=${t("new.name")} value=${about.name} onInput=${(/** @type {string} */ name) => set({ name })} />
    ${!draft.existing && html`<${NewField} label=${t("new.id")} value=${about.id} onInput=${(/** @type {string} */ id) => set({ id: id.trim() })} />`}
    <${NewField} label=${t("library.category")} value=${about.category} onInput=${(/** @type {string} */ category) => set({ category })} />
    <${NewField} label=${t("new.description")} value=${about.description} onInput=${(/** @type {string} */ description) => set({ description })} />
  </div>`;
}
