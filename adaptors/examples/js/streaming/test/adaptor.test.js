import assert from "node:assert/strict";
import { test } from "node:test";

import { TestGateway } from "airlock-adaptor/testing";

import { CustomStreaming } from "../src/adaptor.js";

const config = { api_url: "http://backend/v1" };
const event = (content) => ({ choices: [{ delta: { content } }] });

test("it changes each event", async () => {
  const backend = () => ({ events: [event("Grüße "), event("an alle"), { choices: [] }] });
  const gateway = new TestGateway(CustomStreaming, { config, backend });
  const events = await gateway.submitStreamingTask({ messages: [] });
  assert.deepEqual(events, [event("GRÜSSE "), event("AN ALLE"), { choices: [] }]);
});

test("it says what the backend says that refuses", async () => {
  const gateway = new TestGateway(CustomStreaming, { config, backend: () => ({ status: 429, body: "slow down" }) });
  const told = { status: 429, message: "the backend answered 429: slow down" };
  await assert.rejects(gateway.submitStreamingTask({ messages: [] }), told);
});
