// A task that many ask for, and that one run serves.

/**
 * Returns a function that runs a task, one run at a time. A call during a run makes it run once more afterwards: what the
 * run had already read may have changed since. The promise is fulfilled when no run is left.
 * @param {() => Promise<void>} run does not reject
 * @returns {() => Promise<void>}
 */
export function oneAtATime(run) {
  /** @type {Promise<void> | null} */
  let runs = null;
  let again = false;
  const runAll = async () => {
    do {
      again = false;
      await run();
    } while (again);
    runs = null;
  };
  return () => {
    if (runs) again = true;
    else runs = runAll();
    return runs;
  };
}
