// A workflow of the library is edited: as a new one, with the inputs of its manifest ticked.
import { useEffect, useMemo } from "preact/hooks";
import { toJson } from "../../api/json.js";
import { editManifest, getGraph, getManifest, getManifestText, inspect } from "../../api/workflows.js";
import { LinkButton } from "../../components/button.js";
import { useLoad } from "../../components/load.js";
import { FailedPage, LoadingPage } from "../../components/states.js";
import { flatInputs } from "../../form/inputs.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { createDraft } from "../new/draft.js";
import { DraftEditor } from "../new/draft-editor.js";

/** @param {{ id: string }} props */
export function EditView({ id }) {
  const { data, error, reload } = useLoad(() => read(id), [id]);
  const draft = useMemo(() => data && createDraft(data), [data]);
  useEffect(() => {
    document.title = `${t("edit.title", { name: data?.manifest.name ?? id })} · comfy-runner`;
  });
  if (draft && !error) return html`<${DraftEditor} key=${data?.existing?.etag} draft=${draft} onClose=${reload} />`;
  const title = t("edit.title", { name: id });
  if (error) return html`<${FailedPage} title=${title} error=${error} onRetry=${reload}><${LinkButton} href="/" icon="library">${t("nav.library")}</${LinkButton}></${FailedPage}>`;
  return html`<${LoadingPage} title=${title} />`;
}

/**
 * Reads a workflow as it is written, and what else its graph could offer.
 * @param {string} id
 * @returns {Promise<import("../new/draft.js").DraftSource>}
 */
async function read(id) {
  const { text, etag } = await getManifestText(id);
  const { manifest, findings } = await editManifest(text);
  const existing = { id, etag };
  const errors = findings.filter((finding) => finding.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((finding) => finding.message).join("; "));
  const options = optionsOf((await getManifest(id)).manifest);
  if (manifest.type === "dynamic") return { yaml: text, manifest, graph: null, options, existing };
  const graph = await getGraph(id);
  const file = new File([toJson(graph)], "workflow.json", { type: "application/json" });
  try {
    const inspection = await inspect(file, id);
    return { yaml: text, manifest, graph, options, existing, found: flatInputs(inspection.manifest.inputs), others: inspection.others };
  } catch (error) {
    // Without ComfyUI's node schemas, the values of the graph are offered by their types.
    const message = error instanceof Error ? error.message : String(error);
    return { yaml: text, manifest, graph, options, existing, findings: [{ severity: "warning", file: "workflow.json", message }] };
  }
}

/** @param {import("../../api/types.js").Manifest} manifest */
function optionsOf(manifest) {
  return Object.fromEntries(flatInputs(manifest.inputs).flatMap(({ id, options }) => (options ? [[id, options]] : [])));
}
