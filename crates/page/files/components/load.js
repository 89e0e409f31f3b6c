// Content that is fetched: a hook with its three states.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";

/**
 * @template T
 * @typedef {{ data: T | null, error: Error | null, reload: () => void }} Loaded
 */

/**
 * Fetches when the component appears and when a dependency changes. The data of before stays while the same is fetched again.
 * @template T
 * @param {() => Promise<T>} fetchIt
 * @param {any[]} dependencies
 * @returns {Loaded<T>}
 */
export function useLoad(fetchIt, dependencies) {
  const state = useSignal(/** @type {{ data: T | null, error: Error | null }} */ ({ data: null, error: null }));
  const attempt = useSignal(0);
  useEffect(() => {
    let current = true;
    fetchIt().then(
      (data) => {
        if (current) state.value = { data, error: null };
      },
      (error) => {
        if (current) state.value = { data: state.peek().data, error };
      },
    );
    return () => {
      current = false;
    };
  }, [...dependencies, attempt.value]);
  return { ...state.value, reload: () => (attempt.value += 1) };
}
