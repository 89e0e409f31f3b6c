// Ctrl+Enter, or Cmd+Enter, runs the form.
import { useEffect } from "preact/hooks";

/** @param {() => void} run is called when the keys are pressed and no dialog is open. */
export function useRunKey(run) {
  useEffect(() => {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      run();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  });
}
