// The four ways to answer, and ways to look into what another adaptor's reply holds.

import { upstream } from "#host";
import { AdaptorError, hosted } from "./error.js";
import { fromBytes, isObject } from "./json.js";
import { Response, toRequest } from "./upstream.js";

export class Reply {
  constructor(kind, value) {
    Object.assign(this, { kind, value });
  }

  /** The host sends this request and relays the answer. The cheapest: nothing waits in a sandbox. */
  static forward(request) {
    return new Reply("forward", toRequest({ method: "POST", ...request }));
  }

  /** A response that was not read. */
  static relay(response) {
    return new Reply("relay", response.take());
  }

  /** A complete answer: a JSON object. */
  static body(value) {
    return new Reply("body", value);
  }

  /** Events, out of an array, a generator or an async generator: objects, or the JSON of one as a string. */
  static events(source) {
    return new Reply("events", source);
  }

  /** The complete answer, whatever the kind of reply: the backend is asked where it was not yet. */
  async json() {
    switch (this.kind) {
      case "body":
        return this.value instanceof Uint8Array ? fromBytes(this.value) : this.value;
      case "events":
        throw new TypeError("these are events, and no complete answer");
      default: {
        const answer = await this.#response().json();
        if (isObject(answer)) return answer;
        throw AdaptorError.badUpstream("upstream_bad_response", "the backend's answer is not a JSON object");
      }
    }
  }

  /** The events of the answer as objects, one by one as they come; the backend is asked where it was not yet. */
  async events() {
    switch (this.kind) {
      case "body":
        throw new TypeError("this is a complete answer, and no events");
      case "events":
        return Symbol.iterator in this.value ? objects(this.value) : objectsLater(this.value);
      default:
        return payloads(this.#response().events());
    }
  }

  #response() {
    const response = this.kind === "relay" ? this.value : hosted(() => upstream.send(this.value));
    return new Response(response).expectOk();
  }
}

function object(event) {
  if (event instanceof Uint8Array) return fromBytes(event);
  return typeof event === "string" ? JSON.parse(event) : event;
}

function* objects(source) {
  for (const event of source) yield object(event);
}

async function* objectsLater(source) {
  for await (const event of source) yield object(event);
}

function* payloads(events) {
  for (const { data } of events) {
    try {
      yield JSON.parse(data);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw AdaptorError.badUpstream("upstream_bad_response", `an event is not JSON: ${error.message}`);
    }
  }
}
