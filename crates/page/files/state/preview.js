// The live preview of one job, as the address of an image. Each address is revoked when the next image has come, so that an
// hour of previews takes the memory of two.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { closeSocket, socketUrl } from "./live.js";

/**
 * Follows the previews of a job while `running` is true.
 * @param {string} id
 * @param {boolean} running
 * @returns {string | null}
 */
export function usePreview(id, running) {
  const address = useSignal(/** @type {string | null} */ (null));
  useEffect(() => {
    if (!running) return;
    let socket = /** @type {WebSocket | null} */ (null);
    let timer = 0;
    const open = () => {
      socket = new WebSocket(socketUrl(`?prompt_id=${encodeURIComponent(id)}`));
      socket.binaryType = "blob";
      socket.onmessage = (event) => {
        if (!(event.data instanceof Blob)) return;
        const before = address.peek();
        address.value = URL.createObjectURL(event.data);
        if (before) URL.revokeObjectURL(before);
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
      const before = address.peek();
      address.value = null;
      if (before) URL.revokeObjectURL(before);
    };
  }, [id, running]);
  return address.value;
}
