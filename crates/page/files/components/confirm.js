// A question before something that cannot be undone.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./button.js";
import { Dialog } from "./dialog.js";

/** @param {{ title: string, text: string, action: string, onConfirm: () => void, onClose: () => void }} props */
export function Confirm({ title, text, action, onConfirm, onClose }) {
  const actions = html`
    <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
    <${Button} kind="danger" onClick=${onConfirm}>${action}</${Button}>
  `;
  return html`<${Dialog} title=${title} onClose=${onClose} actions=${actions}><p>${text}</p></${Dialog}>`;
}
