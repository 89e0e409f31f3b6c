// One input of a draft: whether it is offered, its name, its place, and what it takes.
import { useId } from "preact/hooks";
import { Button } from "../../components/button.js";
import { labelOf, optionsOf } from "../../form/inputs.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { NewField, NewNumber } from "./new-field.js";

const TYPES = ["text", "int", "float", "boolean", "select", "seed", "image", "mask", "video", "audio", "3d", "checkpoint_picker", "vae_picker", "lora_picker"];

/** @param {{ entry: import("./draft.js").DraftInput, draft: import("./draft.js").Draft, nodeTitle: string }} props */
export function InputEditor({ entry, draft, nodeTitle }) {
  const { key, offered, input } = entry;
  const id = useId();
  const change = (/** @type {Partial<import("../../api/types.js").Input>} */ changed) => draft.change(key, changed);
  const bounds = /** @type {const} */ (["min", "max", "step"]);
  const numeric = ["int", "float", "seed"].includes(input.type ?? "");
  return html`<li class="draft-input ${offered ? "offered" : ""}" data-key=${key}>
    <div class="draft-head">
      <label>
        <input type="checkbox" checked=${offered} onChange=${(/** @type {any} */ event) => draft.offer(key, event.currentTarget.checked)} />
        <span class="draft-name">${labelOf(input)}</span>
      </label>
      <span class="muted draft-from">${[nodeTitle, input.field].filter(Boolean).join(" · ")}</span>
      ${offered &&
      html`<${Button} icon="up" kind="quiet" label=${t("new.up", { name: labelOf(input) })} onClick=${() => draft.move(key, -1)} />
        <${Button} icon="down" kind="quiet" label=${t("new.down", { name: labelOf(input) })} onClick=${() => draft.move(key, 1)} />`}
    </div>
    ${offered &&
    html`<details>
      <summary>${t("new.details")}</summary>
      <div class="draft-fields">
        <${NewField} label=${t("new.label")} value=${input.label ?? ""} onInput=${(/** @type {string} */ label) => change({ label })} />
        <${NewField} label=${t("new.inputId")} value=${input.id} onInput=${(/** @type {string} */ text) => change({ id: text.trim() })} />
        <div class="form-field">
          <label class="label" for=${`${id}-type`}>${t("new.type")}</label>
          <select id=${`${id}-type`} class="field" onChange=${(/** @type {any} */ event) => change({ type: event.currentTarget.value })}>
            ${[...new Set([input.type ?? "text", ...TYPES])].map((type) => html`<option key=${type} value=${type} selected=${type === input.type}>${type}</option>`)}
          </select>
        </div>
        <${NewField} label=${t("new.tooltip")} value=${input.tooltip ?? ""} onInput=${(/** @type {string} */ text) => change({ tooltip: text || undefined })} />
        ${numeric &&
        bounds.map((name) => html`<${NewNumber} key=${name} label=${t(`new.${name}`)} value=${input[name]} onValue=${(/** @type {number | undefined} */ value) => change({ [name]: value })} />`)}
        ${input.type === "select" &&
        html`<div class="form-field draft-options">
          <label class="label" for=${`${id}-options`}>${t("new.options")}</label>
          <textarea id=${`${id}-options`} class="field" rows="4" value=${optionsText(input)} onChange=${(/** @type {any} */ event) => change({ options: readOptions(event.currentTarget.value, input) })}></textarea>
        </div>`}
        <label class="draft-required"><input type="checkbox" checked=${Boolean(input.required)} onChange=${(/** @type {any} */ event) => change({ required: event.currentTarget.checked || undefined })} /> ${t("required")}</label>
      </div>
    </details>`}
  </li>`;
}

/** @param {import("../../api/types.js").Input} input */
function optionsText(input) {
  return optionsOf(input).map(({ value, label }) => (label === String(value) ? label : `${value} = ${label}`)).join("\n");
}

/**
 * Reads options, one a line. One that there was keeps the type of its value.
 * @param {string} text
 * @param {import("../../api/types.js").Input} input
 * @returns {import("../../api/types.js").InputOption[]}
 */
function readOptions(text, input) {
  const known = new Map(optionsOf(input).map(({ value }) => [String(value), value]));
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const at = known.has(line) ? -1 : line.indexOf(" = ");
    const name = at < 0 ? line : line.slice(0, at).trim();
    const value = known.get(name) ?? name;
    return at < 0 ? value : { value, label: line.slice(at + 3).trim() };
  });
}
