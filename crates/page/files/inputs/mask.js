// A mask: painted over the image of the form, or a file of its own.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { firstImageInput } from "../form/inputs.js";
import { inputUrl } from "../api/files.js";
import { Button } from "../components/button.js";
import { notify } from "../state/notices.js";
import { FileControl } from "./file.js";
import { MaskPainter, isPainted } from "./mask-painter.js";

/** @param {import("./control.js").ControlProps} props */
export function MaskControl(props) {
  const painting = useSignal(false);
  const imageInput = firstImageInput(props.form.manifest);
  const image = imageInput ? String(props.form.values.value[imageInput.id] ?? "") : "";
  const mask = String(props.value ?? "");
  const before = useRef({ image, mask });
  useEffect(() => {
    const { image: painted, mask: kept } = before.current;
    before.current = { image, mask };
    // Values of a job bring their own mask.
    if (!painted || image === painted || mask !== kept || !isPainted(mask)) return;
    props.onChange("");
    notify(t("mask.removed"));
  }, [image, mask]);
  const paint = html`<${Button} icon="brush" disabled=${!image} title=${image ? undefined : t("mask.noImage")} onClick=${() => (painting.value = true)}>${t("mask.paint")}</${Button}>`;
  return html`<${FileControl} ...${props} actions=${imageInput && paint} />
    ${painting.value &&
    html`<${MaskPainter}
      image=${inputUrl(image)}
      mask=${mask ? inputUrl(mask) : null}
      onDone=${(/** @type {string} */ name) => {
        painting.value = false;
        props.onChange(name);
      }}
      onClose=${() => (painting.value = false)}
    />`}`;
}
