// What a job made: one file large, the others to choose from, and texts.
import { useSignal } from "@preact/signals";
import { getFiles } from "../../api/jobs.js";
import { CopyButton } from "../../components/copy-button.js";
import { useLoad } from "../../components/load.js";
import { Empty, Failed, Loading } from "../../components/states.js";
import { Thumbnail } from "../../components/thumbnail.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { FileView } from "./file-view.js";

/** @import { JobFile, JobRecord, JobText } from "../../api/types.js" */

/** @param {{ id: string, record: JobRecord | null }} props */
export function Result({ id, record }) {
  const { data, error, reload } = useLoad(() => getFiles(id), [id]);
  const chosen = useSignal(0);
  if (error) return html`<${Failed} error=${error} onRetry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  const files = sorted(data.files, record?.result_nodes ?? []);
  const file = files[chosen.value] ?? files[0];
  if (!file && data.texts.length === 0) return html`<${Empty} icon="file" title=${t("result.none")} />`;
  return html`${file && html`<${FileView} key=${file.url} file=${file} inputFile=${inputImage(record)} />`}
    ${files.length > 1 &&
    html`<div class="result-files" role="group" aria-label=${t("result.files")}>
      ${files.map(
        (other, index) => html`<button
          key=${other.url}
          type="button"
          class="film-tile"
          aria-current=${other === file || undefined}
          aria-label=${`${other.node_title}: ${other.filename}`}
          title=${`${other.node_title}: ${other.filename}`}
          onClick=${() => (chosen.value = index)}
        >
          <${Thumbnail} file=${other} alt="" />
        </button>`,
      )}
    </div>`}
    ${data.texts.map((text, index) => html`<${Text} key=${index} text=${text} />`)}`;
}

/** @param {{ text: JobText }} props */
function Text({ text }) {
  return html`<figure class="result-text">
    <figcaption><span class="file-caption">${text.node_title}</span><${CopyButton} text=${text.text} /></figcaption>
    <pre class="text-file" tabindex="0">${text.text}</pre>
  </figure>`;
}

/**
 * Returns the files in the order of the API's own choice: result nodes, then final files, then those that ComfyUI keeps.
 * @param {JobFile[]} files
 * @param {string[]} resultNodes
 */
function sorted(files, resultNodes) {
  const order = ["video", "image", "3d", "audio", "text", "file"];
  const rank = (/** @type {JobFile} */ file) =>
    (resultNodes.includes(file.node_id) ? 0 : 100) + (file.type !== "output" ? 50 : file.subfolder.endsWith("/intermediate") ? 20 : 0) + order.indexOf(file.media);
  return [...files].sort((a, b) => rank(a) - rank(b));
}

/**
 * Returns the name of the image that the job read, to compare the result with.
 * @param {JobRecord | null} record
 */
function inputImage(record) {
  return record?.input_files.find((name) => /\.(png|jpe?g|webp|avif|bmp|gif)$/i.test(name)) ?? null;
}
