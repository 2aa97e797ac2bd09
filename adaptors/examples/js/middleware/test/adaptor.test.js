import assert from "node:assert/strict";
import { test } from "node:test";

import { TestGateway } from "airlock-adaptor/testing";

import { CustomMiddleware } from "../src/adaptor.js";

const config = { api_url: "http://backend/v1", system_prompt: "Be brief.", refused_word: "xyzzy" };
const answer = { choices: [] };
const chat = (content) => ({ messages: [{ role: "user", content }] });

// Behind it is the direct API, unless a test says `next: YourEndpoint`.
const before = () => new TestGateway(CustomMiddleware, { config, backend: () => ({ json: answer }) });

test("it puts the prompt before a chat", async () => {
  const gateway = before();
  assert.deepEqual(await gateway.submitTask(chat("Hello")), answer);
  const [{ json }] = gateway.requests;
  assert.deepEqual(json.messages, [{ role: "system", content: "Be brief." }, ...chat("Hello").messages]);
});

test("it refuses the word", async () => {
  const gateway = before();
  await assert.rejects(gateway.submitTask(chat("say xyzzy")), { status: 400, code: "word_refused" });
  assert.equal(gateway.requests.length, 0);
});

test("it hands other operations on as they are", async () => {
  const gateway = before();
  await gateway.submitTask({ input: "xyzzy" }, { operation: "embeddings" });
  const [{ url, json }] = gateway.requests;
  assert.deepEqual([url, json.input], ["http://backend/v1/embeddings", "xyzzy"]);
});
