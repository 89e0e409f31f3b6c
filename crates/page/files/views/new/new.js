// A graph becomes a workflow: drop it, choose what callers may set, see the form and the manifest, save.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { inspect } from "../../api/workflows.js";
import { Button } from "../../components/button.js";
import { Icon } from "../../components/icon.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { createDraft } from "./draft.js";
import { DraftEditor } from "./draft-editor.js";

export function NewView() {
  const draft = useSignal(/** @type {import("./draft.js").Draft | null} */ (null));
  useEffect(() => {
    document.title = `${t("new.title")} · comfy-runner`;
  });
  if (draft.value) return html`<${DraftEditor} draft=${draft.value} onClose=${() => (draft.value = null)} />`;
  return html`<div class="page new-page">
    <div class="page-head"><h1>${t("new.title")}</h1></div>
    <${DropGraph} onDraft=${(/** @type {import("./draft.js").Draft} */ made) => (draft.value = made)} />
  </div>`;
}

/** @param {{ onDraft: (draft: import("./draft.js").Draft) => void }} props */
function DropGraph({ onDraft }) {
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));
  const busy = useSignal(false);
  const over = useSignal(false);
  const error = useSignal(/** @type {string | null} */ (null));
  const take = async (/** @type {File | undefined} */ file) => {
    if (!file || busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      const { yaml, manifest, graph, others, findings } = await inspect(file, idOf(file.name));
      onDraft(createDraft({ yaml, manifest, graph, others, findings }));
    } catch (failed) {
      error.value = failed instanceof Error ? failed.message : String(failed);
    } finally {
      busy.value = false;
    }
  };
  return html`<div
    class="file-zone drop-graph ${over.value ? "over" : ""}"
    onDragOver=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      over.value = true;
    }}
    onDragLeave=${() => (over.value = false)}
    onDrop=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      over.value = false;
      void take(event.dataTransfer?.files[0]);
    }}
  >
    <input
      ref=${picker}
      type="file"
      class="visually-hidden"
      tabindex="-1"
      aria-hidden="true"
      accept=".json,image/*,video/*,audio/*"
      onChange=${(/** @type {any} */ event) => {
        void take(event.currentTarget.files[0]);
        event.currentTarget.value = "";
      }}
    />
    <div class="file-empty">
      <${Icon} name="graph" />
      <p class="state-title">${t("new.drop")}</p>
      <p class="state-text">${t("new.dropText")}</p>
    </div>
    <div class="file-actions"><${Button} icon="upload" kind="primary" busy=${busy.value} onClick=${() => picker.current?.click()}>${t("file.choose")}</${Button}></div>
    ${error.value && html`<p class="note error" role="alert">${error.value}</p>`}
  </div>`;
}

/**
 * Returns an id for a workflow of this file.
 * @param {string} name
 */
function idOf(name) {
  const id = name.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
  return id || "workflow";
}
