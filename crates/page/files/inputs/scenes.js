// A list of scenes: add, duplicate, reorder, remove; each has the fields that the manifest describes.
import { html } from "../html.js";
import { t } from "../i18n.js";
import { parseJson, toJson } from "../api/json.js";
import { labelOf, sceneInputs } from "../form/inputs.js";
import { newScene } from "../form/values.js";
import { Button } from "../components/button.js";
import { Field } from "./field.js";

/** @param {import("./control.js").ControlProps} props */
export function SceneListControl({ input, value, onChange, id, path, form }) {
  const scenes = /** @type {Record<string, any>[]} */ (value ?? []);
  const fields = sceneInputs(input);
  const insert = (/** @type {number} */ at, /** @type {any} */ scene) => onChange([...scenes.slice(0, at), scene, ...scenes.slice(at)]);
  const remove = (/** @type {number} */ at) => onChange(scenes.filter((_, place) => place !== at));
  const move = (/** @type {number} */ from, /** @type {number} */ to) => {
    const rest = scenes.filter((_, place) => place !== from);
    onChange([...rest.slice(0, to), scenes[from], ...rest.slice(to)]);
  };
  const full = input.max !== undefined && scenes.length >= input.max;
  return html`<div class="scenes">
    <ol>
      ${scenes.map(
        (scene, index) => html`<li key=${index} class="scene">
          <div class="scene-head">
            <span class="scene-number">${t("scene", { number: index + 1 })}</span>
            <${Button} icon="up" kind="quiet" label=${t("scene.up", { number: index + 1 })} disabled=${index === 0} onClick=${() => move(index, index - 1)} />
            <${Button} icon="down" kind="quiet" label=${t("scene.down", { number: index + 1 })} disabled=${index === scenes.length - 1} onClick=${() => move(index, index + 1)} />
            <${Button} icon="copy" kind="quiet" label=${t("scene.duplicate", { number: index + 1 })} disabled=${full} onClick=${() => insert(index + 1, { ...scene })} />
            <${Button} icon="trash" kind="quiet" label=${t("scene.remove", { number: index + 1 })} onClick=${() => remove(index)} />
          </div>
          ${fields.map(
            (field) => html`<${Field}
              key=${field.id}
              input=${field}
              path=${`${path}.${index}.${field.id}`}
              value=${scene[field.id]}
              onChange=${(/** @type {any} */ changed) => onChange(scenes.map((old, place) => (place === index ? { ...old, [field.id]: changed } : old)))}
              form=${form}
            />`,
          )}
          ${fields.length === 0 && html`<${JsonScene} scene=${scene} label=${`${labelOf(input)} ${index + 1}`} onChange=${(/** @type {any} */ changed) => onChange(scenes.map((old, place) => (place === index ? changed : old)))} />`}
        </li>`,
      )}
    </ol>
    <button id=${id} type="button" class="button plain add" disabled=${full} onClick=${() => insert(scenes.length, newScene(input))}>${t("scene.add")}</button>
  </div>`;
}

/**
 * A scene whose fields the manifest does not describe: `name: value`, a line each.
 * @param {{ scene: Record<string, any>, label: string, onChange: (scene: Record<string, any>) => void }} props
 */
function JsonScene({ scene, label, onChange }) {
  const read = (/** @type {any} */ event) => {
    try {
      onChange(parseJson(event.currentTarget.value));
      event.currentTarget.setCustomValidity("");
    } catch {
      event.currentTarget.setCustomValidity(t("check.json"));
      event.currentTarget.reportValidity();
    }
  };
  return html`<textarea class="text-area code" rows="3" aria-label=${label} onChange=${read}>${toJson(scene, 2)}</textarea>`;
}
