import assert from "node:assert/strict";
import { test } from "node:test";

import { AdaptorError, BaseEndpoint, cache, DirectAPIEndpoint, log, Middleware, Reply, upstream } from "../src/index.js";
import { TestGateway } from "../src/testing.js";

const config = { api_url: "http://b/v1" };

/** A gateway whose endpoint does this. */
function doing(work, options = {}) {
  class Endpoint extends BaseEndpoint {
    submitTask = work;
  }
  return new TestGateway(Endpoint, { config, ...options });
}

test("what is no AdaptorError goes to the log alone", async () => {
  const cases = [
    [() => undefined.secret, /TypeError: Cannot read properties of undefined \(reading 'secret'\)/],
    [() => Promise.reject("text"), /the adaptor threw text/],
    [() => ({}), /TypeError: Endpoint.submitTask returned no Reply/],
    [() => Reply.body([]), /Reply.body takes an object/],
  ];
  for (const [work, cause] of cases) {
    const gateway = doing(work);
    const told = { status: 502, code: "adaptor_failed", message: /^the adaptor of this model failed; / };
    await assert.rejects(gateway.submitTask({}), told);
    assert.match(gateway.log[0].message, cause);
  }
});

test("an exception in a check is told to the operator", async () => {
  class Careless extends BaseEndpoint {
    validate() {
      this.config.missing.key;
    }
  }
  const told = { status: 400, code: "invalid_config", message: /^the adaptor threw TypeError: / };
  await assert.rejects(new TestGateway(Careless).validate(), told);
});

test("an error of its own keeps what it says", async () => {
  const error = AdaptorError.unavailable("busy", "come back", 1500);
  const told = { status: 503, code: "busy", message: "come back", retryAfterMs: 1500 };
  await assert.rejects(doing(() => Promise.reject(error)).submitTask({}), told);
});

test("events come from any source, until its first error", async () => {
  async function* later() {
    yield { n: 1 };
    yield '{"n":2}';
  }
  for (const source of [[{ n: 1 }, { n: 2 }], later()]) {
    assert.deepEqual(await doing(() => Reply.events(source)).submitStreamingTask({}), [{ n: 1 }, { n: 2 }]);
  }
  await assert.rejects(doing(() => Reply.events([{}, 7])).submitStreamingTask({}), { code: "adaptor_failed" });
});

test("a backend that cannot be reached, refuses or talks nonsense is told of in a sentence", async () => {
  const url = "http://b/status";
  const cases = [
    [() => undefined, 502, "upstream_unreachable", "the list could not be read: nothing answers at http://b/status"],
    [() => ({ status: 404 }), 502, "upstream_bad_response", "the list could not be read: the server answered 404"],
    [() => ({ body: "{" }), 502, "upstream_bad_response", "the list could not be read: the answer is not JSON"],
  ];
  for (const [backend, status, code, says] of cases) {
    const gateway = doing(() => upstream.getJson("the list", url), { backend });
    await assert.rejects(gateway.submitTask({}), (error) => {
      assert.deepEqual([error.status, error.code, error.message.startsWith(says)], [status, code, true], error.message);
      return true;
    });
    assert.ok(gateway.log[0].message.startsWith(`GET ${url}: `), "the URL is for the operator");
  }
});

test("a backend's refusal of the gateway is not the client's", async () => {
  const ask = async () => (await upstream.send({ url: "http://b/" })).expectOk();
  for (const [status, shown] of [[429, 429], [401, 502], [302, 502]]) {
    const gateway = doing(ask, { backend: () => ({ status, body: "x".repeat(1000) }) });
    await assert.rejects(gateway.submitTask({}), (error) => {
      assert.equal(error.status, shown);
      assert.equal(error.message.length, `the backend answered ${status}: `.length + 256);
      return true;
    });
  }
});

test("JSON, headers and timeouts of a request go out, and a body is read once", async () => {
  const gateway = doing(
    async () => {
      const response = await upstream.send({ url: "http://b/x", json: { a: "ü" }, headers: { "x-b": "1" }, timeoutMs: 5 });
      assert.equal(response.header("X-Kind"), "test");
      const text = await response.text();
      assert.throws(() => response.bytes(), /read or relayed already/);
      return Reply.body({ text });
    },
    { backend: () => ({ headers: { "x-kind": "test" }, body: "hé" }) },
  );
  assert.deepEqual(await gateway.submitTask({}), { text: "hé" });
  const [{ method, headers, json, timeoutMs }] = gateway.requests;
  assert.deepEqual([method, json, timeoutMs], ["POST", { a: "ü" }, 5]);
  assert.deepEqual(headers, { "x-b": "1", "content-type": "application/json" });
});

test("an answer that is too long is refused", async () => {
  const gateway = doing(async () => (await upstream.send({ url: "http://b" })).text(10), {
    backend: () => ({ body: "x".repeat(11) }),
  });
  await assert.rejects(gateway.submitTask({}), { status: 502, code: "response_too_large" });
});

test("the cache keeps JSON, and the log lines", async () => {
  const gateway = doing(async () => {
    const count = (cache.get("count") ?? 0) + 1;
    log.info(`count ${count}`);
    return Reply.body({ count, stored: cache.set("count", count), first: cache.setIfAbsent("once", true) });
  });
  assert.deepEqual(await gateway.submitTask({}), { count: 1, stored: true, first: true });
  assert.deepEqual(await gateway.submitTask({}), { count: 2, stored: true, first: false });
  assert.deepEqual(gateway.log.map(({ message }) => message), ["count 1", "count 2"]);
});

test("a middleware looks into any reply, and hands it on untouched where it does not", async () => {
  const answer = { choices: [{ n: 1 }] };
  class Looks extends Middleware {
    async submitTask(data) {
      const reply = await this.next.submitTask(data);
      if (this.task.stream) return Reply.events([...(await reply.events()), { more: true }]);
      return Reply.body({ ...(await reply.json()), more: true });
    }
  }
  class Says extends BaseEndpoint {
    async submitTask() {
      return this.task.stream ? Reply.events([answer]) : Reply.body(answer);
    }
  }
  const backend = ({ json }) => (json.stream ? { events: [answer] } : { json: answer });
  for (const next of [DirectAPIEndpoint, Says]) {
    const gateway = new TestGateway(Looks, { config, next, backend });
    assert.deepEqual(await gateway.submitTask({}), { ...answer, more: true });
    assert.deepEqual(await gateway.submitStreamingTask({ stream: true }), [answer, { more: true }]);
    const through = new TestGateway(Middleware, { config, next, backend });
    assert.deepEqual(await through.submitTask({}), answer);
    assert.deepEqual(await through.submitStreamingTask({ stream: true }), [answer]);
  }
});

test("a form goes on as it came", async () => {
  class Careless extends Middleware {
    submitTask(data) {
      return this.next.submitTask({ ...data, messages: [] });
    }
  }
  const gateway = new TestGateway(Careless, { config, backend: () => ({ json: {} }) });
  const form = "audio/transcriptions";
  await gateway.submitTask({ model: "m" }, { operation: form });
  assert.deepEqual(gateway.requests[0].json, { model: "m" });
});

test("errors of the next one reach the client, and its checks the operator", async () => {
  const through = (options) => new TestGateway(Middleware, { config, ...options });
  await assert.rejects(through({ config: {} }).validate(), { message: "config key `api_url`: is missing" });
  class Busy extends BaseEndpoint {
    async submitTask() {
      throw AdaptorError.unavailable("busy", "come back", 7);
    }
  }
  await assert.rejects(through({ next: Busy }).submitTask({}), { status: 503, code: "busy", retryAfterMs: 7 });
});
