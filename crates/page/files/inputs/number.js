// A number: an exact field, and a slider where both bounds are known and near enough to aim at.
import { html } from "../html.js";
import { labelOf } from "../form/inputs.js";
import { NumberInput } from "./number-input.js";

const MOST_STEPS = 2000;

/** @param {import("./control.js").ControlProps} props */
export function NumberControl({ input, value, onChange, id, describedBy, invalid }) {
  const [min, max] = [input.min, input.max].map((bound) => (bound === undefined ? bound : Number(bound)));
  const step = input.step ?? (input.type === "int" ? 1 : smallStep({ min, max }));
  const slider = min !== undefined && max !== undefined && (max - min) / step <= MOST_STEPS;
  return html`<div class="number">
    ${slider &&
    html`<input
      type="range"
      aria-label=${labelOf(input)}
      min=${min}
      max=${max}
      step=${step}
      value=${value === "" || Number.isNaN(value) ? min : value}
      onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.valueAsNumber)}
    />`}
    <${NumberInput}
      value=${value}
      onValue=${onChange}
      attributes=${{
        id,
        inputmode: input.type === "int" ? "numeric" : "decimal",
        class: slider ? "field short" : "field",
        min: input.min,
        max: input.max,
        step,
        placeholder: input.placeholder,
        "aria-describedby": describedBy,
        "aria-invalid": invalid,
        "aria-required": input.required,
      }}
    />
  </div>`;
}

/**
 * Returns a step that gives a slider about a hundred places.
 * @param {{ min?: number, max?: number }} bounds
 */
function smallStep({ min, max }) {
  if (min === undefined || max === undefined) return 0.01;
  return Math.min(1, 10 ** Math.floor(Math.log10(Math.max((max - min) / 50, 1e-6))));
}
