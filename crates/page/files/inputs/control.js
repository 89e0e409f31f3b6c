// What every control of an input gets.

/** @import { Input } from "../api/types.js" */

/**
 * @typedef {object} ControlProps
 * @property {Input} input
 * @property {any} value
 * @property {(value: any) => void} onChange
 * @property {string} id the id of the element that takes the focus; its label names it
 * @property {string} labelId
 * @property {string | undefined} describedBy ids of the error and the help
 * @property {boolean} invalid
 * @property {string} path the place of the value in the form: `steps`, `scenes.0.prompt`
 * @property {import("../form/form.js").Form} form
 */

export {};
