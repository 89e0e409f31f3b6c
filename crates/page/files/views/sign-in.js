// Shown while the server asks for a key.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Empty } from "../components/states.js";

export function SignIn() {
  return html`<main class="sign-in"><${Empty} icon="lock" title=${t("signIn.title")}><p>${t("signIn.text")}</p></${Empty}></main>`;
}
