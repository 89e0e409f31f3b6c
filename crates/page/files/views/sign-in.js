// Shown while the server asks for a key.
import { useEffect, useId, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { signIn } from "../api/session.js";
import { Button } from "../components/button.js";
import { html } from "../html.js";
import { t } from "../i18n.js";

export function SignIn() {
  const id = useId();
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const busy = useSignal(false);
  const error = useSignal(/** @type {string | null} */ (null));
  useEffect(() => {
    document.title = `${t("signIn")} · comfy-runner`;
    field.current?.focus();
  }, []);
  const onSubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const key = field.current?.value ?? "";
    if (!key || busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      await signIn(key);
    } catch (failed) {
      error.value = failed instanceof Error ? failed.message : String(failed);
      field.current?.select();
    } finally {
      busy.value = false;
    }
  };
  return html`<main class="sign-in">
    <form onSubmit=${onSubmit}>
      <h1>${t("signIn.title")}</h1>
      <p class="muted">${t("signIn.text")}</p>
      <div class="form-field">
        <label class="label" for=${id}>${t("signIn.key")}</label>
        <input ref=${field} id=${id} class="field" type="password" autocomplete="current-password" required aria-invalid=${Boolean(error.value)} aria-describedby=${error.value ? `${id}-error` : undefined} />
        ${error.value && html`<p class="field-error" id=${`${id}-error`} role="alert">${error.value}</p>`}
      </div>
      <${Button} type="submit" kind="primary" busy=${busy.value}>${t("signIn")}</${Button}>
    </form>
  </main>`;
}
