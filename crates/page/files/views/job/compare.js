// Two images over each other with a slider between them: the result, and the input or another result.
import { useSignal } from "@preact/signals";
import { listJobs } from "../../api/jobs.js";
import { fileUrl, inputUrl } from "../../api/files.js";
import { Dialog } from "../../components/dialog.js";
import { useLoad } from "../../components/load.js";
import { Empty } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { mediaOf, thumbnailOf } from "../../media.js";

/** @import { JobFile } from "../../api/types.js" */

/** @param {{ file: JobFile, inputFile: string | null, onClose: () => void }} props */
export function Compare({ file, inputFile, onClose }) {
  const { data } = useLoad(() => listJobs({ status: "completed", limit: 40 }), []);
  const input = inputFile ? [{ url: inputUrl(inputFile), label: t("compare.input") }] : [];
  const others = (data?.jobs ?? []).flatMap((job) => {
    const other = thumbnailOf(job);
    if (!other || mediaOf(other.filename) !== "image" || fileUrl(other) === file.url) return [];
    return [{ url: fileUrl(other), label: `${job.workflow_name} · ${job.prompt_id.slice(0, 8)}` }];
  });
  const choices = [...input, ...others];
  const chosen = useSignal(0);
  const place = useSignal(50);
  const other = choices[chosen.value];
  return html`<${Dialog} title=${t("result.compare")} size="full" onClose=${onClose}>
    ${data && choices.length === 0 && html`<${Empty} icon="compare" title=${t("compare.none")} />`}
    ${other &&
    html`<div class="compare">
      <div class="compare-pictures" style=${{ "--place": `${place.value}%` }}>
        <img src=${file.url} alt=${t("compare.this")} draggable=${false} />
        <img class="compare-other" src=${other.url} alt=${other.label} draggable=${false} />
        <span class="compare-line" aria-hidden="true"></span>
        <input type="range" min="0" max="100" step="0.5" value=${place.value} aria-label=${t("compare.slider")} onInput=${(/** @type {any} */ event) => (place.value = event.currentTarget.valueAsNumber)} />
      </div>
      <div class="compare-bar">
        <label><span>${t("compare.with")}</span>
          <select class="field" onChange=${(/** @type {any} */ event) => (chosen.value = Number(event.currentTarget.value))}>
            ${choices.map((choice, index) => html`<option key=${choice.url} value=${index} selected=${index === chosen.value}>${choice.label}</option>`)}
          </select>
        </label>
      </div>
    </div>`}
  </${Dialog}>`;
}
