// The start of the page: settings, live updates, and the view that belongs to the address.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { signedOut } from "./api/client.js";
import { fetchLazily, lazy } from "./components/lazy.js";
import { Shell } from "./components/shell.js";
import { html } from "./html.js";
import { startLanguage } from "./i18n.js";
import { address, route, startRouter } from "./router.js";
import { startLive, stopLive } from "./state/live.js";
import { fetchSession } from "./state/session.js";
import { startTheme } from "./theme.js";
import { LibraryView } from "./views/library/library.js";
import { NotFound } from "./views/not-found.js";
import { SignIn } from "./views/sign-in.js";

// The other views are fetched after the first.
const RunView = lazy(async () => (await import("./views/run/run.js")).RunView);
const EditView = lazy(async () => (await import("./views/edit/edit.js")).EditView);
const JobsView = lazy(async () => (await import("./views/jobs/jobs.js")).JobsView);
const JobPage = lazy(async () => (await import("./views/job/page.js")).JobPage);
const NewView = lazy(async () => (await import("./views/new/new.js")).NewView);
const QueueView = lazy(async () => (await import("./views/queue/queue.js")).QueueView);

function App() {
  const out = signedOut.value;
  useEffect(() => {
    if (out) return stopLive();
    startLive();
    void fetchSession();
  }, [out]);
  if (out) return html`<${SignIn} />`;
  return html`<${Shell}><${View} /></${Shell}>`;
}

function View() {
  const { view, id } = route(address.value.path);
  switch (view) {
    case "library":
      return html`<${LibraryView} />`;
    case "run":
      return html`<${RunView} key=${id} id=${id} />`;
    case "edit":
      return html`<${EditView} key=${id} id=${id} />`;
    case "jobs":
      return html`<${JobsView} />`;
    case "job":
      return html`<${JobPage} key=${id} id=${id} />`;
    case "new":
      return html`<${NewView} />`;
    case "queue":
      return html`<${QueueView} />`;
    default:
      return html`<${NotFound} />`;
  }
}

startTheme();
startRouter();
await startLanguage();
const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
fetchLazily();
