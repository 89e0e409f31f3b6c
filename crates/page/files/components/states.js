// What a view shows before, instead of and without its content.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";

/**
 * A view before its content.
 * @param {{ title?: string }} props
 */
export function LoadingPage({ title }) {
  return html`<div class="page"><h1 class="visually-hidden">${title ?? t("loading")}</h1><${Loading} /></div>`;
}

/**
 * A view without its content.
 * @param {{ title: string, error: Error, onRetry: () => void, children?: any }} props
 */
export function FailedPage({ title, error, onRetry, children }) {
  return html`<div class="page"><div class="page-head"><h1>${title}</h1></div><${Failed} error=${error} onRetry=${onRetry}>${children}</${Failed}></div>`;
}

/** @param {{ label?: string }} props */
export function Loading({ label }) {
  return html`<div class="state" role="status"><span class="spinner large" aria-hidden="true"></span><p>${label ?? t("loading")}</p></div>`;
}

/** @param {{ icon: import("./icon.js").IconName, title: string, heading?: boolean, children?: any }} props `heading`: it is the whole view */
export function Empty({ icon, title, heading = false, children }) {
  return html`<div class="state">
    <${Icon} name=${icon} />
    <${heading ? "h1" : "p"} class="state-title">${title}</${heading ? "h1" : "p"}>
    ${children && html`<div class="state-text">${children}</div>`}
  </div>`;
}

/** @param {{ error: Error, onRetry?: () => void, children?: any }} props */
export function Failed({ error, onRetry, children }) {
  return html`<div class="state failed" role="alert">
    <${Icon} name="warning" />
    <p class="state-title">${t("error.title")}</p>
    <p class="state-text">${error.message}</p>
    ${onRetry && html`<${Button} icon="retry" onClick=${onRetry}>${t("error.retry")}</${Button}>`}
    ${children}
  </div>`;
}
