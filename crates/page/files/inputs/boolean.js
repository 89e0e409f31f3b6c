// A switch.
import { html } from "../html.js";

/** @param {import("./control.js").ControlProps} props */
export function BooleanControl({ value, onChange, id, describedBy, invalid }) {
  return html`<input
    id=${id}
    type="checkbox"
    role="switch"
    class="switch"
    checked=${Boolean(value)}
    aria-describedby=${describedBy}
    aria-invalid=${invalid}
    onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.checked)}
  />`;
}
