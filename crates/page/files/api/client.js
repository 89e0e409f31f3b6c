// The only module that sends requests. It knows how errors look and when a key is asked for.
import { signal } from "@preact/signals";
import { t } from "../i18n.js";
import { parseJson, toJson } from "./json.js";

/** Whether the server asks for a key: the sign-in view is shown then. */
export const signedOut = signal(false);

/** An error response, or a request without response (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {Record<string, any>} [body]
   */
  constructor(status, detail, body = {}) {
    super(detail);
    this.status = status;
    this.body = body;
  }
}

/**
 * @typedef {object} RequestOptions
 * @property {any} [json] the body, as JSON
 * @property {FormData} [form] the body, as a form
 * @property {string} [text] the body, as a text
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/**
 * Sends a request and returns the response, whose status is below 400.
 * @param {string} method
 * @param {string} path
 * @param {RequestOptions} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, { json, form, text, headers = {}, signal } = {}) {
  /** @type {RequestInit} */
  const init = { method, signal, headers, credentials: "same-origin" };
  if (json !== undefined) {
    init.headers = { "Content-Type": "application/json", ...headers };
    init.body = toJson(json);
  } else {
    init.body = form ?? text;
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, t("error.network"));
  }
  if (response.ok) return response;
  throw await errorOf(response);
}

/**
 * Sends a request and returns the JSON of the response; null when it has no body.
 * @param {string} method
 * @param {string} path
 * @param {RequestOptions} [options]
 * @returns {Promise<any>}
 */
export async function request(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : parseJson(await response.text());
}

/**
 * Uploads a file and reports how much of it has been sent, which `fetch` cannot.
 * @param {string} path
 * @param {FormData} form
 * @param {(fraction: number) => void} onProgress
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function upload(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", path);
    sent.responseType = "text";
    sent.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sent.onload = async () => {
      const response = new Response(sent.responseText, { status: sent.status });
      if (response.ok) resolve(await response.json());
      else reject(await errorOf(response));
    };
    sent.onerror = () => reject(new ApiError(0, t("error.network")));
    sent.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal?.addEventListener("abort", () => sent.abort());
    sent.send(form);
  });
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function errorOf(response) {
  // A wrong key on the sign-in view is 401 too: then the view is shown already.
  if (response.status === 401) signedOut.value = true;
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    if (typeof body.detail === "string") return new ApiError(response.status, body.detail, body);
  } catch {
    // Not from the API: a proxy before it, for example.
  }
  return new ApiError(response.status, t("error.status", { status: response.status }));
}

/**
 * Returns a path with a query string; parameters that are null, undefined or empty are left out.
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} params
 */
export function withQuery(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
