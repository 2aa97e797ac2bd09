// `setTimeout`, as far as waiting goes: timers run while a call waits for a promise, and what is left of them then is dropped.

import monotonicClock from "wasi:clocks/monotonic-clock@0.2.12";

const timers = new Map();
let last = 0;

function setTimeout(callback, milliseconds = 0, ...args) {
  last += 1;
  timers.set(last, { due: performance.now() + Math.max(0, milliseconds), run: () => callback(...args) });
  return last;
}

function clearTimeout(id) {
  timers.delete(id);
}

/** Waits for the timer that is due first, and runs it; false where there is none. */
export function runTimer() {
  let first;
  for (const [id, timer] of timers) {
    if (first === undefined || timer.due < first.due) first = { id, ...timer };
  }
  if (first === undefined) return false;
  const left = first.due - performance.now();
  if (left > 0) monotonicClock.subscribeDuration(Math.ceil(left * 1e6)).block();
  timers.delete(first.id);
  first.run();
  return true;
}

// Here, since `promise-polyfill` looks for it when it is loaded.
Object.assign(globalThis, { clearTimeout, setTimeout });
