// Makes classes the exports of a component.

import { drive } from "#host";
import { bytes, progress, requestOf, submitted } from "./batch.js";
import { BaseCluster, Jobs } from "./cluster.js";
import { toContract } from "./error.js";
import { encode, isObject, toBytes } from "./json.js";
import { log } from "./log.js";
import { Reply } from "./reply.js";

/**
 * The exports of a component whose adaptor is this class; or several, an endpoint and a cluster for example:
 * `export const { endpoint, replies } = adaptor(CustomEndpoint)`.
 */
export function adaptor(...classes) {
  const parts = classes.map((Class) =>
    Class.prototype instanceof BaseCluster ? clusterOf(Class) : endpointOf(Class),
  );
  return Object.assign({}, ...parts);
}

/** Runs what an export does, at once or in a promise, and gives or throws what the contract has for it. */
function exported(work, atRunTime = true) {
  const fail = (error) => {
    throw toContract(error, log, atRunTime);
  };
  let result;
  try {
    result = work();
  } catch (error) {
    return fail(error);
  }
  return isPromise(result) ? drive(result, fail) : result;
}

const isPromise = (value) => typeof value?.then === "function";

function endpointOf(Class) {
  return {
    replies: { EventStream },
    endpoint: {
      validate: (info) => exported(() => check(new Class(info)), false),
      submitTask: (info, task) => exported(async () => lowered(await submit(Class, info, task))),
      submitStreamingTask: (info, task) => exported(async () => lowered(await submit(Class, info, task))),
    },
    batch: batchOf(Class),
  };
}

function batchOf(Class) {
  return {
    hasBatchEnabled: (info) => exported(() => new Class(info).hasBatchEnabled()),
    submitBatch: (info, request) => exported(async () => submitted(await new Class(info).submitBatch(requestOf(request)))),
    getBatchStatus: (info, handle) => exported(async () => progress(await new Class(info).getBatchStatus(handle))),
    getBatchResult: (info, handle) => exported(async () => bytes(await new Class(info).getBatchResult(handle))),
    cancelBatch: (info, handle) => exported(() => new Class(info).cancelBatch(handle)),
  };
}

/** Checks a configuration: the adaptor's own part, then what stands behind it, of which a middleware alone knows. */
async function check(endpoint) {
  await endpoint.validate();
  await endpoint.next?.validate();
}

/** Runs a task on a new object of the class. */
export async function submit(Class, info, task) {
  const endpoint = new Class(info, task);
  const method = task.stream && streams(endpoint) ? "submitStreamingTask" : "submitTask";
  const reply = await endpoint[method](endpoint.readData());
  if (reply instanceof Reply) return reply;
  throw new TypeError(`${Class.name}.${method} returned no Reply: ${JSON.stringify(reply)}`);
}

/**
 * Whether streams have a method of their own where tasks have theirs, or further down: a class that has `submitTask` alone
 * wants both, though a class that it extends may tell them apart.
 */
function streams(endpoint) {
  for (let level = endpoint; level !== null; level = Object.getPrototypeOf(level)) {
    if (Object.hasOwn(level, "submitStreamingTask")) return true;
    if (Object.hasOwn(level, "submitTask")) return false;
  }
  return false;
}

/** A reply as the contract has it. */
function lowered({ kind, value }) {
  switch (kind) {
    case "body":
      if (value instanceof Uint8Array) return { tag: "body", val: value };
      if (!isObject(value)) throw new TypeError("Reply.body takes an object");
      return { tag: "body", val: toBytes(value) };
    case "events":
      return { tag: "events", val: new EventStream(value) };
    default:
      return { tag: kind, val: value };
  }
}

/** Events as the resource that the host pulls. */
class EventStream {
  #iterator;

  constructor(source) {
    this.#iterator = (source[Symbol.iterator] ?? source[Symbol.asyncIterator]).call(source);
  }

  next() {
    return exported(() => {
      const step = this.#iterator.next();
      // A generator without `async` is there at once, and no promise has to be driven.
      return isPromise(step) ? step.then(payloadOf) : payloadOf(step);
    });
  }
}

/** A step of an iterator as the contract has it. */
function payloadOf({ done, value }) {
  if (done) return null;
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return encode(value);
  if (isObject(value)) return toBytes(value);
  throw new TypeError(`an event is an object, or the JSON of one: ${JSON.stringify(value)}`);
}

function clusterOf(Class) {
  return {
    cluster: {
      getJobs: (info, user) => exported(async () => (await jobsOf(Class, info, user)).toContract()),
    },
  };
}

/** Asks a new object of the class for its jobs. */
export async function jobsOf(Class, info, user) {
  const jobs = await new Class(info, user).getJobs();
  return jobs instanceof Jobs ? jobs : new Jobs(jobs);
}
