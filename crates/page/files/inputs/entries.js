// The inputs of a form, with their groups.
import { grouped, isGroup } from "../form/inputs.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Field } from "./field.js";

/** @param {{ entries: import("../api/types.js").InputEntry[], form: import("../form/form.js").Form }} props */
export function Entries({ entries, form }) {
  return grouped(entries).map((entry, index) => {
    if (!isGroup(entry)) {
      return html`<${Field} key=${entry.id} input=${entry} path=${entry.id} value=${form.values.value[entry.id]} onChange=${(/** @type {any} */ value) => form.set(entry.id, value)} form=${form} />`;
    }
    // Inputs that name their group are not grouped again.
    const items = (entry.items ?? []).map((item) => (isGroup(item) ? item : { ...item, group: undefined }));
    return html`<details key=${index} class="group" open=${!entry.collapsed}>
      <summary>${String(entry.group ?? t("run.group"))}</summary>
      <div class="group-body"><${Entries} entries=${items} form=${form} /></div>
    </details>`;
  });
}
