// Sending a form: once at a time, by its button or the run key, with what is wrong shown beside the fields.
import { useSignal } from "@preact/signals";
import { notify } from "../state/notices.js";
import { focusFirstError } from "./focus.js";
import { useRunKey } from "./run-key.js";

/**
 * Returns whether the form is being sent, and the handler of its `submit` event.
 * @param {import("./form.js").Form} form
 * @param {string} selector of the form's element
 * @param {((params: Record<string, any>) => Promise<import("../api/types.js").Submitted>) | null} send null while the form cannot be sent
 */
export function useSubmit(form, selector, send) {
  const sending = useSignal(false);
  const submit = async () => {
    if (!send || sending.value || form.uploads.value > 0) return;
    if (!form.attempt()) return focusFirstError(selector);
    sending.value = true;
    try {
      const submitted = await send(form.params());
      form.usedSeeds.value = submitted.seeds;
      for (const warning of submitted.warnings ?? []) notify(warning);
    } catch (error) {
      form.refuse(error);
      focusFirstError(selector);
    } finally {
      sending.value = false;
    }
  };
  useRunKey(submit);
  return {
    sending: sending.value,
    onSubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void submit();
    },
  };
}
