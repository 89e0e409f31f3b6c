// A resolution: both sides, the author's sizes, and ratios.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { optionsOf } from "../form/inputs.js";
import { RATIOS, parseSize, ratioOf, withRatio } from "../form/resolution.js";
import { Button } from "../components/button.js";
import { readNumber } from "./number.js";

/** @param {import("./control.js").ControlProps} props */
export function ResolutionControl({ input, value, onChange, id, describedBy, invalid }) {
  const size = value || { w: "", h: "" };
  const complete = Number(size.w) > 0 && Number(size.h) > 0;
  const numbers = { w: Number(size.w), h: Number(size.h) };
  const side = (/** @type {"w" | "h"} */ name) => html`<input
    id=${name === "w" ? id : undefined}
    type="number"
    class="field"
    inputmode="numeric"
    min=${input.min}
    max=${input.max}
    step=${input.step ?? 8}
    aria-label=${name === "w" ? t("resolution.width") : t("resolution.height")}
    aria-describedby=${describedBy}
    aria-invalid=${invalid}
    value=${size[name]}
    onInput=${(/** @type {any} */ event) => onChange({ ...size, [name]: readNumber(event.currentTarget.value) })}
  />`;
  const ratio = complete ? ratioOf(numbers) : undefined;
  return html`<div class="resolution">
    <div class="resolution-row">
      ${side("w")}<span aria-hidden="true">×</span>${side("h")}
      <${Button} icon="swap" label=${t("resolution.swap")} onClick=${() => onChange({ w: size.h, h: size.w })} />
      <select class="field ratio" aria-label=${t("resolution.ratio")} onChange=${(/** @type {any} */ event) => complete && event.currentTarget.value && onChange(withRatio(numbers, event.currentTarget.value, input))}>
        <option value="" selected=${!ratio}>${t("resolution.free")}</option>
        ${RATIOS.map((name) => html`<option key=${name} value=${name} selected=${name === ratio}>${name}</option>`)}
      </select>
    </div>
    ${sizesOf(input).length > 0 &&
    html`<div class="chips">
      ${sizesOf(input).map(
        ({ label, size: preset }) => html`<button
          key=${label}
          type="button"
          class="chip"
          aria-pressed=${preset.w === numbers.w && preset.h === numbers.h}
          onClick=${() => onChange(preset)}
        >
          ${label}
        </button>`,
      )}
    </div>`}
  </div>`;
}

/**
 * Returns the sizes that the author offers, as options or under the key `presets`.
 * @param {import("../api/types.js").Input} input
 */
function sizesOf(input) {
  const listed = Array.isArray(input.presets) ? optionsOf({ ...input, options: input.presets }) : optionsOf(input);
  return listed.flatMap(({ value, label }) => {
    const size = parseSize(value);
    return size ? [{ label: typeof value === "string" && label === value ? `${size.w} × ${size.h}` : label, size }] : [];
  });
}
