// Stands for the gateway in tests without wasm (`testing.js`): what `host.js` is in a component.

import { AsyncLocalStorage } from "node:async_hooks";

import { toBytes } from "./json.js";

/** The gateway of the test that runs: tests may run at the same time. */
const running = new AsyncLocalStorage();

/** Does something with this gateway as the host. */
export const during = (gateway, work) => running.run(gateway, work);

function gateway() {
  const found = running.getStore();
  if (found === undefined) throw new Error("there is no gateway here: run adaptors with `TestGateway` of `airlock-adaptor/testing`");
  return found;
}

/** An error as an import of a component throws it. */
export function refused(status, code, message) {
  return Object.assign(new Error(message), { payload: { status, code, message, retryAfterMs: null } });
}

export const upstream = { send: (request) => responseOf(gateway().answer(request)) };

export const logging = { log: (level, message) => gateway().log.push({ level, message }) };

export const taskBody = { replace: (body) => void (gateway().body = body) };

export const endpoint = {
  validate: (info) => gateway().next.validate(info),
  submitTask: (info, task) => gateway().next.submitTask(info, task),
  submitStreamingTask: (info, task) => gateway().next.submitStreamingTask(info, task),
};

export const keyValue = {
  get: (key) => gateway().store.get(key),
  set: (key, value) => void gateway().store.set(key, value),
  setIfAbsent: (key, value) => !gateway().store.has(key) && Boolean(gateway().store.set(key, value)),
  delete: (key) => void gateway().store.delete(key),
};

/** Natively there is a queue of jobs that runs. */
export const drive = (promise, fail) => promise.then((value) => value, fail);

/** What a backend of a test says, as the host's response. */
function responseOf({ status = 200, headers = {}, json, events, body = "" }) {
  const pieces = json !== undefined ? [toBytes(json)] : (events ?? [body]).map(pieceOf);
  if (events !== undefined) pieces.push(pieceOf("[DONE]", true));
  const left = pieces.filter((piece) => piece.length > 0);
  return {
    status: () => status,
    headers: () => Object.entries(headers),
    read: () => left.shift(),
  };

  function pieceOf(piece) {
    if (piece instanceof Uint8Array) return piece;
    if (events === undefined) return new TextEncoder().encode(piece);
    const data = typeof piece === "string" ? piece : JSON.stringify(piece);
    return new TextEncoder().encode(`data: ${data}\n\n`);
  }
}
