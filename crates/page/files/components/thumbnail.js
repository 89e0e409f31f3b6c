// A small picture of a file: an image, the first frame of a video, or the icon of its kind.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { fileUrl, thumbnailUrl } from "../api/files.js";
import { html } from "../html.js";
import { mediaOf } from "../media.js";
import { Icon } from "./icon.js";

/** @import { Media, OutputFile } from "../api/types.js" */

/** @type {Record<Media, import("./icon.js").IconName>} */
export const MEDIA_ICONS = { image: "image", video: "video", audio: "audio", "3d": "cube", text: "text", file: "file" };

/**
 * @param {{ file: OutputFile, alt: string, play?: boolean }} props `play` plays a video without sound while it is in view
 */
export function Thumbnail({ file, alt, play }) {
  const broken = useSignal(false);
  const media = mediaOf(file.filename);
  if (broken.value || (media !== "image" && media !== "video")) {
    return html`<span class="thumbnail-icon" role="img" aria-label=${alt}><${Icon} name=${MEDIA_ICONS[media]} /></span>`;
  }
  const onError = () => (broken.value = true);
  if (media === "video") return html`<${MutedVideo} src=${fileUrl(file)} label=${alt} play=${play} onError=${onError} />`;
  return html`<img src=${thumbnailUrl(file)} alt=${alt} loading="lazy" decoding="async" onError=${onError} />`;
}

/** @param {{ src: string, label: string, play?: boolean, onError: () => void }} props */
function MutedVideo({ src, label, play, onError }) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  useEffect(() => {
    const element = video.current;
    if (!element || !play || window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting) element.play().catch(() => {});
      else element.pause();
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [src, play]);
  return html`<video ref=${video} src=${src} aria-label=${label} muted loop playsinline preload="metadata" onError=${onError}></video>`;
}
