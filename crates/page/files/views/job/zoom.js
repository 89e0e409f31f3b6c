// An image that can be enlarged and moved: wheel, drag, pinch, keys and buttons.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { Button } from "../../components/button.js";
import { Dialog } from "../../components/dialog.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";

const LARGEST = 16;

/** @param {{ url: string, title: string, onClose: () => void }} props */
export function Zoom({ url, title, onClose }) {
  const view = useSignal({ scale: 1, x: 0, y: 0 });
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  /** @type {{ current: Map<number, { x: number, y: number }> }} */
  const pointers = useRef(new Map());
  // After the dialog has focused its first button: keys are for the picture.
  useEffect(() => frame.current?.focus(), []);

  /** Enlarges about a point, which keeps its place. */
  const zoomBy = (/** @type {number} */ factor, /** @type {{ x: number, y: number }} */ about = { x: 0, y: 0 }) => {
    const { scale, x, y } = view.value;
    const next = Math.min(LARGEST, Math.max(1, scale * factor));
    const change = next / scale;
    view.value = next === 1 ? { scale: 1, x: 0, y: 0 } : { scale: next, x: about.x - (about.x - x) * change, y: about.y - (about.y - y) * change };
  };
  const fromCentre = (/** @type {{ clientX: number, clientY: number }} */ event) => {
    const box = /** @type {HTMLElement} */ (frame.current).getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };
  const onPointerDown = (/** @type {PointerEvent} */ event) => {
    frame.current?.setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const onPointerMove = (/** @type {PointerEvent} */ event) => {
    const before = pointers.current.get(event.pointerId);
    if (!before) return;
    const other = [...pointers.current].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const [was, is] = [Math.hypot(before.x - other.x, before.y - other.y), Math.hypot(event.clientX - other.x, event.clientY - other.y)];
      zoomBy(is / Math.max(1, was), fromCentre({ clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 }));
    } else if (view.value.scale > 1) {
      view.value = { ...view.value, x: view.value.x + event.clientX - before.x, y: view.value.y + event.clientY - before.y };
    }
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const onPointerUp = (/** @type {PointerEvent} */ event) => void pointers.current.delete(event.pointerId);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = 60;
    const moves = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] });
    const move = moves[event.key];
    if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") zoomBy(0);
    else if (move && view.value.scale > 1) view.value = { ...view.value, x: view.value.x + move[0], y: view.value.y + move[1] };
    else return;
    event.preventDefault();
  };
  const { scale, x, y } = view.value;
  return html`<${Dialog} title=${title} size="full" onClose=${onClose}>
    <div
      ref=${frame}
      class="zoom"
      tabindex="0"
      role="group"
      aria-label=${t("zoom.help")}
      onKeyDown=${onKeyDown}
      onWheel=${(/** @type {WheelEvent} */ event) => {
        event.preventDefault();
        zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, fromCentre(event));
      }}
      onDblClick=${(/** @type {MouseEvent} */ event) => (scale > 1 ? zoomBy(0) : zoomBy(3, fromCentre(event)))}
      onPointerDown=${onPointerDown}
      onPointerMove=${onPointerMove}
      onPointerUp=${onPointerUp}
      onPointerCancel=${onPointerUp}
    >
      <img src=${url} alt=${title} draggable=${false} style=${{ transform: `translate(${x}px, ${y}px) scale(${scale})` }} />
    </div>
    <div class="zoom-bar">
      <${Button} icon="minus" label=${t("zoom.out")} onClick=${() => zoomBy(1 / 1.5)} />
      <span aria-live="polite">${Math.round(scale * 100)} %</span>
      <${Button} icon="plus" label=${t("zoom.in")} onClick=${() => zoomBy(1.5)} />
      <${Button} onClick=${() => zoomBy(0)}>${t("zoom.fit")}</${Button}>
    </div>
  </${Dialog}>`;
}
