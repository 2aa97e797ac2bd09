// A `Promise` whose jobs `drive` runs.

import { enqueue } from "./jobs.js";
// Behind `jobs.js`, which brings `setTimeout`.
import Promise from "promise-polyfill";

Promise._immediateFn = enqueue;
// What nobody catches is the business of whoever waits for it; a promise that nobody waits for fails alone.
Promise._unhandledRejectionFn = () => {};

Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

export { Promise };
