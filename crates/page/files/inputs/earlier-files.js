// The files that were uploaded before, to use one again.
import { useSignal } from "@preact/signals";
import { listFiles } from "../api/files.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { takesFile } from "../media.js";
import { Dialog } from "../components/dialog.js";
import { Button } from "../components/button.js";
import { useLoad } from "../components/load.js";
import { Empty, Failed, Loading } from "../components/states.js";
import { Thumbnail } from "../components/thumbnail.js";

/** @import { Media, UploadedFile } from "../api/types.js" */

/** @param {{ media: Media, onChoose: (name: string) => void, onClose: () => void }} props */
export function EarlierFiles({ media, onChoose, onClose }) {
  const older = useSignal(/** @type {UploadedFile[]} */ ([]));
  const cursor = useSignal(/** @type {string | null | undefined} */ (undefined));
  const { data, error, reload } = useLoad(() => listFiles(), []);
  const next = cursor.value === undefined ? data?.next_cursor : cursor.value;
  const more = async () => {
    const page = await listFiles(next);
    older.value = [...older.value, ...page.files];
    cursor.value = page.next_cursor;
  };
  const files = [...(data?.files ?? []), ...older.value].filter((file) => takesFile(media, file.filename));
  return html`<${Dialog} title=${t("file.earlier.title")} size="large" onClose=${onClose}>
    ${!data && !error && html`<${Loading} />`} ${error && html`<${Failed} error=${error} onRetry=${reload} />`}
    ${data && files.length === 0 && !next && html`<${Empty} icon="image" title=${t("file.earlier.none")} />`}
    <ul class="file-grid">
      ${files.map(
        (file) => html`<li key=${file.filename}>
          <button type="button" class="file-tile" onClick=${() => onChoose(file.filename)}>
            <${Thumbnail} file=${{ filename: file.filename, subfolder: "", type: "input" }} alt="" />
            <span class="file-tile-name">${shortName(file.filename)}</span>
          </button>
        </li>`,
      )}
    </ul>
    ${next && html`<${Button} onClick=${more}>${t("more")}</${Button}>`}
  </${Dialog}>`;
}

/**
 * Returns a name without the time and the random part that make it unique.
 * @param {string} filename
 */
function shortName(filename) {
  return filename.replace(/^(.*\/)?\d{8}_\d{6}_[0-9a-f]{6}_/, "");
}
