// A model file, with search.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { optionsOf } from "../form/inputs.js";
import { Combobox } from "../components/combobox.js";

/** @param {import("./control.js").ControlProps} props */
export function ModelControl({ input, value, onChange, id, labelId, describedBy, invalid }) {
  const options = optionsOf(input);
  const all = input.required || input.default ? options : [{ value: "", label: t("none") }, ...options];
  return html`<${Combobox} id=${id} labelId=${labelId} describedBy=${describedBy} invalid=${invalid} options=${all} value=${value} onChange=${onChange} free=${options.length === 0} />`;
}
