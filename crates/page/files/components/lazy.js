// Components whose modules are fetched later.
import { useLoad } from "./load.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { FailedPage, LoadingPage } from "./states.js";

/** @type {(() => Promise<any>)[]} */
const all = [];

/** Fetches every such module while the browser has nothing else to do, so that views open at once and without the server. */
export function fetchLazily() {
  const fetchAll = () => all.forEach((get) => get().catch(() => {}));
  if ("requestIdleCallback" in window) window.requestIdleCallback(fetchAll, { timeout: 5000 });
  else setTimeout(fetchAll, 2000);
}

/**
 * Returns a component that stands for one that is fetched when it is first shown.
 * @param {() => Promise<any>} fetchIt
 */
export function lazy(fetchIt) {
  /** @type {any} */
  let component;
  const get = async () => (component ??= await fetchIt());
  all.push(get);
  return function Lazy(/** @type {any} */ props) {
    const { error, reload } = useLoad(get, [Boolean(component)]);
    if (component) return html`<${component} ...${props} />`;
    return error ? html`<${FailedPage} title=${t("error.title")} error=${error} onRetry=${reload} />` : html`<${LoadingPage} />`;
  };
}
