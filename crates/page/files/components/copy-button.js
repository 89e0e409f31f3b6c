// Copies a text to the clipboard.
import { useSignal } from "@preact/signals";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { notifyError } from "../state/notices.js";
import { Button } from "./button.js";

/** @param {{ text: string, label?: string, icon?: import("./icon.js").IconName }} props */
export function CopyButton({ text, label, icon = "copy" }) {
  const copied = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      copied.value = true;
      window.setTimeout(() => (copied.value = false), 2000);
    } catch (error) {
      notifyError(error);
    }
  };
  return html`<${Button} icon=${copied.value ? "check" : icon} kind="quiet" onClick=${copy}>${copied.value ? t("copied") : label ?? t("copy")}</${Button}>`;
}
