// The workflows: search, filters, and a card each.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listWorkflows } from "../../api/workflows.js";
import { LinkButton } from "../../components/button.js";
import { Icon } from "../../components/icon.js";
import { useLoad } from "../../components/load.js";
import { Empty, Failed } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { address, navigate } from "../../router.js";
import { WorkflowCard } from "./card.js";

/** @import { WorkflowSummary } from "../../api/types.js" */

export function LibraryView() {
  const { data, error, reload } = useLoad(listWorkflows, []);
  const search = useSignal(address.value.query.get("q") ?? "");
  const category = address.value.query.get("category") ?? "";
  const type = address.value.query.get("type") ?? "";
  useEffect(() => {
    document.title = `${t("nav.library")} · comfy-runner`;
  });
  const setFilter = (/** @type {string} */ name, /** @type {string} */ value) => {
    const query = new URLSearchParams(address.value.query);
    if (value) query.set(name, value);
    else query.delete(name);
    const text = query.toString();
    navigate(text ? `/?${text}` : "/", { replace: true });
  };
  const categories = [...new Set((data ?? []).flatMap((workflow) => workflow.category ?? []))].sort();
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = (data ?? []).filter((workflow) => (!category || workflow.category === category) && (!type || workflow.type === type) && hasWords(workflow, words));
  return html`<div class="page">
    <div class="page-head">
      <h1>${t("nav.library")}</h1>
      <div class="filters">
        <label class="search">
          <${Icon} name="search" />
          <span class="visually-hidden">${t("library.search")}</span>
          <input
            type="search"
            class="field"
            placeholder=${t("library.search")}
            value=${search.value}
            onInput=${(/** @type {any} */ event) => {
              search.value = event.currentTarget.value;
              setFilter("q", search.value);
            }}
          />
        </label>
        <select class="field" aria-label=${t("library.type")} onChange=${(/** @type {any} */ event) => setFilter("type", event.currentTarget.value)}>
          <option value="" selected=${!type}>${t("library.allTypes")}</option>
          <option value="static" selected=${type === "static"}>${t("type.static")}</option>
          <option value="dynamic" selected=${type === "dynamic"}>${t("type.dynamic")}</option>
        </select>
        <${LinkButton} href="/new" icon="plus">${t("new.title")}</${LinkButton}>
      </div>
    </div>
    ${categories.length > 1 &&
    html`<div class="chips" role="group" aria-label=${t("library.category")}>
      <button type="button" class="chip" aria-pressed=${!category} onClick=${() => setFilter("category", "")}>${t("all")}</button>
      ${categories.map((name) => html`<button key=${name} type="button" class="chip" aria-pressed=${category === name} onClick=${() => setFilter("category", name)}>${name}</button>`)}
    </div>`}
    ${error && !data && html`<${Failed} error=${error} onRetry=${reload} />`}
    ${!data && !error && html`<${CardSkeletons} />`}
    ${data && shown.length > 0 && html`<ul class="cards">${shown.map((workflow) => html`<li key=${workflow.id}><${WorkflowCard} workflow=${workflow} /></li>`)}</ul>`}
    ${data && data.length === 0 && html`<${Empty} icon="library" title=${t("library.empty")}>${t("library.emptyText")}</${Empty}>`}
    ${data && data.length > 0 && shown.length === 0 && html`<${Empty} icon="search" title=${t("library.noMatch")} />`}
  </div>`;
}

/**
 * @param {WorkflowSummary} workflow
 * @param {string[]} words
 */
function hasWords(workflow, words) {
  const text = [workflow.id, workflow.name, workflow.category, workflow.description].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function CardSkeletons() {
  return html`<ul class="cards" role="status" aria-label=${t("loading")}>
    ${[1, 2, 3, 4, 5, 6].map((index) => html`<li key=${index} class="card skeleton"><div class="card-media"></div><div class="card-body"><span></span><span></span></div></li>`)}
  </ul>`;
}
