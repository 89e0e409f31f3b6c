// A mask painted over an image with a brush.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { uploadFile } from "../api/files.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { notify, notifyError } from "../state/notices.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { maskPng, paintedPixels } from "./mask-png.js";

const MOST_UNDO = 20;

/** The name of the file says that the mask was painted: it belongs to the image below it. */
const PAINTED = "painted-mask.png";

/**
 * Returns whether a mask was painted here.
 * @param {string} name of an uploaded file
 */
export function isPainted(name) {
  return /painted-mask[^/]*\.png$/.test(name);
}

/** @param {{ image: string, mask: string | null, onDone: (name: string) => void, onClose: () => void }} props */
export function MaskPainter({ image, mask, onDone, onClose }) {
  const picture = useRef(/** @type {HTMLImageElement | null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const cursor = useRef(/** @type {HTMLElement | null} */ (null));
  const size = useSignal(40);
  const erasing = useSignal(false);
  const ready = useSignal(false);
  const saving = useSignal(false);
  const painted = useSignal(false);
  const history = useRef(/** @type {ImageData[]} */ ([]));
  const last = useRef(/** @type {{ x: number, y: number } | null} */ (null));

  const context = () => /** @type {CanvasRenderingContext2D} */ (canvas.current?.getContext("2d", { willReadFrequently: true }));
  const loaded = useRef(false);
  const onLoad = async () => {
    const [element, source] = [canvas.current, picture.current];
    if (!element || !source || loaded.current) return;
    loaded.current = true;
    [element.width, element.height] = [source.naturalWidth, source.naturalHeight];
    size.value = Math.max(4, Math.round(Math.min(element.width, element.height) / 12));
    if (mask) await startWith(mask);
    ready.value = true;
  };
  useEffect(() => {
    if (picture.current?.complete) void onLoad();
  }, []);
  const startWith = async (/** @type {string} */ url) => {
    try {
      const pixels = await paintedPixels(url, context().canvas);
      context().putImageData(pixels, 0, 0);
      painted.value = true;
    } catch {
      notify(t("mask.lost"), "error");
    }
  };

  /** @param {PointerEvent} event */
  const place = (event) => {
    const element = /** @type {HTMLCanvasElement} */ (canvas.current);
    const box = element.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * element.width, y: ((event.clientY - box.top) / box.height) * element.height, scale: box.width / element.width };
  };
  const stroke = (/** @type {{ x: number, y: number }} */ to) => {
    const from = last.current ?? to;
    const draw = context();
    draw.globalCompositeOperation = erasing.value ? "destination-out" : "source-over";
    draw.strokeStyle = "#fff";
    draw.lineWidth = size.value;
    draw.lineCap = "round";
    draw.beginPath();
    draw.moveTo(from.x, from.y);
    draw.lineTo(to.x, to.y + 0.01);
    draw.stroke();
    last.current = to;
    painted.value = true;
  };
  const onPointerDown = (/** @type {PointerEvent} */ event) => {
    if (!ready.value || event.button !== 0) return;
    canvas.current?.setPointerCapture(event.pointerId);
    remember();
    last.current = null;
    stroke(place(event));
  };
  const onPointerMove = (/** @type {PointerEvent} */ event) => {
    const at = place(event);
    const circle = cursor.current;
    if (circle) {
      const box = /** @type {HTMLElement} */ (circle.parentElement).getBoundingClientRect();
      circle.style.width = circle.style.height = `${size.value * at.scale}px`;
      circle.style.left = `${event.clientX - box.left}px`;
      circle.style.top = `${event.clientY - box.top}px`;
    }
    if (last.current) stroke(at);
  };
  const onPointerUp = () => (last.current = null);
  const remember = () => {
    const { width, height } = context().canvas;
    history.current = [...history.current.slice(1 - MOST_UNDO), context().getImageData(0, 0, width, height)];
  };
  const undo = () => {
    const before = history.current.pop();
    if (!before) return;
    context().putImageData(before, 0, 0);
    painted.value = before.data.some((byte) => byte !== 0);
  };
  const clear = () => {
    remember();
    const { width, height } = context().canvas;
    context().clearRect(0, 0, width, height);
    painted.value = false;
  };
  const fill = () => {
    remember();
    const { width, height } = context().canvas;
    const pixels = context().getImageData(0, 0, width, height);
    for (let index = 0; index < pixels.data.length; index += 4) {
      const alpha = 255 - (pixels.data[index + 3] ?? 0);
      pixels.data.set([255, 255, 255, alpha], index);
    }
    context().putImageData(pixels, 0, 0);
    painted.value = true;
  };
  const done = async () => {
    saving.value = true;
    try {
      const { width, height } = context().canvas;
      const png = await maskPng(context().getImageData(0, 0, width, height));
      onDone(await uploadFile(new File([png], PAINTED, { type: "image/png" }), () => {}));
    } catch (error) {
      notifyError(error);
      saving.value = false;
    }
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "[") size.value = Math.max(1, Math.round(size.value / 1.2));
    else if (event.key === "]") size.value = Math.round(size.value * 1.2) + 1;
    else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) undo();
    else return;
    event.preventDefault();
  };
  const actions = html`<${Button} onClick=${onClose}>${t("cancel")}</${Button}>
    <${Button} kind="primary" icon="check" busy=${saving.value} disabled=${!painted.value} onClick=${done}>${t("mask.use")}</${Button}>`;
  return html`<${Dialog} title=${t("mask.title")} size="full" onClose=${onClose} actions=${actions}>
    <div class="painter" onKeyDown=${onKeyDown}>
      <div class="painter-tools" role="toolbar" aria-label=${t("mask.tools")}>
        <${Button} icon="brush" pressed=${!erasing.value} onClick=${() => (erasing.value = false)}>${t("mask.brush")}</${Button}>
        <${Button} icon="eraser" pressed=${erasing.value} onClick=${() => (erasing.value = true)}>${t("mask.eraser")}</${Button}>
        <label class="painter-size">
          <span>${t("mask.size")}</span>
          <input type="range" min="1" max="400" value=${size.value} onInput=${(/** @type {any} */ event) => (size.value = event.currentTarget.valueAsNumber)} />
        </label>
        <${Button} icon="undo" label=${t("mask.undo")} onClick=${undo} />
        <${Button} icon="swap" onClick=${fill}>${t("mask.invert")}</${Button}>
        <${Button} icon="trash" onClick=${clear}>${t("mask.clear")}</${Button}>
      </div>
      <div class="painter-stage">
        <div class="painter-sheet">
          <img ref=${picture} src=${image} alt=${t("mask.image")} onLoad=${onLoad} />
          <canvas
            ref=${canvas}
            aria-label=${t("mask.canvas")}
            role="img"
            data-ready=${ready.value}
            onPointerDown=${onPointerDown}
            onPointerMove=${onPointerMove}
            onPointerUp=${onPointerUp}
            onPointerCancel=${onPointerUp}
          ></canvas>
          <span ref=${cursor} class="painter-cursor" aria-hidden="true"></span>
        </div>
      </div>
    </div>
  </${Dialog}>`;
}
