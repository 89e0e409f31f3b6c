// A seed: random for each run, or locked to a number.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "../components/button.js";
import { readNumber } from "./number-input.js";

/** @param {import("./control.js").ControlProps} props */
export function SeedControl({ input, value, onChange, id, describedBy, invalid, form }) {
  const random = Number(value) === -1;
  const draw = () => onChange(randomSeed(input));
  const lock = () => onChange(random ? (form.usedSeeds.value[input.id] ?? randomSeed(input)) : -1);
  return html`<div class="seed">
    <input
      id=${id}
      type="text"
      inputmode="numeric"
      class="field"
      value=${random ? "" : value}
      placeholder=${t("seed.random")}
      aria-describedby=${describedBy}
      aria-invalid=${invalid}
      onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.value.trim() === "" ? -1 : readNumber(event.currentTarget.value.trim()))}
    />
    <${Button} icon="dice" label=${t("seed.draw")} onClick=${draw} />
    <${Button} icon=${random ? "unlock" : "lock"} label=${random ? t("seed.lock") : t("seed.unlock")} pressed=${!random} onClick=${lock} />
  </div>`;
}

/**
 * Returns a seed that every reader of JSON holds exactly.
 * @param {{ min?: number | bigint, max?: number | bigint }} bounds
 */
function randomSeed({ min = 0, max = Number.MAX_SAFE_INTEGER }) {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  const number = (high & 0x1fffff) * 2 ** 32 + low;
  const [bottom, top] = [Number(min), Math.min(Number(max), Number.MAX_SAFE_INTEGER)];
  return bottom + (number % (top - bottom + 1));
}
