// A field with a list of options that typing narrows down, as WAI-ARIA describes it.
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { Icon } from "./icon.js";

/** @typedef {{ value: any, label: string }} Option */

const MOST_SHOWN = 200;
const HEIGHT = 300;

/**
 * @param {object} props
 * @param {string} props.id
 * @param {string} [props.labelId] the element that names the list
 * @param {string} [props.label] the name, where no element has it
 * @param {string} [props.describedBy]
 * @param {boolean} [props.invalid]
 * @param {Option[]} props.options
 * @param {any} props.value
 * @param {(value: any) => void} props.onChange
 * @param {string} [props.placeholder]
 * @param {boolean} [props.free] whether a text that is no option is taken
 */
export function Combobox({ id, labelId, label, describedBy, invalid, options, value, onChange, placeholder, free }) {
  const list = useId();
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const popup = useRef(/** @type {HTMLElement | null} */ (null));
  /** What is typed; null while the list is closed. */
  const query = useSignal(/** @type {string | null} */ (null));
  const active = useSignal(0);
  const open = query.value !== null;
  const shownValue = options.find((option) => option.value === value)?.label ?? String(value ?? "");
  const words = (query.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const matching = open ? options.filter((option) => words.every((word) => option.label.toLowerCase().includes(word))) : [];
  const shown = matching.slice(0, MOST_SHOWN);

  const show = () => {
    if (open || options.length === 0) return;
    query.value = "";
    active.value = Math.max(0, options.slice(0, MOST_SHOWN).findIndex((option) => option.value === value));
  };
  const close = () => (query.value = null);
  const choose = (/** @type {Option} */ option) => {
    onChange(option.value);
    close();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return show();
      const step = event.key === "ArrowDown" ? 1 : -1;
      active.value = (active.value + step + shown.length) % Math.max(1, shown.length);
    } else if (event.key === "Enter" && open && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const option = shown[active.value];
      if (option) choose(option);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Tab" && open) {
      close();
    }
  };
  const onInput = (/** @type {any} */ event) => {
    if (options.length > 0) query.value = event.currentTarget.value;
    active.value = 0;
    if (free) onChange(event.currentTarget.value);
  };

  // The list is in the top layer, so that no scrolling panel cuts it off.
  useLayoutEffect(() => {
    const [element, anchor] = [popup.current, field.current];
    if (!open || !element || !anchor) return;
    const put = () => {
      const place = anchor.getBoundingClientRect();
      const below = window.innerHeight - place.bottom;
      const above = below < HEIGHT && place.top > below;
      element.style.left = `${place.left}px`;
      element.style.width = `${place.width}px`;
      element.style.maxHeight = `${Math.min(HEIGHT, (above ? place.top : below) - 12)}px`;
      element.style.top = above ? "auto" : `${place.bottom + 4}px`;
      element.style.bottom = above ? `${window.innerHeight - place.top + 4}px` : "auto";
    };
    put();
    element.showPopover();
    window.addEventListener("scroll", put, true);
    window.addEventListener("resize", put);
    return () => {
      window.removeEventListener("scroll", put, true);
      window.removeEventListener("resize", put);
    };
  }, [open]);
  useEffect(() => {
    if (open) document.getElementById(`${list}-${active.value}`)?.scrollIntoView({ block: "nearest" });
  }, [open, active.value]);

  return html`<div class="combobox">
    <input
      ref=${field}
      id=${id}
      type="text"
      class="field"
      role="combobox"
      autocomplete="off"
      spellcheck=${false}
      aria-expanded=${open}
      aria-controls=${open ? list : undefined}
      aria-autocomplete="list"
      aria-activedescendant=${open && shown.length ? `${list}-${active.value}` : undefined}
      aria-label=${label}
      aria-describedby=${describedBy}
      aria-invalid=${invalid}
      placeholder=${open && shownValue ? shownValue : (placeholder ?? t("search"))}
      value=${open && !free ? query.value : shownValue}
      onInput=${onInput}
      onKeyDown=${onKeyDown}
      onFocus=${(/** @type {any} */ event) => event.currentTarget.select()}
      onClick=${show}
      onBlur=${close}
    />
    <${Icon} name="down" />
    ${open &&
    html`<ul ref=${popup} popover="manual" id=${list} role="listbox" class="listbox" aria-labelledby=${labelId} aria-label=${labelId ? undefined : label}>
      ${shown.map(
        (option, index) => html`<li
          key=${index}
          id=${`${list}-${index}`}
          role="option"
          aria-selected=${option.value === value}
          class=${index === active.value ? "active" : ""}
          onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}
          onClick=${() => choose(option)}
        >
          ${option.label}
        </li>`,
      )}
      ${shown.length === 0 && html`<li role="option" aria-disabled="true" aria-selected="false" class="none">${t("search.none")}</li>`}
      ${matching.length > shown.length && html`<li role="option" aria-disabled="true" aria-selected="false" class="none">${t("search.more", { count: matching.length - shown.length })}</li>`}
    </ul>`}
  </div>`;
}
