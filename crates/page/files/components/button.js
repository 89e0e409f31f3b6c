// Buttons with an icon, a text, or both. A button without text has a label that screen readers and tooltips show.
import { html } from "../html.js";
import { Icon } from "./icon.js";

/**
 * @typedef {object} ButtonProps
 * @property {import("./icon.js").IconName} [icon]
 * @property {string} [label] the name of a button without text
 * @property {string} [title] a tooltip, for a button with a text
 * @property {any} [children]
 * @property {"plain" | "primary" | "danger" | "quiet"} [kind]
 * @property {boolean} [filled]
 * @property {boolean} [disabled]
 * @property {boolean} [pressed]
 * @property {boolean} [busy]
 * @property {"button" | "submit"} [type]
 * @property {string} [className]
 * @property {(event: MouseEvent) => void} [onClick]
 */

/** @param {ButtonProps} props */
export function Button({ icon, label, title, children, kind = "plain", filled, disabled, pressed, busy, type = "button", className = "", onClick }) {
  return html`<button
    type=${type}
    class="button ${kind} ${children ? "" : "icon-only"} ${className}"
    aria-label=${label}
    title=${title ?? label}
    disabled=${disabled}
    aria-pressed=${pressed}
    aria-busy=${busy || undefined}
    onClick=${onClick}
  >
    ${busy ? html`<span class="spinner" aria-hidden="true"></span>` : icon && html`<${Icon} name=${icon} filled=${filled} />`}
    ${children && html`<span>${children}</span>`}
  </button>`;
}

/**
 * A link that looks like a button.
 * @param {{ href: string, icon?: import("./icon.js").IconName, label?: string, children?: any, kind?: string, download?: string | boolean, className?: string, external?: boolean }} props
 */
export function LinkButton({ href, icon, label, children, kind = "plain", download, className = "", external }) {
  return html`<a
    class="button ${kind} ${children ? "" : "icon-only"} ${className}"
    href=${href}
    aria-label=${label}
    title=${label}
    download=${download}
    target=${external ? "_blank" : undefined}
    rel=${external ? "noopener" : undefined}
  >
    ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
  </a>`;
}
