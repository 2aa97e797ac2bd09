// Runs adaptors natively, before a backend that a test writes down. What everything means is in `testing.d.ts`.

import { adaptor } from "./adaptor.js";
import { AdaptorError, fromHost } from "./error.js";
import { DirectAPIEndpoint } from "./endpoint.js";
import { during, refused, upstream } from "./fake-host.js";
import { decode, fromBytes, toBytes } from "./json.js";
import { operationOf } from "./operation.js";
import { events } from "./sse.js";

export class TestGateway {
  /** What backends were asked: `{ method, url, headers, json }`. */
  requests = [];
  /** Lines that were logged: `{ level, message }`. */
  log = [];
  /** What `cache` holds, as bytes. */
  store = new Map();
  #class;
  #backend;
  #info;
  #user;

  constructor(Class, { config = {}, model = "model", user = null, backend, next = DirectAPIEndpoint } = {}) {
    this.#class = Class;
    this.#backend = backend;
    this.#user = user;
    this.#info = { slug: "cluster-api-model", cluster: "cluster", framework: "api", model, config: JSON.stringify(config) };
    this.next = behind(adaptor(next).endpoint);
  }

  validate() {
    return this.#call(() => this.#exports.endpoint.validate(this.#info));
  }

  /** Runs a task without a stream: gives the answer that the client gets. */
  async submitTask(data, { operation = "chat/completions" } = {}) {
    const task = this.#task(data, operation, false);
    const { tag, val } = await this.#call(() => this.#exports.endpoint.submitTask(this.#info, task));
    if (tag === "body") return fromBytes(val);
    if (tag === "events") throw new Error("the client wants one answer, and gets events");
    return fromBytes(this.#body(tag, val));
  }

  /** Runs a task with a stream: gives all its events. */
  async submitStreamingTask(data, { operation = "chat/completions" } = {}) {
    const task = this.#task(data, operation, true);
    const { tag, val } = await this.#call(() => this.#exports.endpoint.submitStreamingTask(this.#info, task));
    if (tag === "body") throw new Error("the client wants events, and gets one answer");
    if (tag !== "events") return [...events([this.#body(tag, val)])].map(({ data }) => JSON.parse(data));
    const all = [];
    for (;;) {
      const payload = await this.#call(() => val.next());
      if (payload === null) return all;
      all.push(fromBytes(payload));
    }
  }

  /** Asks a cluster for its jobs. */
  async getJobs({ name = "cluster", models = [] } = {}) {
    const { config } = this.#info;
    const jobs = await this.#call(() => this.#exports.cluster.getJobs({ name, config, models }, this.#user));
    const { clusterStatus, ...lists } = jobs;
    return { ...lists, clusterStatus: JSON.parse(clusterStatus) };
  }

  /** The backend's answer to a request: what `fake-host.js` asks for. */
  answer(request) {
    const body = request.method === "GET" ? null : (request.body ?? this.body);
    const asked = { ...request, headers: Object.fromEntries(request.headers), json: body && jsonOf(body) };
    this.requests.push(asked);
    const answer = this.#backend?.(asked);
    if (answer !== undefined) return answer;
    throw refused(502, "upstream_unreachable", `nothing answers at ${request.url}`);
  }

  get #exports() {
    return adaptor(this.#class);
  }

  #task(data, operation, stream) {
    const model = data.model ?? this.#info.model;
    const task = { id: "test", operation: operationOf(operation), model, stream, user: this.#user };
    this.body = toBytes({ model, ...data });
    return { ...task, body: this.body };
  }

  /** Calls an export: an error of the contract is thrown as an AdaptorError. */
  async #call(work) {
    try {
      return await during(this, work);
    } catch (error) {
      throw fromHost({ payload: error });
    }
  }

  /** The whole body of the answer that a reply leads to. */
  #body(tag, val) {
    const response = tag === "relay" ? val : during(this, () => sent(val));
    const pieces = [];
    for (let piece = response.read(); piece !== undefined; piece = response.read()) pieces.push(piece);
    const all = Buffer.concat(pieces);
    if (response.status() < 300) return all;
    throw new AdaptorError(response.status(), "upstream_error", decode(all));
  }
}

function sent(request) {
  try {
    return upstream.send(request);
  } catch (error) {
    throw fromHost(error);
  }
}

/** JSON, or else the text. */
function jsonOf(body) {
  try {
    return fromBytes(body);
  } catch {
    return decode(body);
  }
}

/** An endpoint as a middleware finds it behind it: its errors are the host's, and its events have come. */
function behind(endpoint) {
  const call = async (work) => {
    try {
      return await work();
    } catch (error) {
      throw Object.assign(new Error(error.message), { payload: error });
    }
  };
  const collected = async ({ tag, val }) => {
    if (tag !== "events") return { tag, val };
    const all = [];
    for (let payload = await val.next(); payload !== null; payload = await val.next()) all.push(payload);
    return { tag, val: { next: () => all.shift() } };
  };
  return {
    validate: (info) => call(() => endpoint.validate(info)),
    submitTask: (info, task) => call(async () => collected(await endpoint.submitTask(info, task))),
    submitStreamingTask: (info, task) => call(async () => collected(await endpoint.submitStreamingTask(info, task))),
  };
}
