// The workflows: search, filters, and a card each.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { listBrokenWorkflows, listWorkflows } from "../../api/workflows.js";
import { LinkButton } from "../../components/button.js";
import { Icon } from "../../components/icon.js";
import { useFresh } from "../../components/refresh.js";
import { Empty, Failed } from "../../components/states.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { address, navigate } from "../../router.js";
import { connection } from "../../state/live.js";
import { BrokenCard, WorkflowCard } from "./card.js";

export function LibraryView() {
  const { data, error, reload } = useFresh(read, [connection.value]);
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
  const categories = [...new Set((data?.workflows ?? []).flatMap((workflow) => workflow.category ?? []))].sort();
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const broken = category || type ? [] : (data?.broken ?? []).filter(({ id }) => hasWords([id], words));
  const shown = (data?.workflows ?? []).filter((workflow) => (!category || workflow.category === category) && (!type || workflow.type === type) && hasWords([workflow.id, workflow.name, workflow.category, workflow.description], words));
  const empty = data !== null && shown.length + broken.length === 0;
  const total = data && data.workflows.length + data.broken.length;
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
    ${data &&
    !empty &&
    html`<ul class="cards">
      ${shown.map((workflow) => html`<li key=${workflow.id}><${WorkflowCard} workflow=${workflow} /></li>`)}
      ${broken.map((workflow) => html`<li key=${`broken ${workflow.id}`}><${BrokenCard} workflow=${workflow} /></li>`)}
    </ul>`}
    ${empty && total === 0 && html`<${Empty} icon="library" title=${t("library.empty")}>${t("library.emptyText")}</${Empty}>`}
    ${empty && total !== 0 && html`<${Empty} icon="search" title=${t("library.noMatch")} />`}
  </div>`;
}

/** Fetches what can run, and what is broken. */
async function read() {
  const [workflows, broken] = await Promise.all([listWorkflows(), listBrokenWorkflows()]);
  return { workflows, broken };
}

/**
 * @param {(string | null)[]} texts
 * @param {string[]} words
 */
function hasWords(texts, words) {
  const text = texts.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

function CardSkeletons() {
  return html`<ul class="cards" role="status" aria-label=${t("loading")}>
    ${[1, 2, 3, 4, 5, 6].map((index) => html`<li key=${index} class="card skeleton"><div class="card-media"></div><div class="card-body"><span></span><span></span></div></li>`)}
  </ul>`;
}
