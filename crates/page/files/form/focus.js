// Where to look when a form cannot be sent.

/**
 * Moves to the first field with an error, and unfolds the groups around it.
 * @param {string} form a selector
 */
export function focusFirstError(form) {
  requestAnimationFrame(() => {
    const error = document.querySelector(`${form} .field-error`);
    for (let fold = error?.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
    const control = error?.closest(".form-field")?.querySelector("input:not([type=range]):not([type=file]), textarea, select, button");
    if (control instanceof HTMLElement) control.focus();
    error?.scrollIntoView({ block: "nearest" });
  });
}
