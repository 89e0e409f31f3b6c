// The name of a draft, and what can be done with it: save it, or download it.
import { useSignal } from "@preact/signals";
import { ApiError } from "../../api/client.js";
import { toJson } from "../../api/json.js";
import { addWorkflow, replaceManifest } from "../../api/workflows.js";
import { Button, LinkButton } from "../../components/button.js";
import { download } from "../../download.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { navigate } from "../../router.js";
import { notify } from "../../state/notices.js";
import { session } from "../../state/session.js";
import { zip } from "../../zip.js";

/** @param {{ draft: import("./draft.js").Draft, onClose: () => void }} props */
export function DraftHead({ draft, onClose }) {
  const { existing } = draft;
  const { id, name } = draft.about.value;
  const saving = useSignal(false);
  const refused = useSignal(/** @type {unknown} */ (null));
  const doing = async (/** @type {() => Promise<void>} */ action) => {
    saving.value = true;
    refused.value = null;
    try {
      await action();
    } catch (error) {
      refused.value = error;
    } finally {
      saving.value = false;
    }
  };
  const save = () =>
    doing(async () => {
      const yaml = await draft.text();
      if (existing) await replaceManifest(id, yaml, existing.etag);
      else await addWorkflow(id, yaml, draft.graph ?? {});
      draft.keep();
      notify(t("new.saved"));
      navigate(`/w/${encodeURIComponent(id)}`);
    });
  const saveZip = () =>
    doing(async () => {
      const files = { [`${id}/manifest.yaml`]: await draft.text(), [`${id}/workflow.json`]: `${toJson(draft.graph, 2)}\n` };
      download(`${id}.zip`, zip(files), "application/zip");
      draft.keep();
    });
  const disabled = draft.problems.value.length > 0 || draft.refused.value !== null;
  const maySave = session.value?.allow_edit ?? false;
  const changed = refused.value instanceof ApiError && refused.value.status === 412;
  return html`<div class="page-head">
      <h1>${existing ? t("edit.title", { name: name || id }) : name || id}</h1>
      <div class="filters">
        ${existing ? html`<${LinkButton} href=${`/w/${encodeURIComponent(id)}`}>${t("cancel")}</${LinkButton}>` : html`<${Button} onClick=${onClose}>${t("new.another")}</${Button}>`}
        ${!existing && html`<${Button} icon="download" kind=${maySave ? "plain" : "primary"} disabled=${disabled} onClick=${saveZip}>${t("new.zip")}</${Button}>`}
        ${maySave && html`<${Button} icon="check" kind="primary" busy=${saving.value} disabled=${disabled} onClick=${save}>${t("new.save")}</${Button}>`}
      </div>
    </div>
    ${!maySave && session.value && html`<p class="note">${t("new.noSaving")}</p>`}
    ${refused.value !== null &&
    html`<div class="note error" role="alert">
      <p>${refused.value instanceof Error ? refused.value.message : String(refused.value)}</p>
      ${changed && html`<${Button} icon="retry" onClick=${onClose}>${t("edit.again")}</${Button}>`}
    </div>`}`;
}
