// A draft with changes that are saved nowhere is not left without a question.
import { useLayoutEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { Confirm } from "../../components/confirm.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { guardLeaving } from "../../router.js";

/**
 * Returns a function that does something which ends the draft, after a question if there are changes; and the question.
 * @param {import("./draft.js").Draft} draft
 */
export function useUnsaved(draft) {
  const leaving = useSignal(/** @type {{ leave: () => void } | null} */ (null));
  /** @param {() => void} leave */
  const ask = (leave) => {
    if (draft.changed.peek()) leaving.value = { leave };
    else leave();
  };
  // Layout effects: the reader cannot change anything before they are in force.
  useLayoutEffect(() => guardLeaving(() => draft.changed.peek(), ask), [draft]);
  useLayoutEffect(() => {
    const onUnload = (/** @type {BeforeUnloadEvent} */ event) => void (draft.changed.peek() && event.preventDefault());
    window.addEventListener("beforeunload", onUnload);
    return () => window.removeEventListener("beforeunload", onUnload);
  }, [draft]);
  const onConfirm = () => {
    const { leave } = leaving.value ?? {};
    leaving.value = null;
    draft.keep();
    leave?.();
  };
  const question = leaving.value && html`<${Confirm} title=${t("unsaved.title")} text=${t("unsaved.text")} action=${t("unsaved.leave")} onConfirm=${onConfirm} onClose=${() => (leaving.value = null)} />`;
  return { ask, question };
}
