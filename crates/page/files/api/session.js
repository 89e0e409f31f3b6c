// Signing in: a key is exchanged for a cookie that no script reads. The key itself is kept nowhere.
import { request, signedOut } from "./client.js";

/** @import { Session } from "./types.js" */

/** @returns {Promise<Session>} */
export function getSession() {
  return request("GET", "/api/session");
}

/** @param {string} key */
export async function signIn(key) {
  await request("POST", "/api/session", { json: { key } });
  signedOut.value = false;
}

export async function signOut() {
  await request("DELETE", "/api/session");
  signedOut.value = true;
}
