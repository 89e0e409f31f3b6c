// A job as code: the same run with curl, Python and JavaScript.
import { useSignal } from "@preact/signals";
import { getFiles } from "../../api/jobs.js";
import { CopyButton } from "../../components/copy-button.js";
import { useLoad } from "../../components/load.js";
import { Loading } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { authorGraph, withAuthorPrefixes } from "./author-prefix.js";
import { CODE_LANGUAGES, codeFor } from "./snippets.js";

/** @param {{ record: import("../../api/types.js").JobRecord, inLibrary: boolean }} props */
export function Code({ record, inLibrary }) {
  const { prompt_id: id, workflow_id: workflowId, status } = record;
  // Only a graph can be sent where the library has no such workflow.
  const languages = CODE_LANGUAGES.filter(({ id }) => inLibrary || id === "sdk");
  const language = useSignal(languages[0]?.id ?? "curl");
  const made = useLoad(async () => (status === "completed" ? getFiles(id) : { files: [], texts: [] }), [id, status]);
  const sendsGraph = language.value === "sdk";
  const author = useLoad(async () => ({ sendsGraph, graph: sendsGraph && inLibrary ? await authorGraph(workflowId) : null }), [workflowId, inLibrary, sendsGraph]);
  const known = (made.data || made.error) && (author.data?.sendsGraph === sendsGraph || author.error);
  const text = known
    ? codeFor(language.value, {
        base: window.location.origin,
        workflowId,
        params: { ...record.params, ...record.seeds },
        graph: withAuthorPrefixes(/** @type {any} */ (record.graph), author.data?.graph ?? null),
        files: made.data?.files.map(({ filename }) => filename) ?? [],
        hasTexts: (made.data?.texts ?? []).length > 0,
      })
    : null;
  return html`<div class="code-view">
    <div class="code-head">
      <div class="segments" role="radiogroup" aria-label=${t("code.language")}>
        ${languages.map(
          ({ id, name }) => html`<label key=${id}><input type="radio" name="code-language" checked=${language.value === id} onChange=${() => (language.value = id)} /><span>${name}</span></label>`,
        )}
      </div>
      ${text !== null && html`<${CopyButton} text=${text} />`}
    </div>
    ${text === null ? html`<${Loading} />` : html`<pre tabindex="0" aria-label=${t("job.code")}><code>${text}</code></pre>`}
    <p class="muted">${t("code.key")}</p>
  </div>`;
}
