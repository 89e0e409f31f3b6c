// The ComfyUIs behind the server: whether each answers, what it runs, and its memory.
import { useSignal } from "@preact/signals";
import { setDraining } from "../../api/jobs.js";
import { Button } from "../../components/button.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { jobSignal } from "../../state/jobs.js";
import { refreshMachines, useMachines } from "../../state/machines.js";
import { notifyError } from "../../state/notices.js";

/** @import { ComfyUiInfo } from "../../api/types.js" */

export function Machines() {
  const data = useMachines();
  if (!data) return null;
  return html`<section aria-labelledby="machines">
    <h2 id="machines">${t("machines")}</h2>
    <ul class="machines">${data.comfyuis.map((machine) => html`<li key=${machine.name}><${Machine} machine=${machine} /></li>`)}</ul>
    ${data.waiting > 0 && html`<p class="note">${t("machines.waiting", { count: data.waiting })}</p>`}
  </section>`;
}

/** @param {{ machine: ComfyUiInfo }} props */
function Machine({ machine }) {
  const busy = useSignal(false);
  const { name, status, draining, running, jobs, version, devices, last_error: lastError } = machine;
  const toggle = async () => {
    busy.value = true;
    try {
      await setDraining(name, !draining);
      await refreshMachines();
    } catch (error) {
      notifyError(error);
    } finally {
      busy.value = false;
    }
  };
  const state = draining ? "draining" : status;
  const waiting = jobs.filter((id) => id !== running).length;
  return html`<article class="machine">
    <div class="machine-head">
      <h3>${name}</h3>
      <span class="badge ${{ up: "status-completed", down: "status-error", draining: "status-cancelled", unknown: "" }[state]}">${t(`machine.${state}`)}</span>
    </div>
    <p class="muted">${[version && `ComfyUI ${version}`, ...devices.map((device) => device.name)].filter(Boolean).join(" · ")}</p>
    ${devices.map((device, index) => device.vram_total ? html`<${Memory} key=${index} total=${device.vram_total} free=${device.vram_free ?? 0} />` : null)}
    <p>${running ? html`${t("status.running")}: <a href=${`/jobs/${running}`}>${jobSignal(running).value.summary?.workflow_name ?? running.slice(0, 8)}</a>` : t("machine.idle")}${waiting > 0 && ` · ${t("machine.waiting", { count: waiting })}`}</p>
    ${status === "down" && lastError && html`<p class="job-error">${lastError}</p>`}
    <${Button} busy=${busy.value} onClick=${toggle}>${draining ? t("machine.resume") : t("machine.drain")}</${Button}>
  </article>`;
}

/** @param {{ total: number, free: number }} props */
function Memory({ total, free }) {
  const gigabytes = (/** @type {number} */ bytes) => (bytes / 2 ** 30).toFixed(1);
  const text = t("machine.memory", { used: gigabytes(total - free), total: gigabytes(total) });
  return html`<div class="machine-memory"><progress max=${total} value=${total - free} aria-label=${text}></progress><span class="muted">${text}</span></div>`;
}
