// An input of a form: its label, its control, its help and its error.
import { useId } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { labelOf } from "../form/inputs.js";
import { BooleanControl } from "./boolean.js";
import { FileControl } from "./file.js";
import { LoraControl, LoraListControl } from "./lora.js";
import { MaskControl } from "./mask.js";
import { ModelControl } from "./model.js";
import { NumberControl } from "./number.js";
import { ResolutionControl } from "./resolution.js";
import { SceneListControl } from "./scenes.js";
import { SeedControl } from "./seed.js";
import { SelectControl } from "./select.js";
import { TextControl } from "./text.js";
import { ValueControl } from "./value.js";

/** The control of each type of input; `group` ones consist of several elements, and the label names all of them. */
/** @type {Record<string, { control: any, group?: boolean }>} */
const CONTROLS = {
  text: { control: TextControl },
  int: { control: NumberControl },
  float: { control: NumberControl },
  boolean: { control: BooleanControl },
  select: { control: SelectControl },
  seed: { control: SeedControl },
  image: { control: FileControl, group: true },
  video: { control: FileControl, group: true },
  audio: { control: FileControl, group: true },
  "3d": { control: FileControl, group: true },
  mask: { control: MaskControl, group: true },
  checkpoint_picker: { control: ModelControl },
  vae_picker: { control: ModelControl },
  lora_picker: { control: LoraControl, group: true },
  lora_picker_dynamic: { control: LoraListControl, group: true },
  resolution_picker: { control: ResolutionControl, group: true },
  scene_list: { control: SceneListControl, group: true },
};

/**
 * @param {object} props
 * @param {import("../api/types.js").Input} props.input
 * @param {string} props.path
 * @param {any} props.value
 * @param {(value: any) => void} props.onChange
 * @param {import("../form/form.js").Form} props.form
 */
export function Field({ input, path, value, onChange, form }) {
  const id = useId();
  const { control, group } = CONTROLS[input.type ?? ""] ?? { control: input.options ? SelectControl : ValueControl };
  const error = form.errors.value[path];
  const help = input.tooltip ?? /** @type {any} */ (input).description;
  const describedBy = [error && `${id}-error`, help && `${id}-help`].filter(Boolean).join(" ") || undefined;
  const marks = input.required && html`<span class="required" title=${t("required")} aria-hidden="true">*</span>`;
  const label = group
    ? html`<span class="label" id=${`${id}-label`}>${labelOf(input)}${marks}</span>`
    : html`<label class="label" id=${`${id}-label`} for=${id}>${labelOf(input)}${marks}</label>`;
  return html`<div
    class="form-field type-${input.type ?? "value"}"
    data-input=${path}
    role=${group ? "group" : undefined}
    aria-labelledby=${group ? `${id}-label` : undefined}
  >
    ${label}
    <${control}
      input=${input}
      path=${path}
      value=${value}
      onChange=${onChange}
      id=${id}
      labelId=${`${id}-label`}
      describedBy=${describedBy}
      invalid=${Boolean(error)}
      form=${form}
    />
    ${help && html`<p class="help" id=${`${id}-help`}>${help}</p>`}
    ${error && html`<p class="field-error" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}
