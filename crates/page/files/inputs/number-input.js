// A number that is typed. The text stays as it is while it is the number of the form: "7.", "0.0" and "1e" are on the way to
// another one.
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/**
 * @param {object} props
 * @param {number | string | undefined} props.value
 * @param {(value: number | string) => void} props.onValue gets the number, the empty text, or NaN for a text that is none
 * @param {Record<string, any>} props.attributes of the element
 */
export function NumberInput({ value, onValue, attributes }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useLayoutEffect(() => {
    const element = field.current;
    if (element && String(read(element)) !== String(value ?? "")) element.value = String(value ?? "");
  });
  return html`<input ...${attributes} ref=${field} type="number" onInput=${(/** @type {any} */ event) => onValue(read(event.currentTarget))} />`;
}

/** @param {HTMLInputElement} element */
function read(element) {
  // The browser gives no text for one that is no number.
  return element.validity.badInput ? NaN : readNumber(element.value);
}

/**
 * Returns a number, or the text itself while it is none that JavaScript holds exactly.
 * @param {string} text
 */
export function readNumber(text) {
  const number = Number(text);
  if (text.trim() === "" || Number.isNaN(number)) return text;
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}
