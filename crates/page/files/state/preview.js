// The live preview of one job, drawn into a canvas. An image element would keep the decoded pictures of hundreds of previews
// in the browser's cache, some 600 MiB; a canvas takes the memory of one.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { closeSocket, socketUrl } from "./live.js";

/**
 * Follows the previews of a job while `running` is true. Returns whether there has been one.
 * @param {string} id
 * @param {boolean} running
 * @param {{ current: HTMLCanvasElement | null }} canvas
 */
export function usePreview(id, running, canvas) {
  const shown = useSignal(false);
  useEffect(() => {
    if (!running) return;
    let socket = /** @type {WebSocket | null} */ (null);
    let timer = 0;
    // Of previews that come faster than they are decoded, the newest is drawn.
    let next = /** @type {Blob | null} */ (null);
    let drawing = false;
    const draw = async () => {
      drawing = true;
      while (next) {
        const preview = next;
        next = null;
        try {
          const bitmap = await createImageBitmap(preview);
          if (canvas.current) paint(canvas.current, bitmap);
          bitmap.close();
          shown.value = true;
        } catch {
          // A broken preview is followed by another.
        }
      }
      drawing = false;
    };
    const open = () => {
      socket = new WebSocket(socketUrl(`?prompt_id=${encodeURIComponent(id)}`));
      socket.binaryType = "blob";
      socket.onmessage = (event) => {
        if (!(event.data instanceof Blob)) return;
        next = event.data;
        if (!drawing) void draw();
      };
      socket.onclose = () => {
        // The end of the job closes it too; then `running` becomes false, and the timer is cleared.
        timer = window.setTimeout(open, 1000);
      };
    };
    open();
    return () => {
      window.clearTimeout(timer);
      closeSocket(socket);
      next = null;
      shown.value = false;
    };
  }, [id, running]);
  return shown.value;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap} bitmap
 */
function paint(canvas, bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
}
