// One WebSocket with the updates of all active jobs. It is opened again when it is lost, with growing pauses.
import { signal } from "@preact/signals";
import { ApiError, request } from "../api/client.js";
import { refreshOpenJobs, takeEvent, takeProgress } from "./jobs.js";
import { refreshQueue } from "./queue.js";

/** @import { JobEvent, ProgressMessage } from "../api/types.js" */

const SHORTEST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

/** Whether updates arrive. */
export const connection = signal(/** @type {"connecting" | "open" | "lost"} */ ("connecting"));

/** @type {WebSocket | null} */
let socket = null;
let pause = SHORTEST_PAUSE;
let timer = 0;

/**
 * Returns the address of a WebSocket of this server.
 * @param {string} query
 */
export function socketUrl(query) {
  const url = new URL(`/api/run/ws${query}`, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/**
 * Closes a WebSocket for good. One that is still being opened is closed as soon as it is open: browsers report an error
 * otherwise.
 * @param {WebSocket | null} socket
 */
export function closeSocket(socket) {
  if (!socket) return;
  socket.onmessage = socket.onclose = null;
  if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket.close();
}

/** Opens the WebSocket, unless it is open. */
export function startLive() {
  if (socket) return;
  window.clearTimeout(timer);
  const opened = new WebSocket(socketUrl(""));
  socket = opened;
  opened.onopen = () => {
    if (connection.value === "lost") refreshOpenJobs();
    connection.value = "open";
    void refreshQueue();
    pause = SHORTEST_PAUSE;
  };
  opened.onmessage = (event) => {
    /** @type {ProgressMessage | JobEvent} */
    const message = JSON.parse(event.data);
    if (message.type === "progress") takeProgress(message.prompt_id, message.data);
    else if ("timestamp" in message) {
      takeEvent(message);
      void refreshQueue();
    }
  };
  opened.onclose = () => {
    if (socket !== opened) return;
    socket = null;
    connection.value = "lost";
    timer = window.setTimeout(() => void reopen(), pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };
}

/** Closes the WebSocket: the reader has signed out. */
export function stopLive() {
  window.clearTimeout(timer);
  closeSocket(socket);
  socket = null;
  connection.value = "connecting";
}

/** A WebSocket does not say why it was refused: a request does, and shows the sign-in view if a key is missing. */
async function reopen() {
  try {
    await request("GET", "/api/jobs?limit=1");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return;
  }
  startLive();
}

// A phone that wakes up, or a network that is back, need not wait for the pause to end.
for (const event of ["online", "pageshow", "visibilitychange"]) {
  (event === "visibilitychange" ? document : window).addEventListener(event, () => {
    if (connection.value !== "lost" || document.visibilityState === "hidden" || socket) return;
    pause = SHORTEST_PAUSE;
    startLive();
  });
}
