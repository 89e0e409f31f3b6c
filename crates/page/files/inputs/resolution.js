// A resolution: both sides, ratios and the author's sizes; or one of the author's options, where the manifest has some.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { optionsOf } from "../form/inputs.js";
import { RATIOS, parseSize, ratioOf, withRatio } from "../form/resolution.js";
import { Button } from "../components/button.js";
import { NumberInput } from "./number-input.js";

/** @param {import("./control.js").ControlProps} props */
export function ResolutionControl(props) {
  return (props.input.options ?? []).length > 0 ? html`<${OneOfSizes} ...${props} />` : html`<${FreeSize} ...${props} />`;
}

/** @param {import("./control.js").ControlProps} props */
function OneOfSizes({ input, value, onChange, id, labelId, describedBy }) {
  const sizes = sizesOf(optionsOf(input));
  return html`<div class="size-options" role="radiogroup" aria-labelledby=${labelId} aria-describedby=${describedBy}>
    ${sizes.map(({ label, size }, index) => {
      const chosen = value?.w === size.w && value?.h === size.h;
      return html`<label key=${label} class="size-option">
        <input id=${index === 0 ? id : undefined} type="radio" name=${id} checked=${chosen} onChange=${() => onChange(size)} />
        <span><svg viewBox="0 0 20 20" aria-hidden="true"><rect ...${outline(size)} rx="1.5" /></svg>${label}</span>
      </label>`;
    })}
  </div>`;
}

/**
 * Returns the outline of a size, within 20 by 20.
 * @param {import("../form/resolution.js").Size} size
 */
function outline({ w, h }) {
  const scale = 16 / Math.max(w, h);
  return { x: 10 - (w * scale) / 2, y: 10 - (h * scale) / 2, width: w * scale, height: h * scale };
}

/** @param {import("./control.js").ControlProps} props */
function FreeSize({ input, value, onChange, id, describedBy, invalid }) {
  const size = value || { w: "", h: "" };
  const complete = Number(size.w) > 0 && Number(size.h) > 0;
  const numbers = { w: Number(size.w), h: Number(size.h) };
  const side = (/** @type {"w" | "h"} */ name) => html`<${NumberInput}
    value=${size[name]}
    onValue=${(/** @type {number | string} */ length) => onChange({ ...size, [name]: length })}
    attributes=${{
      id: name === "w" ? id : undefined,
      class: "field",
      inputmode: "numeric",
      min: input.min,
      max: input.max,
      step: input.step ?? 8,
      "aria-label": name === "w" ? t("resolution.width") : t("resolution.height"),
      "aria-describedby": describedBy,
      "aria-invalid": invalid,
    }}
  />`;
  const sizes = sizesOf(Array.isArray(input.presets) ? optionsOf({ ...input, options: input.presets }) : []);
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
    ${sizes.length > 0 &&
    html`<div class="chips">
      ${sizes.map(
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
 * Returns the sizes among options, each with a label.
 * @param {{ value: any, label: string }[]} options
 */
function sizesOf(options) {
  return options.flatMap(({ value, label }) => {
    const size = parseSize(value);
    return size ? [{ label: label === value ? `${size.w} × ${size.h}` : label, size }] : [];
  });
}
