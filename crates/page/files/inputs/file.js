// A file: dropped, pasted, chosen from disk, or one that was uploaded before. It is uploaded at once, so that the form holds
// its name only.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { inputUrl, uploadFile } from "../api/files.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { mediaOf, takesFile } from "../media.js";
import { Button } from "../components/button.js";
import { Icon } from "../components/icon.js";
import { MEDIA_ICONS } from "../components/thumbnail.js";
import { EarlierFiles } from "./earlier-files.js";

/** @typedef {"image" | "video" | "audio" | "3d"} Media what an input takes */

/** @satisfies {Record<string, { accept: string, media: Media }>} */
const KINDS = /** @type {const} */ ({
  image: { accept: "image/*", media: "image" },
  mask: { accept: "image/*", media: "image" },
  video: { accept: "video/*,image/gif,image/webp", media: "video" },
  audio: { accept: "audio/*,video/*", media: "audio" },
  "3d": { accept: ".glb,.gltf,.obj,.stl,.fbx,.ply,.usdz,.spz,.splat,.ksplat", media: "3d" },
});

/** @param {import("./control.js").ControlProps & { actions?: any }} props `actions`: further buttons below the preview */
export function FileControl({ input, value, onChange, id, describedBy, path, form, actions }) {
  const { accept, media } = KINDS[/** @type {keyof typeof KINDS} */ (input.type)];
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const fraction = useSignal(/** @type {number | null} */ (null));
  const error = useSignal(/** @type {string | null} */ (null));
  const over = useSignal(false);
  const choosing = useSignal(false);
  const name = String(value ?? "");

  const take = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    error.value = isOfOtherKind(media, file.name) ? t(`file.other.${media}`, { name: file.name }) : null;
    if (error.value) return;
    fraction.value = 0;
    form.uploads.value += 1;
    try {
      onChange(await uploadFile(file, (sent) => (fraction.value = sent)));
    } catch (failed) {
      error.value = failed instanceof Error ? failed.message : String(failed);
    } finally {
      fraction.value = null;
      form.uploads.value -= 1;
    }
  };
  const onDrop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    over.value = false;
    void take(event.dataTransfer?.files[0]);
  };
  // A paste in a focused input goes there; one anywhere else goes to the first input that takes its kind.
  const zone = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const onPaste = (/** @type {ClipboardEvent} */ event) => {
      const file = event.clipboardData?.files[0];
      const element = zone.current;
      if (!file || !element || document.querySelector("dialog[open]")) return;
      const focused = document.activeElement?.closest("[data-takes-files]");
      if (element !== (focused ?? firstZoneFor(file.name))) return;
      event.preventDefault();
      void take(file);
    };
    document.addEventListener("paste", onPaste);
    return () => document.removeEventListener("paste", onPaste);
  });

  return html`<div
    ref=${zone}
    data-takes-files=${media}
    class="file-zone ${over.value ? "over" : ""} ${name ? "filled" : ""}"
    onDragOver=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      over.value = true;
    }}
    onDragLeave=${() => (over.value = false)}
    onDrop=${onDrop}
  >
    <input
      ref=${picker}
      type="file"
      class="visually-hidden"
      tabindex="-1"
      aria-hidden="true"
      accept=${accept}
      onChange=${(/** @type {any} */ event) => {
        void take(event.currentTarget.files[0]);
        event.currentTarget.value = "";
      }}
    />
    ${name ? html`<${FilePreview} name=${name} media=${media} />` : html`<div class="file-empty"><${Icon} name=${MEDIA_ICONS[media]} /><span>${t("file.drop")}</span></div>`}
    ${fraction.value !== null && html`<progress class="upload" max="1" value=${fraction.value} aria-label=${t("file.uploading")}></progress>`}
    <div class="file-actions">
      <button id=${id} type="button" class="button plain" aria-describedby=${describedBy} onClick=${() => picker.current?.click()}>
        <${Icon} name="upload" /><span>${name ? t("file.replace") : t("file.choose")}</span>
      </button>
      <${Button} icon="library" onClick=${() => (choosing.value = true)}>${t("file.earlier")}</${Button}>
      ${actions}
      ${name && html`<${Button} icon="close" kind="quiet" label=${t("file.remove")} onClick=${() => onChange("")} />`}
    </div>
    ${error.value && html`<p class="field-error" role="alert">${error.value}</p>`}
    ${choosing.value &&
    html`<${EarlierFiles}
      media=${media}
      onChoose=${(/** @type {string} */ chosen) => {
        choosing.value = false;
        onChange(chosen);
      }}
      onClose=${() => (choosing.value = false)}
    />`}
  </div>`;
}

/**
 * Returns whether the name says that a file is nothing for an input. Without a known ending, the server decides.
 * @param {Media} media
 * @param {string} filename
 */
function isOfOtherKind(media, filename) {
  return mediaOf(filename) !== "file" && !takesFile(media, filename);
}

/**
 * Returns the first input that takes a file, or else the first of all.
 * @param {string} filename
 */
function firstZoneFor(filename) {
  const zones = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-takes-files]")]);
  return zones.find((zone) => !isOfOtherKind(/** @type {Media} */ (zone.dataset.takesFiles), filename)) ?? zones[0];
}

/** @param {{ name: string, media: Media }} props */
function FilePreview({ name, media }) {
  const url = inputUrl(name);
  const animated = /\.(gif|webp|apng)$/i.test(name);
  if (media === "image" || animated) return html`<img class="file-preview" src=${url} alt=${name} />`;
  if (media === "video") return html`<video class="file-preview" src=${url} controls muted playsinline aria-label=${name}></video>`;
  if (media === "audio") return html`<audio class="file-preview" src=${url} controls aria-label=${name}></audio>`;
  return html`<div class="file-name"><${Icon} name=${MEDIA_ICONS[media]} />${name}</div>`;
}
