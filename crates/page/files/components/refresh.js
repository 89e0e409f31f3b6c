// Content that is fetched again while it is shown, so that it stays true.
import { useEffect, useMemo } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { oneAtATime } from "../state/one-at-a-time.js";

const LOOK_AGAIN = 10_000;

/**
 * Calls a function when the component appears and when a dependency changes; and while the page is visible every ten seconds,
 * and when it becomes visible.
 * @param {() => unknown} refresh is the same function at each call
 * @param {any[]} dependencies
 */
export function useRefresh(refresh, dependencies) {
  useEffect(() => void refresh(), dependencies);
  useEffect(() => {
    const look = () => void (document.visibilityState === "visible" && refresh());
    const timer = window.setInterval(look, LOOK_AGAIN);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
}

/**
 * Fetches on the occasions of `useRefresh`, one request at a time. The data of before stays until there are others.
 * @template T
 * @param {() => Promise<T>} fetchIt
 * @param {any[]} dependencies
 * @returns {import("./load.js").Loaded<T>}
 */
export function useFresh(fetchIt, dependencies) {
  const state = useSignal(/** @type {{ data: T | null, error: Error | null }} */ ({ data: null, error: null }));
  const refresh = useMemo(
    () =>
      oneAtATime(async () => {
        try {
          state.value = { data: await fetchIt(), error: null };
        } catch (error) {
          state.value = { data: state.peek().data, error: error instanceof Error ? error : new Error(String(error)) };
        }
      }),
    [],
  );
  useRefresh(refresh, dependencies);
  return { ...state.value, reload: refresh };
}
