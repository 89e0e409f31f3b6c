// What a view shows before, instead of and without its content.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";

/** @param {{ label?: string }} props */
export function Loading({ label }) {
  return html`<div class="state" role="status"><span class="spinner large" aria-hidden="true"></span><p>${label ?? t("loading")}</p></div>`;
}

/** @param {{ icon: import("./icon.js").IconName, title: string, children?: any }} props */
export function Empty({ icon, title, children }) {
  return html`<div class="state">
    <${Icon} name=${icon} />
    <p class="state-title">${title}</p>
    ${children && html`<div class="state-text">${children}</div>`}
  </div>`;
}

/** @param {{ error: Error, onRetry?: () => void }} props */
export function Failed({ error, onRetry }) {
  return html`<div class="state failed" role="alert">
    <${Icon} name="warning" />
    <p class="state-title">${t("error.title")}</p>
    <p class="state-text">${error.message}</p>
    ${onRetry && html`<${Button} icon="retry" onClick=${onRetry}>${t("error.retry")}</${Button}>`}
  </div>`;
}
