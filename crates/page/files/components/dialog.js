// A modal dialog: the browser's own, which keeps the focus inside and closes with Escape.
import { useEffect, useId, useRef } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./button.js";

/** @param {{ title: string, onClose: () => void, children?: any, actions?: any, size?: "small" | "large" | "full" }} props */
export function Dialog({ title, onClose, children, actions, size = "small" }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const heading = useId();
  useEffect(() => {
    const shown = dialog.current;
    const opener = document.activeElement;
    shown?.showModal();
    return () => {
      shown?.close();
      // The browser does not bring the focus back when the dialog leaves the document.
      if (opener instanceof HTMLElement) opener.focus({ preventScroll: true });
    };
  }, []);
  const onCancel = (/** @type {Event} */ event) => {
    if (event.target !== dialog.current) return;
    event.preventDefault();
    onClose();
  };
  const onBackdrop = (/** @type {MouseEvent} */ event) => {
    if (event.target === dialog.current) onClose();
  };
  return html`<dialog ref=${dialog} class="dialog ${size}" aria-labelledby=${heading} onCancel=${onCancel} onMouseDown=${onBackdrop}>
    <div class="dialog-box">
      <header class="dialog-head">
        <h2 id=${heading}>${title}</h2>
        <${Button} icon="close" kind="quiet" label=${t("close")} onClick=${onClose} />
      </header>
      <div class="dialog-body">${children}</div>
      ${actions && html`<footer class="dialog-actions">${actions}</footer>`}
    </div>
  </dialog>`;
}
