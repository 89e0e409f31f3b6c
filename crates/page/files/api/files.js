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

/**
 * Returns the address of an uploaded file by its name, which may begin with a folder.
 * @param {string} name
 */
export function inputUrl(name) {
  const slash = name.lastIndexOf("/");
  return fileUrl({ filename: name.slice(slash + 1), subfolder: slash < 0 ? "" : name.slice(0, slash), type: "input" });
}
