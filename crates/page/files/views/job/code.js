// A job as code: the same run with curl, Python and JavaScript.
import { useSignal } from "@preact/signals";
import { CopyButton } from "../../components/copy-button.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { CODE_LANGUAGES, codeFor } from "./snippets.js";

/** @param {{ record: import("../../api/types.js").JobRecord, inLibrary: boolean }} props */
export function Code({ record, inLibrary }) {
  // Only a graph can be sent where the library has no such workflow.
  const languages = CODE_LANGUAGES.filter(({ id }) => inLibrary || id === "sdk");
  const language = useSignal(languages[0]?.id ?? "curl");
  const text = codeFor(language.value, { base: window.location.origin, workflowId: record.workflow_id, params: { ...record.params, ...record.seeds }, graph: record.graph });
  return html`<div class="code-view">
    <div class="code-head">
      <div class="segments" role="radiogroup" aria-label=${t("code.language")}>
        ${languages.map(
          ({ id, name }) => html`<label key=${id}><input type="radio" name="code-language" checked=${language.value === id} onChange=${() => (language.value = id)} /><span>${name}</span></label>`,
        )}
      </div>
      <${CopyButton} text=${text} />
    </div>
    <pre tabindex="0" aria-label=${t("job.code")}><code>${text}</code></pre>
    <p class="muted">${t("code.key")}</p>
  </div>`;
}
