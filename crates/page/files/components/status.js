// A job's status as a word with a colour and a shape.
import { html } from "../html.js";
import { t } from "../i18n.js";

/** @param {{ status: import("../api/types.js").Status }} props */
export function StatusBadge({ status }) {
  return html`<span class="badge status-${status}">${t(`status.${status}`)}</span>`;
}
