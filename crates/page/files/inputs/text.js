// A text that grows with its content.
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

const GROWS_BY_ITSELF = CSS.supports("field-sizing", "content");

/** @param {import("./control.js").ControlProps} props */
export function TextControl({ input, value, onChange, id, describedBy, invalid }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useLayoutEffect(() => {
    const element = area.current;
    if (GROWS_BY_ITSELF || !element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight + 2}px`;
  }, [value]);
  return html`<textarea
    ref=${area}
    id=${id}
    class="text-area"
    rows=${input.required ? 3 : 1}
    value=${String(value ?? "")}
    placeholder=${input.placeholder}
    aria-describedby=${describedBy}
    aria-invalid=${invalid}
    aria-required=${input.required}
    onInput=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}
  ></textarea>`;
}
