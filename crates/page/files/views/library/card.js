// A workflow as a card: its newest result, its name, and whether it can run.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listJobs } from "../../api/jobs.js";
import { Icon } from "../../components/icon.js";
import { MEDIA_ICONS, Thumbnail } from "../../components/thumbnail.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { thumbnailOf } from "../../media.js";
import { onEnded } from "../../state/jobs.js";
import { oneAtATime } from "../../state/one-at-a-time.js";

/** @import { BrokenWorkflow, Media, OutputFile, WorkflowSummary } from "../../api/types.js" */

/** @param {{ workflow: WorkflowSummary }} props */
export function WorkflowCard({ workflow }) {
  const { id, category, description, ready, reason, type } = workflow;
  const name = workflow.name ?? id;
  const card = useRef(/** @type {HTMLElement | null} */ (null));
  const newest = useNewestResult(id, card);
  return html`<article ref=${card} class="card">
    <div class="card-media">
      ${newest ? html`<${Thumbnail} file=${newest} alt=${t("library.newest", { name })} play />` : html`<span class="card-icon"><${Icon} name=${iconOf(category)} /></span>`}
      ${category && html`<span class="card-category">${category}</span>`}
    </div>
    <div class="card-body">
      <h2><a href=${`/w/${encodeURIComponent(id)}`}>${name}</a></h2>
      ${description && html`<p class="card-text">${description}</p>`}
      <p class="card-foot">
        <${Readiness} ready=${ready} reason=${reason} />
        ${type === "dynamic" && html`<span class="muted">${t("type.dynamic")}</span>`}
      </p>
    </div>
  </article>`;
}

/** @param {{ workflow: BrokenWorkflow }} props */
export function BrokenCard({ workflow }) {
  const { id, findings } = workflow;
  const finding = findings.find(({ severity }) => severity === "error") ?? findings[0];
  const place = finding && [finding.file, finding.line].filter(Boolean).join(":");
  return html`<article class="card">
    <div class="card-media"><span class="card-icon"><${Icon} name="warning" /></span></div>
    <div class="card-body">
      <h2><a href=${`/w/${encodeURIComponent(id)}`}>${id}</a></h2>
      <p class="card-foot">
        <span class="ready no"><span class="dot" aria-hidden="true"></span>${t("broken")}<span class="reason">${[place, finding?.message].filter(Boolean).join(": ")}</span></span>
      </p>
    </div>
  </article>`;
}

/** @param {{ ready: boolean | null, reason?: string }} props */
export function Readiness({ ready, reason }) {
  if (ready) return html`<span class="ready yes"><span class="dot" aria-hidden="true"></span>${t("ready.yes")}</span>`;
  const text = ready === null ? t("ready.unknown") : t("ready.no");
  return html`<span class="ready ${ready === null ? "unknown" : "no"}"><span class="dot" aria-hidden="true"></span>${text}${reason && html`<span class="reason">${reason}</span>`}</span>`;
}

/** @param {string | null} category */
function iconOf(category) {
  return MEDIA_ICONS[/** @type {Media} */ (category)] ?? "image";
}

/**
 * Returns the newest result of a workflow, which is looked up when the card comes into view, and from then on when a job of the
 * workflow ends.
 * @param {string} id
 * @param {{ current: HTMLElement | null }} card
 */
function useNewestResult(id, card) {
  const newest = useSignal(/** @type {OutputFile | null} */ (null));
  useEffect(() => {
    const element = card.current;
    if (!element) return;
    const look = oneAtATime(async () => {
      try {
        const { jobs } = await listJobs({ workflow_id: id, status: "completed", limit: 1 });
        newest.value = (jobs[0] && thumbnailOf(jobs[0])) ?? null;
      } catch {
        // The card does without a picture.
      }
    });
    let seen = false;
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        seen = true;
        void look();
      },
      { rootMargin: "200px" },
    );
    observer.observe(element);
    const stopListening = onEnded((ended) => void (seen && (ended === null || ended === id) && look()));
    return () => {
      observer.disconnect();
      stopListening();
    };
  }, [id]);
  return newest.value;
}
