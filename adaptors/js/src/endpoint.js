// What endpoints are made of: the base of all, and the direct API that others extend.

import { AdaptorError } from "./error.js";
import { ApiUrl } from "./api-url.js";
import { checkHeader, settings } from "./direct-api.js";
import { parseBody, parseConfig } from "./json.js";
import { pathOf, takesForm } from "./operation.js";
import { Reply } from "./reply.js";

/** One endpoint of the catalog while it runs one task, or while its configuration is checked. */
export class BaseEndpoint {
  /** Of the contract: the endpoint, and the task where one runs. */
  constructor(info, task = null) {
    const { slug, cluster, framework, model } = info;
    Object.assign(this, { slug, cluster, framework, model, info, config: parseConfig(info.config) });
    this.task = task && { ...task, operation: pathOf(task.operation), user: task.user ?? null };
  }

  /** Who asks, where known: `{ id, name, groups, domain }`. */
  get user() {
    return this.task.user;
  }

  /** The client's JSON. */
  readData() {
    return parseBody(this.task.body);
  }

  /** Checks the configuration, without network: throws an AdaptorError that says what to write instead. */
  validate() {}
}

/** Sends tasks to an OpenAI-compatible API. */
export class DirectAPIEndpoint extends BaseEndpoint {
  #settings;

  constructor(info, task) {
    super(info, task);
    this.#settings = settings(this.config);
  }

  validate() {
    // The constructor has read all keys.
  }

  /** Sends to another URL: a base, or the full URL of an operation. The endpoint's grant has to name its origin. */
  setApiUrl(url) {
    this.#settings.url = new ApiUrl("api_url", url);
  }

  /** Sends one more header, in the place of one of that name. */
  setHeader(name, value) {
    checkHeader(name, value);
    this.#settings.headers.set(name.toLowerCase(), value);
  }

  readData() {
    const data = super.readData();
    for (const [key, value] of Object.entries(this.#settings.extraBody)) {
      if (value === null) delete data[key];
      else data[key] = value;
    }
    return data;
  }

  /** Forwards a task with this body. */
  async submitTask(data) {
    return this.#forward(data);
  }

  /** The same for a client that wants events. */
  async submitStreamingTask(data) {
    return this.#forward(data);
  }

  #forward(data) {
    const { url, headers, timeoutMs, speaks, extraBody } = this.#settings;
    const { operation } = this.task;
    if (speaks !== null && !speaks.includes(operation)) {
      const message = `this model's backend takes \`${speaks.join("`, `")}\`, and not \`${operation}\``;
      throw AdaptorError.badRequest("unsupported_operation", message);
    }
    const isForm = takesForm(operation);
    if (isForm && Object.keys(extraBody).length > 0) {
      const message = "this endpoint sets fields of the body (`extra_body`), which a form cannot take";
      throw AdaptorError.badRequest("unsupported_operation", message);
    }
    const request = { method: "POST", url: url.forOperation(operation), headers: [...headers], timeoutMs };
    // The client knows the model under one name, and the backend under its own.
    const model = data.model === this.task.model ? this.model : data.model;
    return Reply.forward(isForm ? request : { ...request, json: { ...data, model } });
  }
}
