// A modal dialog: the browser's own, which keeps the focus inside and closes with Escape.
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./button.js";

/** @param {{ title: string, onClose: () => void, children?: any, actions?: any, size?: "small" | "large" | "full" }} props */
export function Dialog({ title, onClose, children, actions, size = "small" }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const heading = useId();
  // A layout effect ends while the dialog is still in the document: the browser brings the focus back where it was. An effect
  // would end later, and take the focus from where it has gone since.
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
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
