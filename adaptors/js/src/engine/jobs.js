// Drives promises. Calls into a component and out of it are synchronous, and the engine does not run its own queue of
// jobs before a call returns. So the build turns async functions into generators, `Promise` is one that puts its jobs here
// (`promise.js`), and a call ends when its promise is settled.

import { runTimer } from "./timers.js";

let jobs = [];

/** Has a function called when what runs now is through. */
export function enqueue(job) {
  jobs.push(job);
}

function runJobs() {
  while (jobs.length > 0) {
    const batch = jobs;
    jobs = [];
    for (const job of batch) job();
  }
}

/** What a promise comes to. Where it is nothing, the reason goes to `fail`, which throws. */
export function drive(promise, fail) {
  let outcome;
  promise.then(
    (value) => (outcome = { value }),
    (reason) => (outcome = { reason }),
  );
  try {
    do runJobs();
    while (outcome === undefined && runTimer());
  } catch (error) {
    // Of a function that a timer or `queueMicrotask` has called.
    return fail(error);
  }
  outcome ??= { reason: new Error("the adaptor waits for a promise that nothing settles") };
  return "reason" in outcome ? fail(outcome.reason) : outcome.value;
}
