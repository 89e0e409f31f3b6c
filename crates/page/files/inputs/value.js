// A value of a type that this page does not know: a text, or JSON when it reads as JSON that is no text.
import { parseJson, toJson } from "../api/json.js";
import { html } from "../html.js";

/** @param {import("./control.js").ControlProps} props */
export function ValueControl({ value, onChange, id, describedBy, invalid, input }) {
  const shown = typeof value === "string" ? value : toJson(value);
  const read = (/** @type {any} */ event) => {
    const text = event.currentTarget.value;
    try {
      const parsed = parseJson(text);
      onChange(typeof parsed === "string" ? text : parsed);
    } catch {
      onChange(text);
    }
  };
  return html`<textarea id=${id} class="text-area" rows="1" value=${shown} placeholder=${input.placeholder} aria-describedby=${describedBy} aria-invalid=${invalid} onChange=${read}></textarea>`;
}
