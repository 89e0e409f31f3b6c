// The right side of a workflow: the job that is shown, and the others to choose from.
import { Button } from "../../components/button.js";
import { Empty, Loading } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { JobPanel } from "../job/panel.js";
import { FilmTile } from "./film-tile.js";

/**
 * @param {object} props
 * @param {import("../../api/types.js").Manifest} props.manifest
 * @param {import("./workflow-jobs.js").WorkflowJobs} props.jobs
 * @param {(id: string) => void} props.onUseValues
 */
export function Stage({ manifest, jobs, onUseValues }) {
  const ids = jobs.ids.value;
  const selected = jobs.selected.value;
  const name = manifest.name ?? manifest.id;
  return html`<section class="stage" aria-label=${t("run.results")}>
    ${ids === null && html`<${Loading} />`}
    ${ids?.length === 0 && html`<div class="stage-empty"><${Empty} icon="image" title=${t("run.empty")}>${t("run.emptyText")}</${Empty}></div>`}
    ${selected && html`<${JobPanel} key=${selected} id=${selected} onUseValues=${onUseValues} onQueued=${jobs.select} onDeleted=${jobs.remove} />`}
    ${ids !== null && ids.length > 0 &&
    html`<div class="film" role="group" aria-label=${t("run.jobsOf", { name })}>
      ${ids.map((id) => html`<${FilmTile} key=${id} id=${id} current=${id === selected} onSelect=${jobs.select} />`)}
      ${jobs.cursor.value && html`<${Button} kind="quiet" onClick=${jobs.more}>${t("more")}</${Button}>`}
    </div>`}
  </section>`;
}
