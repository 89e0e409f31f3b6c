// One of some options: the browser's own list while they are few, a list with search when they are many.
import { html } from "../html.js";
import { optionsOf } from "../form/inputs.js";
import { Combobox } from "../components/combobox.js";

const FEW = 12;

/** @param {import("./control.js").ControlProps} props */
export function SelectControl({ input, value, onChange, id, describedBy, invalid, labelId }) {
  const options = optionsOf(input);
  const current = options.findIndex((option) => option.value === value);
  const hasOther = current < 0 && value !== "" && value !== undefined && value !== null;
  if (options.length > FEW) {
    return html`<${Combobox} id=${id} labelId=${labelId} describedBy=${describedBy} invalid=${invalid} options=${options} value=${value} onChange=${onChange} />`;
  }
  const choose = (/** @type {any} */ event) => {
    const chosen = options[Number(event.currentTarget.value)];
    onChange(chosen ? chosen.value : "");
  };
  return html`<select id=${id} class="field" aria-describedby=${describedBy} aria-invalid=${invalid} aria-required=${input.required} onChange=${choose}>
    ${(!input.required || current < 0) && html`<option value="-1" selected=${current < 0}>${hasOther ? String(value) : "–"}</option>`}
    ${options.map((option, index) => html`<option key=${index} value=${index} selected=${index === current}>${option.label}</option>`)}
  </select>`;
}
