// An address that is none of the page.
import { LinkButton } from "../components/button.js";
import { Empty } from "../components/states.js";
import { html } from "../html.js";
import { t } from "../i18n.js";

export function NotFound() {
  return html`<${Empty} icon="search" title=${t("notFound")} heading><${LinkButton} href="/" icon="library">${t("nav.library")}</${LinkButton}></${Empty}>`;
}
