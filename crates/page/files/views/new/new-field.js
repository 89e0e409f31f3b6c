// A labelled field of the editor.
import { useId } from "preact/hooks";
import { html } from "../../html.js";

/** @param {{ label: string, value: string | number, type?: string, error?: string, onInput?: (text: string) => void, onChange?: (text: string) => void }} props */
export function NewField({ label, value, type = "text", error, onInput, onChange }) {
  const id = useId();
  return html`<div class="form-field">
    <label class="label" for=${id}>${label}</label>
    <input
      id=${id}
      class="field"
      type=${type}
      step="any"
      value=${value}
      aria-invalid=${Boolean(error)}
      aria-describedby=${error ? `${id}-error` : undefined}
      onInput=${(/** @type {any} */ event) => onInput?.(event.currentTarget.value)}
      onChange=${(/** @type {any} */ event) => onChange?.(event.currentTarget.value)}
    />
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}
