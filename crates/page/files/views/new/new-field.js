// A labelled field of the editor.
import { useId } from "preact/hooks";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { NumberInput } from "../../inputs/number-input.js";

/** @param {{ label: string, value: string, error?: string, onInput?: (text: string) => void, onChange?: (text: string) => void }} props */
export function NewField({ label, value, error, onInput, onChange }) {
  const id = useId();
  return html`<div class="form-field">
    <label class="label" for=${id}>${label}</label>
    <input
      id=${id}
      class="field"
      type="text"
      value=${value}
      aria-invalid=${Boolean(error)}
      aria-describedby=${error ? `${id}-error` : undefined}
      onInput=${(/** @type {any} */ event) => onInput?.(event.currentTarget.value)}
      onChange=${(/** @type {any} */ event) => onChange?.(event.currentTarget.value)}
    />
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}

/**
 * A number that may be left out.
 * @param {{ label: string, value: number | bigint | undefined, onValue: (value: number | bigint | undefined) => void }} props
 *   `onValue` gets NaN for a text that is no number
 */
export function NewNumber({ label, value, onValue }) {
  const id = useId();
  const wrong = Number.isNaN(value);
  return html`<div class="form-field">
    <label class="label" for=${id}>${label}</label>
    <${NumberInput}
      value=${value}
      onValue=${(/** @type {number | string} */ typed) => onValue(typed === "" ? undefined : numberOf(typed))}
      attributes=${{ id, class: "field", step: "any", "aria-invalid": wrong, "aria-describedby": wrong ? `${id}-error` : undefined }}
    />
    ${wrong && html`<p class="field-error" id=${`${id}-error`}>${t("check.number")}</p>`}
  </div>`;
}

/** @param {number | string} typed a text has more digits than a number holds */
function numberOf(typed) {
  return typeof typed === "string" && /^-?\d+$/.test(typed) ? BigInt(typed) : Number(typed);
}
