// The reader's settings: theme, language, and signing out.
import { useId, useRef } from "preact/hooks";
import { html } from "../html.js";
import { LANGUAGES, language, setLanguage, t } from "../i18n.js";
import { THEMES, setTheme, theme } from "../theme.js";
import { signOut } from "../api/session.js";
import { notifyError } from "../state/notices.js";
import { session } from "../state/session.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";

export function SettingsMenu() {
  const id = useId();
  const button = useRef(/** @type {HTMLElement | null} */ (null));
  const place = (/** @type {any} */ event) => {
    if (event.newState !== "open" || !button.current) return;
    const box = button.current.getBoundingClientRect();
    event.currentTarget.style.top = `${box.bottom + 6}px`;
    event.currentTarget.style.right = `${window.innerWidth - box.right}px`;
  };
  return html`<button ref=${button} type="button" class="button quiet icon-only" popovertarget=${id} aria-label=${t("settings")} title=${t("settings")}>
      <${Icon} name="settings" />
    </button>
    <div id=${id} popover class="menu" onBeforeToggle=${place}>
      <fieldset>
        <legend>${t("settings.theme")}</legend>
        <div class="segments">
          ${THEMES.map(
            (name) => html`<label key=${name}><input type="radio" name="theme" checked=${theme.value === name} onChange=${() => setTheme(name)} /><span>${t(`theme.${name}`)}</span></label>`,
          )}
        </div>
      </fieldset>
      <fieldset>
        <legend>${t("settings.language")}</legend>
        <div class="segments">
          ${LANGUAGES.map(
            ({ code, name }) => html`<label key=${code}><input type="radio" name="language" checked=${language.value === code} onChange=${() => setLanguage(code)} /><span lang=${code}>${name}</span></label>`,
          )}
        </div>
      </fieldset>
      <${SignOut} />
    </div>`;
}

/** Only where a key was asked for. */
function SignOut() {
  if (!session.value?.required) return null;
  return html`<${Button} icon="out" className="sign-out" onClick=${() => signOut().catch(notifyError)}>${t("signOut")}</${Button}>`;
}
