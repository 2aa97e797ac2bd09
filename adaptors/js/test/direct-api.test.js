import assert from "node:assert/strict";
import { test } from "node:test";

import { DirectAPIEndpoint, Reply } from "../src/index.js";
import { TestGateway } from "../src/testing.js";

const answer = { choices: [] };
const backend = () => ({ json: answer });

/** What goes out for a chat, with this configuration. */
async function sent(config, { Class = DirectAPIEndpoint, operation = "chat/completions", model = "m" } = {}) {
  const gateway = new TestGateway(Class, { config: { api_url: "http://b/v1", ...config }, model: "backend/m", backend });
  assert.deepEqual(await gateway.submitTask({ model, messages: [] }, { operation }), answer);
  return gateway.requests[0];
}

test("a base and the full URL of an operation lead to the same place", async () => {
  const cases = [
    ["http://b/v1", "chat/completions", "http://b/v1/chat/completions"],
    ["http://b/v1/", "embeddings", "http://b/v1/embeddings"],
    ["http://b/v1/chat/completions", "chat/completions", "http://b/v1/chat/completions"],
    ["http://b/v1/chat/completions", "completions", "http://b/v1/completions"],
    ["http://b/v1/completions?v=1", "embeddings", "http://b/v1/embeddings?v=1"],
    ["https://[::1]:8000", "rerank", "https://[::1]:8000/rerank"],
  ];
  for (const [api_url, operation, url] of cases) assert.equal((await sent({ api_url }, { operation })).url, url);
});

test("the backend knows the model under its own name", async () => {
  assert.equal((await sent({})).json.model, "backend/m");
  class Renamed extends DirectAPIEndpoint {
    submitTask(data) {
      return super.submitTask({ ...data, model: "another" });
    }
  }
  assert.equal((await sent({}, { Class: Renamed })).json.model, "another");
});

test("the configuration's fields and headers go out", async () => {
  const { json, headers } = await sent({ extra_body: { top_k: 1, messages: null }, extra_headers: { "X-A": "1" } });
  assert.deepEqual(json, { model: "backend/m", top_k: 1 });
  assert.deepEqual(headers, { "content-type": "application/json", "x-a": "1" });
});

test("an operation that the backend does not speak, or that is none, is refused", async () => {
  const refused = { status: 400, code: "unsupported_operation" };
  await assert.rejects(sent({ speaks: ["embeddings"] }), refused);
  for (const operation of ["../admin", "a//b", "a?b", ""]) await assert.rejects(sent({}, { operation }), refused);
});

test("a wrong configuration is refused with its key", async () => {
  const cases = [
    [{ api_url: undefined }, "config key `api_url`: is missing"],
    [{ api_url: 1 }, "config key `api_url`: must be a string"],
    [{ api_url: "ftp://b" }, "config key `api_url`: must begin with"],
    [{ api_url: "http://u:p@b" }, "config key `api_url`: must not hold a user"],
    [{ api_url: "http://b:x" }, "config key `api_url`: names no host"],
    [{ api_url: "http://b:99999" }, "config key `api_url`: names no host"],
    [{ api_url: "http:///v1" }, "config key `api_url`: names no host"],
    [{ api_url: "http://b/ v1" }, "config key `api_url`: must not hold spaces"],
    [{ api_url: "http://b/#x" }, "config key `api_url`: must not hold a fragment"],
    [{ api_request_timeout: 0 }, "config key `api_request_timeout`: 0 is not a time"],
    [{ api_request_timeout: "9" }, "config key `api_request_timeout`: must be a number"],
    [{ extra_headers: { Authorization: "x" } }, "config key `extra_headers`: `Authorization` is a credential"],
    [{ extra_headers: { Host: "x" } }, "config key `extra_headers`: `Host` is set by the gateway"],
    [{ extra_headers: { "a b": "x" } }, 'config key `extra_headers`: "a b" is not a header name'],
    [{ extra_headers: { a: "x\n" } }, "config key `extra_headers`: the value of `a` holds control characters"],
    [{ extra_headers: { a: 1 } }, "config key `extra_headers`: the value of `a` must be a string"],
    [{ extra_body: [] }, "config key `extra_body`: must be an object"],
    [{ speaks: [] }, "config key `speaks`: must be a list"],
  ];
  for (const [config, says] of cases) {
    const gateway = new TestGateway(DirectAPIEndpoint, { config: { api_url: "http://b/v1", ...config } });
    await assert.rejects(gateway.validate(), (error) => {
      assert.ok(error.message.startsWith(says), `${error.message}: ${says}`);
      assert.deepEqual([error.status, error.code], [400, "invalid_config"]);
      return true;
    });
  }
});

test("a mistake in the configuration is not the client's", async () => {
  const gateway = new TestGateway(DirectAPIEndpoint, { config: {} });
  await assert.rejects(gateway.submitTask({}), { status: 500, code: "invalid_config" });
});

test("streams go to the method that is nearest", async () => {
  const says = (text) => async () => Reply.events([{ text }]);
  class Task extends DirectAPIEndpoint {}
  Task.prototype.submitTask = says("task");
  class Both extends Task {}
  Both.prototype.submitTask = says("not this");
  Both.prototype.submitStreamingTask = says("stream");
  class TaskAgain extends Both {}
  TaskAgain.prototype.submitTask = says("task again");
  const cases = [
    [Task, "task"],
    [Both, "stream"],
    [class extends Both {}, "stream"],
    [TaskAgain, "task again"],
  ];
  for (const [Class, text] of cases) {
    const gateway = new TestGateway(Class, { config: { api_url: "http://b" } });
    assert.deepEqual(await gateway.submitStreamingTask({}), [{ text }]);
  }
});
