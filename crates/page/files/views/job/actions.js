// What can be done with a job.
import { useSignal } from "@preact/signals";
import { deleteJob, packageUrl, retryJob } from "../../api/jobs.js";
import { toJson } from "../../api/json.js";
import { build } from "../../api/workflows.js";
import { Button, LinkButton } from "../../components/button.js";
import { Confirm } from "../../components/confirm.js";
import { CopyButton } from "../../components/copy-button.js";
import { download } from "../../download.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { forget, isOver } from "../../state/jobs.js";
import { notify, notifyError } from "../../state/notices.js";
import { authorGraph, editorGraphWithAuthorPrefixes } from "./author-prefix.js";

/** @import { JobRecord, Status } from "../../api/types.js" */

/**
 * @param {object} props
 * @param {string} props.id
 * @param {Status} props.status
 * @param {boolean} props.inLibrary
 * @param {JobRecord | null} props.record
 * @param {((id: string) => void) | null} props.onUseValues null where no form takes them
 * @param {(id: string) => void} props.onQueued
 * @param {(id: string) => void} props.onDeleted
 */
export function JobActions({ id, status, inLibrary, record, onUseValues, onQueued, onDeleted }) {
  const busy = useSignal("");
  const deleting = useSignal(false);
  const doing = async (/** @type {string} */ name, /** @type {() => Promise<void>} */ action) => {
    busy.value = name;
    try {
      await action();
    } catch (error) {
      notifyError(error);
    } finally {
      busy.value = "";
    }
  };
  const retry = () =>
    doing("retry", async () => {
      onQueued((await retryJob(id)).prompt_id);
    });
  const openInEditor = () =>
    doing("editor", async () => {
      if (!record) return;
      const workflowId = record.workflow_id;
      const [built, author] = await Promise.all([build(workflowId, { ...record.params, ...record.seeds }, "workflow"), authorGraph(workflowId)]);
      download(`${workflowId}.json`, toJson(editorGraphWithAuthorPrefixes(built, author), 2), "application/json");
      notify(t("job.editorHint"));
    });
  const remove = () =>
    doing("delete", async () => {
      deleting.value = false;
      await deleteJob(id);
      forget(id);
      onDeleted(id);
    });
  const over = isOver(status);
  const link = record && new URL(`/w/${encodeURIComponent(record.workflow_id)}?from=${encodeURIComponent(id)}`, window.location.href).href;
  return html`<div class="job-actions" role="group" aria-label=${t("job.actions")}>
    ${over && html`<${Button} icon="retry" busy=${busy.value === "retry"} onClick=${retry}>${t("job.again")}</${Button}>`}
    ${onUseValues && html`<${Button} icon="settings" onClick=${() => onUseValues(id)}>${t("job.useValues")}</${Button}>`}
    ${status === "completed" && html`<${LinkButton} icon="package" href=${packageUrl(id)} download>${t("job.package")}</${LinkButton}>`}
    ${inLibrary && html`<${Button} icon="graph" busy=${busy.value === "editor"} disabled=${!record} onClick=${openInEditor}>${t("job.editor")}</${Button}>`}
    ${link && inLibrary && html`<${CopyButton} icon="link" label=${t("job.link")} text=${link} />`}
    ${over && html`<${Button} icon="trash" kind="quiet" label=${t("job.delete")} onClick=${() => (deleting.value = true)} />`}
    ${deleting.value &&
    html`<${Confirm} title=${t("job.delete")} text=${t("job.deleteText")} action=${t("delete")} onConfirm=${remove} onClose=${() => (deleting.value = false)} />`}
  </div>`;
}
