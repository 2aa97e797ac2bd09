// The direct API with a check before it: asks whether the model runs, and changes what is sent.

import { adaptor, AdaptorError, DirectAPIEndpoint, log, required, upstream } from "airlock-adaptor";

export class CustomEndpoint extends DirectAPIEndpoint {
  // Called when the endpoint is loaded, so that a mistake is found before traffic.
  validate() {
    required(this.config, "status_url");
  }

  async submitTask(data) {
    // Ask first, so that a backend that is not ready is left alone.
    const status = await this.getEndpointStatus();
    if (status !== "running") {
      throw AdaptorError.unavailable("model_not_running", `the model ${this.model} is ${status}: try again later`);
    }
    // Change the input, log, and leave the rest to the direct API.
    data.stream = this.task.stream;
    data.temperature = 0;
    log.info(`calling the model ${this.model}`);
    return super.submitTask(data);
  }

  async getEndpointStatus() {
    const what = "the model's status";
    const status = await upstream.getJson(what, this.config.status_url);
    if (typeof status === "string") return status;
    throw AdaptorError.badUpstream("upstream_bad_response", `${what} could not be read: it is no text`);
  }
}

export const { endpoint, replies } = adaptor(CustomEndpoint);
