// What a workflow is, whether it can run, and actions on the form.
import { checkWorkflow } from "../../api/workflows.js";
import { Button, LinkButton } from "../../components/button.js";
import { useLoad } from "../../components/load.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { session } from "../../state/session.js";

/**
 * @param {object} props
 * @param {import("../../api/types.js").Manifest} props.manifest
 * @param {import("../../form/form.js").Form} props.form
 * @param {string | null} props.optionsMissing why the form lacks options, which it says itself
 */
export function WorkflowHead({ manifest, form, optionsMissing }) {
  return html`<header class="workflow-head">
    <div class="workflow-title">
      <h1>${manifest.name ?? manifest.id}</h1>
      ${session.value?.allow_edit && html`<${LinkButton} icon="edit" kind="quiet" label=${t("edit")} href=${`/w/${encodeURIComponent(manifest.id)}/edit`} />`}
      <${Button} icon="undo" kind="quiet" label=${t("run.reset")} onClick=${() => form.reset()} />
    </div>
    ${manifest.description && html`<p class="muted">${manifest.description}</p>`}
    <${MissingNote} id=${manifest.id} optionsMissing=${optionsMissing} />
  </header>`;
}

/** @param {{ id: string, optionsMissing: string | null }} props */
function MissingNote({ id, optionsMissing }) {
  const { data } = useLoad(() => checkWorkflow(id), [id, optionsMissing]);
  if (!data || data.ready) return null;
  // The form says that ComfyUI does not answer.
  if (data.ready === null && optionsMissing !== null) return null;
  const { node_types: nodes, models, packages } = data.missing;
  const errors = data.findings.filter((finding) => finding.severity === "error");
  return html`<div class="note warning" role="note">
    <p><strong>${data.ready === null ? t("ready.unknown") : t("ready.no")}</strong></p>
    ${data.reason && nodes.length + models.length + packages.length === 0 && html`<p>${data.reason}</p>`}
    <${MissingList} title=${t("missing.models")} names=${models} />
    <${MissingList} title=${t("missing.nodes")} names=${nodes} />
    <${MissingList} title=${t("missing.packages")} names=${packages} />
    ${errors.length > 0 && html`<details><summary>${t("missing.findings", { count: errors.length })}</summary><ul>${errors.map((finding, index) => html`<li key=${index}>${finding.message}</li>`)}</ul></details>`}
  </div>`;
}

/** @param {{ title: string, names: string[] }} props */
function MissingList({ title, names }) {
  if (names.length === 0) return null;
  return html`<p>${title}</p><ul class="missing">${names.map((name) => html`<li key=${name}><code>${name}</code></li>`)}</ul>`;
}
