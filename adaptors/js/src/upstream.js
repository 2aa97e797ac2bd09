// The short way to a backend, over the host's pool of connections.

import { upstream as host } from "#host";
import { AdaptorError, hosted } from "./error.js";
import { decode, fromBytes, toBytes } from "./json.js";
import { log } from "./log.js";
import { events } from "./sse.js";

/** How much of a backend's error the client is shown, in bytes. */
const ERROR_EXCERPT = 256;

/** The longest answer that is read whole where nothing else is asked for, in bytes. */
const ANSWER_LIMIT = 8 * 1024 * 1024;

/** How long the head of an answer is waited for by `getJson` and `postJson`, in milliseconds. */
const ASK_TIMEOUT_MS = 10_000;

/** A backend's response: its head has come, its body is read as it comes, once. */
export class Response {
  /** The host's own, which `Reply.relay` hands on. */
  #host;
  #isTaken = false;

  constructor(host) {
    this.#host = host;
    this.status = host.status();
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  /** Pairs of names, in lower case, and values. */
  get headers() {
    return this.#host.headers();
  }

  header(name) {
    return this.headers.find(([other]) => other === name.toLowerCase())?.[1] ?? null;
  }

  *chunks() {
    const response = this.take();
    for (;;) {
      const chunk = hosted(() => response.read());
      // The engine has null for what is missing, and others undefined.
      if (chunk == null) return;
      yield chunk;
    }
  }

  bytes(limit = ANSWER_LIMIT) {
    const chunks = [];
    let length = 0;
    for (const chunk of this.chunks()) {
      length += chunk.length;
      if (length > limit) {
        throw AdaptorError.badUpstream("response_too_large", `the backend's answer is longer than ${limit} bytes`);
      }
      chunks.push(chunk);
    }
    if (chunks.length === 1) return chunks[0];
    const all = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  async text(limit) {
    return decode(this.bytes(limit));
  }

  async json(limit) {
    try {
      return fromBytes(this.bytes(limit));
    } catch (error) {
      if (error instanceof AdaptorError) throw error;
      throw AdaptorError.badUpstream("upstream_bad_response", `the answer is not JSON: ${error.message}`);
    }
  }

  events() {
    return events(this.chunks());
  }

  /** This response, or as an error for the client what a backend says that refuses. */
  expectOk() {
    if (this.ok) return this;
    let excerpt = new Uint8Array();
    for (const chunk of this.chunks()) {
      excerpt = new Uint8Array([...excerpt, ...chunk.subarray(0, ERROR_EXCERPT)]);
      if (excerpt.length >= ERROR_EXCERPT) break;
    }
    const text = decode(excerpt.subarray(0, ERROR_EXCERPT)).trim();
    // With 401 and 403 the gateway's own credential was refused: the client's was not.
    const isShown = this.status >= 400 && this.status <= 599 && ![401, 403].includes(this.status);
    const message = `the backend answered ${this.status}: ${text}`;
    throw new AdaptorError(isShown ? this.status : 502, "upstream_error", message);
  }

  /** The host's response, for whoever reads or relays it: nobody else can then. */
  take() {
    if (this.#isTaken) throw new TypeError("the body of this response has been read or relayed already");
    this.#isTaken = true;
    return this.#host;
  }
}

/** The request as the contract has it. */
export function toRequest({ method, url, headers = {}, json, body = null, timeoutMs = null }) {
  const pairs = Array.isArray(headers) ? [...headers] : Object.entries(headers);
  if (json !== undefined) {
    body = toBytes(json);
    if (!pairs.some(([name]) => name.toLowerCase() === "content-type")) {
      pairs.push(["content-type", "application/json"]);
    }
  }
  if (typeof body === "string") body = new TextEncoder().encode(body);
  return { method: method ?? (body === null ? "GET" : "POST"), url, headers: pairs, body, timeoutMs };
}

/** Sends a request, and waits for the head of its response, whatever its status. */
export async function send(request) {
  return new Response(hosted(() => host.send(toRequest(request))));
}

/** The JSON that a URL gives. `what` names it in errors, as in "the model's status". */
export function getJson(what, url, { timeoutMs = ASK_TIMEOUT_MS, headers = {} } = {}) {
  return ask(what, { method: "GET", url, timeoutMs, headers: { accept: "application/json", ...headers } });
}

/** The JSON that a server answers to other JSON. */
export function postJson(what, url, json, { timeoutMs = ASK_TIMEOUT_MS, headers = {} } = {}) {
  return ask(what, { method: "POST", url, json, timeoutMs, headers: { accept: "application/json", ...headers } });
}

/**
 * No client asked for this: its errors become 502, 503 or 504, whatever the server's own status, and the URL, which is
 * the operator's business, goes to the log alone.
 */
async function ask(what, request) {
  try {
    const response = await send(request);
    if (!response.ok) {
      throw AdaptorError.badUpstream("upstream_bad_response", `the server answered ${response.status}`);
    }
    return await response.json();
  } catch (error) {
    if (!(error instanceof AdaptorError)) throw error;
    const { status, code, retryAfterMs } = error;
    const told = new AdaptorError(status, code, `${what} could not be read: ${error.message}`, { retryAfterMs });
    log.warn(`${request.method} ${request.url}: ${told.message}`);
    throw told;
  }
}
