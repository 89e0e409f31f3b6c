// A part of a long list of jobs. It is drawn while it is near the view; otherwise it is a space of the same height, so that a
// list of thousands costs no more than one of a hundred.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { html } from "../../html.js";
import { JobRow } from "./job-row.js";

/** How far from the view rows are drawn: more than a turn of the wheel goes. */
const NEAR = "1500px";

/** @param {{ ids: string[], onDeleted: (id: string) => void }} props */
export function JobPart({ ids, onDeleted }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const near = useSignal(true);
  const height = useRef(0);
  useEffect(() => {
    const element = list.current;
    if (!element) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        // What has the focus, or asks something, stays.
        const drawn = entry?.isIntersecting || element.contains(document.activeElement);
        if (!drawn && entry && near.peek()) height.current = entry.boundingClientRect.height;
        near.value = Boolean(drawn);
      },
      { rootMargin: NEAR },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return html`<ul ref=${list} class="job-part" style=${{ height: near.value ? "" : `${height.current}px` }}>
    ${near.value && ids.map((id) => html`<li key=${id} class="job-item"><${JobRow} id=${id} onDeleted=${onDeleted} /></li>`)}
  </ul>`;
}
