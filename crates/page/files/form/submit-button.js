// The button that sends a form. It waits for files that are being uploaded.
import { Button } from "../components/button.js";
import { html } from "../html.js";
import { t } from "../i18n.js";

/**
 * @param {object} props
 * @param {import("./form.js").Form} props.form
 * @param {boolean} props.sending
 * @param {boolean} [props.disabled]
 * @param {"plain" | "primary"} [props.kind]
 * @param {string} props.className
 * @param {any} props.children
 */
export function SubmitButton({ form, sending, disabled = false, kind, className, children }) {
  const uploading = form.uploads.value > 0;
  return html`<${Button} type="submit" kind=${kind} icon="play" filled busy=${sending} disabled=${uploading || disabled} className=${className}>
    ${uploading ? t("file.uploading") : children}
  </${Button}>`;
}
