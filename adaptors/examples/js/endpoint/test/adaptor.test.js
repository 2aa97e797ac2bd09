import assert from "node:assert/strict";
import { test } from "node:test";

import { TestGateway } from "airlock-adaptor/testing";

import { CustomEndpoint } from "../src/adaptor.js";

const config = { api_url: "http://backend/v1", status_url: "http://backend/status" };
const answer = { choices: [{ message: { role: "assistant", content: "Hello" } }] };

/** A gateway before a backend whose model is in this state. */
function before(status) {
  const backend = ({ url }) => ({ json: url === config.status_url ? status : answer });
  return new TestGateway(CustomEndpoint, { config, backend });
}

test("it changes the input of a model that runs", async () => {
  const gateway = before("running");
  assert.deepEqual(await gateway.submitTask({ messages: [], temperature: 1 }), answer);
  const [, chat] = gateway.requests;
  assert.equal(chat.url, "http://backend/v1/chat/completions");
  assert.equal(chat.json.temperature, 0);
});

test("it leaves a backend alone whose model does not run", async () => {
  const gateway = before("starting");
  await assert.rejects(gateway.submitTask({ messages: [] }), { status: 503, code: "model_not_running" });
  assert.equal(gateway.requests.length, 1);
});

test("it says which key of its configuration is missing", async () => {
  const gateway = new TestGateway(CustomEndpoint, { config: { api_url: "http://backend/v1" } });
  await assert.rejects(gateway.validate(), { message: "config key `status_url`: is missing" });
});
