// What stands in front of an endpoint.

import { endpoint as host, taskBody } from "#host";
import { BaseEndpoint } from "./endpoint.js";
import { fromHost, hosted } from "./error.js";
import { toBytes } from "./json.js";
import { operationOf, takesForm } from "./operation.js";
import { Reply } from "./reply.js";

/** Looks at a task, changes it and hands it on; or answers by itself. */
export class Middleware extends BaseEndpoint {
  /** The endpoint behind this one. */
  next = new Next(this);

  /** Unless a subclass does something else: hands everything on. */
  async submitTask() {
    return this.next.submitTask();
  }
}

class Next {
  #middleware;
  #hasGoneOn = false;

  constructor(middleware) {
    this.#middleware = middleware;
  }

  /** Has the next one check the configuration, as `config` of this one is now. */
  async validate() {
    await asked(() => host.validate(this.#info()));
  }

  /**
   * Runs the task on the next one, streamed where the client wants that; without `data`, the task as it came. A form always
   * goes on as it came: the host has it. May be called again, after a failure for example.
   */
  async submitTask(data) {
    const { task } = this.#middleware;
    const isForm = takesForm(task.operation);
    const isChanged = data !== undefined && !isForm;
    const body = isChanged ? toBytes(data) : task.body;
    // From the second time on one further along may have told the host of a body of its own.
    if (isChanged || (this.#hasGoneOn && !isForm)) taskBody.replace(body);
    this.#hasGoneOn = true;
    const submit = task.stream ? host.submitStreamingTask : host.submitTask;
    const operation = operationOf(task.operation);
    return replyOf(await asked(() => submit(this.#info(), { ...task, operation, body })));
  }

  /** The same. */
  submitStreamingTask(data) {
    return this.submitTask(data);
  }

  #info() {
    const { info, config } = this.#middleware;
    return { ...info, config: JSON.stringify(config) };
  }
}

/** Asks the next one, which answers at once in the engine and later in a test. */
async function asked(call) {
  try {
    return await call();
  } catch (error) {
    throw fromHost(error);
  }
}

/** The next one's reply as one of ours. */
function replyOf({ tag, val }) {
  return new Reply(tag, tag === "events" ? payloads(val) : val);
}

function* payloads(stream) {
  for (;;) {
    const payload = hosted(() => stream.next());
    if (payload == null) return;
    yield payload;
  }
}
