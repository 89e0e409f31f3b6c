// Files of ComfyUI: uploads and addresses.
import { request, upload, withQuery } from "./client.js";

/** @import { OutputFile, UploadedFiles } from "./types.js" */

/**
 * Uploads a file and returns the name under which inputs take it.
 * @param {File} file
 * @param {(fraction: number) => void} onProgress
 * @param {AbortSignal} [signal]
 * @returns {Promise<string>}
 */
export async function uploadFile(file, onProgress, signal) {
  const form = new FormData();
  form.append("file", file);
  return (await upload("/api/run/upload-image", form, onProgress, signal)).filename;
}

/**
 * @param {string | null} [cursor]
 * @returns {Promise<UploadedFiles>}
 */
export function listFiles(cursor) {
  return request("GET", withQuery("/api/files", { limit: 60, cursor }));
}

/**
 * Returns the address of a file.
 * @param {OutputFile} file
 */
export function fileUrl({ filename, subfolder, type }) {
  return withQuery("/api/comfyui/view", { filename, subfolder, type });
}

/** Others may be animations, which a smaller encoding does not show, or are small already. */
const STILL = /\.(png|jpe?g)$/i;

/**
 * Returns the address of a small picture of an image file: ComfyUI encodes it anew, in a few percent of the bytes.
 * @param {OutputFile} file
 */
export function thumbnailUrl(file) {
  if (!STILL.test(file.filename)) return fileUrl(file);
  return withQuery("/api/comfyui/view", { filename: file.filename, subfolder: file.subfolder, type: file.type, preview: "webp;60" });
}

/**
 * Returns the address of an uploaded file by its name, which may begin with a folder.
 * @param {string} name
 */
export function inputUrl(name) {
  const slash = name.lastIndexOf("/");
  return fileUrl({ filename: name.slice(slash + 1), subfolder: slash < 0 ? "" : name.slice(0, slash), type: "input" });
}
