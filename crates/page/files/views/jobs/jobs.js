// All jobs, newest first: filters, and more of them as the list is scrolled.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { listWorkflows } from "../../api/workflows.js";
import { Button } from "../../components/button.js";
import { useLoad } from "../../components/load.js";
import { Empty, Failed, Loading } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { address, navigate } from "../../router.js";
import { changes, jobSignal } from "../../state/jobs.js";
import { createJobList } from "./job-list.js";
import { JobPart } from "./job-part.js";

/** As many jobs are drawn, or not drawn, together. */
const PART = 25;

const STATUSES = /** @type {const} */ (["pending", "running", "completed", "error", "cancelled"]);

export function JobsView() {
  const status = address.value.query.get("status") ?? "";
  const workflow = address.value.query.get("workflow") ?? "";
  useEffect(() => {
    document.title = `${t("nav.jobs")} · comfy-runner`;
  });
  const setFilter = (/** @type {string} */ name, /** @type {string} */ value) => {
    const query = new URLSearchParams(address.value.query);
    if (value) query.set(name, value);
    else query.delete(name);
    const text = query.toString();
    navigate(text ? `/jobs?${text}` : "/jobs", { replace: true });
  };
  const workflows = useLoad(listWorkflows, []);
  return html`<div class="page">
    <div class="page-head">
      <h1>${t("nav.jobs")}</h1>
      <div class="filters">
        <div class="chips" role="group" aria-label=${t("jobs.status")}>
          <button type="button" class="chip" aria-pressed=${!status} onClick=${() => setFilter("status", "")}>${t("all")}</button>
          ${STATUSES.map((name) => html`<button key=${name} type="button" class="chip" aria-pressed=${status === name} onClick=${() => setFilter("status", name)}>${t(`status.${name}`)}</button>`)}
        </div>
        <select class="field" aria-label=${t("jobs.workflow")} onChange=${(/** @type {any} */ event) => setFilter("workflow", event.currentTarget.value)}>
          <option value="" selected=${!workflow}>${t("jobs.allWorkflows")}</option>
          ${(workflows.data ?? []).map(({ id, name }) => html`<option key=${id} value=${id} selected=${id === workflow}>${name ?? id}</option>`)}
        </select>
      </div>
    </div>
    <${JobRows} key=${`${status} ${workflow}`} status=${status} workflow=${workflow} />
  </div>`;
}

/** @param {{ status: string, workflow: string }} props */
function JobRows({ status, workflow }) {
  const list = useMemo(() => createJobList({ status, workflow_id: workflow }), [status, workflow]);
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => void list.more(), [list]);
  // Other pages and programs start jobs too.
  const changed = changes.value;
  useEffect(() => void list.refresh(), [changed]);
  useEffect(() => {
    if (!end.current) return;
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && void list.more(), { rootMargin: "800px" });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [list, list.ids.value]);
  const { ids, error, done } = list;
  if (error.value && !ids.value) return html`<${Failed} error=${error.value} onRetry=${list.more} />`;
  if (!ids.value) return html`<${Loading} />`;
  const shown = ids.value.filter((id) => matches(id, status));
  if (shown.length === 0 && done.value) {
    return html`<${Empty} icon="jobs" title=${status || workflow ? t("jobs.noMatch") : t("jobs.empty")}>${!status && !workflow && t("jobs.emptyText")}</${Empty}>`;
  }
  const parts = Array.from({ length: Math.ceil(shown.length / PART) }, (_, index) => shown.slice(index * PART, (index + 1) * PART));
  return html`<div class="job-rows">${parts.map((part, index) => html`<${JobPart} key=${index} ids=${part} onDeleted=${list.remove} />`)}</div>
    ${error.value && html`<${Failed} error=${error.value} onRetry=${list.more} />`}
    ${!done.value && !error.value && html`<div ref=${end} class="list-end"><${Loading} /></div>`}
    ${done.value && shown.length > 50 && html`<p class="list-end muted">${t("jobs.end")}</p>`}`;
}

/**
 * A job that has changed since it was listed may no longer belong to the filter.
 * @param {string} id
 * @param {string} status
 */
function matches(id, status) {
  if (!status) return true;
  const { summary } = jobSignal(id).value;
  return !summary || summary.status === status;
}
