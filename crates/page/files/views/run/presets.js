// The presets of a workflow: named values that fill the form.
import { html } from "../../html.js";
import { t } from "../../i18n.js";

/** @param {{ manifest: import("../../api/types.js").Manifest, form: import("../../form/form.js").Form }} props */
export function Presets({ manifest, form }) {
  const presets = Object.entries(manifest.presets ?? {}).filter(([, preset]) => preset && typeof preset.params === "object");
  if (presets.length === 0) return null;
  return html`<div class="presets" role="group" aria-label=${t("presets")}>
    <span class="label">${t("presets")}</span>
    <div class="chips">
      ${presets.map(
        ([name, preset]) => html`<button key=${name} type="button" class="chip" title=${preset.description} onClick=${() => form.applyPreset(preset.params)}>${preset.label ?? name}</button>`,
      )}
    </div>
  </div>`;
}
