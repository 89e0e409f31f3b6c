// The frame of every view: navigation, settings, the state of the connection, notices.
import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { address, route } from "../router.js";
import { connection } from "../state/live.js";
import { dismiss, notices } from "../state/notices.js";
import { queue, refreshQueue } from "../state/queue.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";
import { SettingsMenu } from "./settings-menu.js";

/** @param {{ children?: any }} props */
export function Shell({ children }) {
  const { view } = route(address.value.path);
  const wide = view === "run";
  return html`
    <a class="skip-link" href="#main">${t("skip")}</a>
    <header class="top-bar">
      <a class="brand" href="/" aria-label=${t("home")}>
        <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8" /><path d="M12 9.5v13a1 1 0 0 0 1.54.84l10-6.5a1 1 0 0 0 0-1.68l-10-6.5A1 1 0 0 0 12 9.5Z" /><circle cx="8" cy="16" r="2" /></svg>
        <span class="brand-name">comfy-runner</span>
      </a>
      <nav aria-label=${t("nav")}>
        <${NavLink} href="/" icon="library" text=${t("nav.library")} current=${view === "library" || view === "run" || view === "edit" || view === "new"} />
        <${NavLink} href="/jobs" icon="jobs" text=${t("nav.jobs")} current=${view === "jobs" || view === "job"} />
        <${NavLink} href="/queue" icon="queue" text=${t("nav.queue")} current=${view === "queue"}><${QueueCount} /></${NavLink}>
      </nav>
      <${ConnectionState} />
      <${SettingsMenu} />
    </header>
    <main id="main" class=${wide ? "wide" : ""} tabindex="-1">${children}</main>
    <${Notices} />
  `;
}

/** @param {any} props */
function NavLink({ href, icon, text, current, children }) {
  return html`<a href=${href} class="nav-link" aria-current=${current ? "page" : undefined}><${Icon} name=${icon} /><span>${text}</span>${children}</a>`;
}

/** How many jobs wait or run. */
function QueueCount() {
  useEffect(() => void refreshQueue(), []);
  const count = queue.value ? queue.value.running + queue.value.pending : 0;
  return count > 0 && html`<span class="count" aria-label=${t("queue.count", { count })}>${count}</span>`;
}

function ConnectionState() {
  if (connection.value !== "lost") return null;
  return html`<span class="connection" role="status"><span class="spinner" aria-hidden="true"></span>${t("connection.lost")}</span>`;
}

function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">
    ${notices.value.map(
      (notice) => html`<div class="notice ${notice.kind}" key=${notice.key}>
        <${Icon} name=${notice.kind === "error" ? "warning" : "info"} />
        <p>${notice.text}</p>
        <${Button} icon="close" kind="quiet" label=${t("close")} onClick=${() => dismiss(notice.key)} />
      </div>`,
    )}
  </div>`;
}
