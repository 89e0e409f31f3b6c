// A file at its full size, as its kind is shown.
import { useSignal } from "@preact/signals";
import { Button, LinkButton } from "../../components/button.js";
import { useLoad } from "../../components/load.js";
import { Icon } from "../../components/icon.js";
import { Failed, Loading } from "../../components/states.js";
import { MEDIA_ICONS } from "../../components/thumbnail.js";
import { send } from "../../api/client.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { Compare } from "./compare.js";
import { Zoom } from "./zoom.js";

/** @import { JobFile } from "../../api/types.js" */

/** @param {{ file: JobFile, inputFile: string | null }} props */
export function FileView({ file, inputFile }) {
  const zooming = useSignal(false);
  const comparing = useSignal(false);
  const image = file.media === "image";
  return html`<figure class="file-view media-${file.media}">
    <div class="file-picture">
      ${image && html`<button type="button" class="picture-button" aria-label=${t("result.zoom")} onClick=${() => (zooming.value = true)}><img src=${file.url} alt=${t("result.image", { title: file.node_title })} /></button>`}
      ${file.media === "video" && html`<video src=${file.url} controls loop autoplay=${!calm()} muted playsinline aria-label=${file.filename}></video>`}
      ${file.media === "audio" && html`<div class="audio"><${Icon} name="audio" /><audio src=${file.url} controls aria-label=${file.filename}></audio></div>`}
      ${file.media === "text" && html`<${TextFile} url=${file.url} />`}
      ${(file.media === "3d" || file.media === "file") && html`<div class="plain-file"><${Icon} name=${MEDIA_ICONS[file.media]} /><span>${file.filename}</span></div>`}
    </div>
    <figcaption>
      <span class="file-caption" title=${file.filename}>${file.node_title}</span>
      ${image && html`<${Button} icon="zoom" kind="quiet" label=${t("result.zoom")} onClick=${() => (zooming.value = true)} />`}
      ${image && html`<${Button} icon="compare" kind="quiet" label=${t("result.compare")} onClick=${() => (comparing.value = true)} />`}
      <${LinkButton} icon="download" href=${file.url} download=${file.filename}>${t("download")}</${LinkButton}>
    </figcaption>
    ${zooming.value && html`<${Zoom} url=${file.url} title=${file.node_title} onClose=${() => (zooming.value = false)} />`}
    ${comparing.value && html`<${Compare} file=${file} inputFile=${inputFile} onClose=${() => (comparing.value = false)} />`}
  </figure>`;
}

function calm() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

const LONGEST_TEXT = 200_000;

/** @param {{ url: string }} props */
function TextFile({ url }) {
  const { data, error, reload } = useLoad(async () => (await send("GET", url)).text(), [url]);
  if (error) return html`<${Failed} error=${error} onRetry=${reload} />`;
  if (data === null) return html`<${Loading} />`;
  return html`<pre class="text-file" tabindex="0">${data.length > LONGEST_TEXT ? `${data.slice(0, LONGEST_TEXT)}…` : data}</pre>`;
}
