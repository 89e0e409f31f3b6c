// One input of a draft: whether it is offered, its name, its place, and what it takes.
import { useId } from "preact/hooks";
import { Button } from "../../components/button.js";
import { labelOf, optionsOf } from "../../form/inputs.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { readNumber } from "../../inputs/number.js";
import { NewField } from "./new-field.js";

const TYPES = ["text", "int", "float", "boolean", "select", "seed", "image", "mask", "video", "audio", "3d", "checkpoint_picker", "vae_picker", "lora_picker"];

/** @param {{ entry: import("./draft.js").DraftInput, draft: import("./draft.js").Draft, nodeTitle: string }} props */
export function InputEditor({ entry, draft, nodeTitle }) {
  const { key, offered, input } = entry;
  const id = useId();
  const change = (/** @type {Partial<import("../../api/types.js").Input>} */ changed) => draft.change(key, changed);
  const number = (/** @type {"min" | "max" | "step"} */ name) => (/** @type {string} */ text) => {
    const value = readNumber(text);
    change({ [name]: typeof value === "number" ? value : undefined });
  };
  const numeric = ["int", "float", "seed"].includes(input.type ?? "");
  return html`<li class="draft-input ${offered ? "offered" : ""}" data-key=${key}>
    <div class="draft-head">
      <label>
        <input type="checkbox" checked=${offered} onChange=${(/** @type {any} */ event) => draft.offer(key, event.currentTarget.checked)} />
        <span class="draft-name">${labelOf(input)}</span>
      </label>
      <span class="muted draft-from">${nodeTitle} · ${input.field ?? ""}</span>
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
        html`<${NewField} type="number" label=${t("new.min")} value=${input.min ?? ""} onInput=${number("min")} />
          <${NewField} type="number" label=${t("new.max")} value=${input.max ?? ""} onInput=${number("max")} />
          <${NewField} type="number" label=${t("new.step")} value=${input.step ?? ""} onInput=${number("step")} />`}
        ${input.type === "select" &&
        html`<${NewField}
          label=${t("new.options")}
          value=${optionsOf(input).map((option) => String(option.value)).join(", ")}
          onChange=${(/** @type {string} */ text) => change({ options: text.split(",").map((option) => option.trim()).filter(Boolean) })}
        />`}
        <label class="draft-required"><input type="checkbox" checked=${Boolean(input.required)} onChange=${(/** @type {any} */ event) => change({ required: event.currentTarget.checked || undefined })} /> ${t("required")}</label>
      </div>
    </details>`}
  </li>`;
}
