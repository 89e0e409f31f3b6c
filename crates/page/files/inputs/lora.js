// LoRAs: one with its strength, or a list of them.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { labelOf, optionsOf } from "../form/inputs.js";
import { Button } from "../components/button.js";
import { Combobox } from "../components/combobox.js";
import { NumberInput } from "./number-input.js";

/** @param {import("./control.js").ControlProps} props */
export function LoraControl({ input, value, onChange, id, describedBy, invalid }) {
  return html`<${LoraRow} input=${input} id=${id} name=${labelOf(input)} value=${value} onChange=${onChange} describedBy=${describedBy} invalid=${invalid} withNone />`;
}

/** @param {import("./control.js").ControlProps} props */
export function LoraListControl({ input, value, onChange, id, describedBy, invalid }) {
  const loras = /** @type {{ file: string, strength: any }[]} */ (value ?? []);
  const change = (/** @type {number} */ index, /** @type {any} */ lora) => onChange(loras.map((old, place) => (place === index ? lora : old)));
  const remove = (/** @type {number} */ index) => onChange(loras.filter((_, place) => place !== index));
  return html`<div class="lora-list">
    ${loras.map(
      (lora, index) => html`<div class="lora-entry" key=${index}>
        <${LoraRow}
          input=${input}
          id=${`${id}-${index}`}
          name=${`${labelOf(input)} ${index + 1}`}
          value=${lora}
          onChange=${(/** @type {any} */ changed) => change(index, changed)}
          describedBy=${describedBy}
          invalid=${invalid}
        />
        <${Button} icon="close" kind="quiet" label=${t("lora.remove", { number: index + 1 })} onClick=${() => remove(index)} />
      </div>`,
    )}
    <button id=${id} type="button" class="button plain add" onClick=${() => onChange([...loras, { file: "", strength: 1 }])}>${t("lora.add")}</button>
  </div>`;
}

/** @param {any} props */
function LoraRow({ input, id, name, value, onChange, describedBy, invalid, withNone }) {
  const none = withNone ? [{ value: "", label: t("none") }] : [];
  const bounds = { min: input.min ?? -4, max: input.max ?? 4 };
  return html`<div class="lora">
    <${Combobox}
      id=${id}
      label=${name}
      describedBy=${describedBy}
      options=${[...none, ...optionsOf(input).filter((option) => String(option.value).toLowerCase() !== "none")]}
      value=${value.file}
      placeholder=${t("lora.choose")}
      onChange=${(/** @type {string} */ file) => onChange({ ...value, file })}
      free=${optionsOf(input).length === 0}
    />
    <${NumberInput}
      value=${value.strength}
      onValue=${(/** @type {number | string} */ strength) => onChange({ ...value, strength })}
      attributes=${{ class: "field short", step: "0.05", ...bounds, "aria-label": t("lora.strength", { name }), title: t("lora.strength", { name }), "aria-invalid": invalid }}
    />
  </div>`;
}
