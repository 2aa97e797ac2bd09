import assert from "node:assert/strict";
import { test } from "node:test";

import { events } from "../src/sse.js";

const bytes = (text) => new TextEncoder().encode(text);
const read = (...pieces) => [...events(pieces)];
const data = (...pieces) => read(...pieces).map((event) => event.data);

test("events are read whatever ends their lines, and however they are split", () => {
  const text = "data: a\r\n\r\ndata:b\rdata:  c\r\rdata\n\n: comment\nevent: ü\nid: 1\ndata: 🦀\n\ndata: last";
  const whole = [
    { event: "", data: "a" },
    { event: "", data: "b\n c" },
    { event: "", data: "" },
    { event: "ü", data: "🦀" },
    { event: "", data: "last" },
  ];
  assert.deepEqual(read(bytes(text)), whole);
  for (const size of [1, 2, 3, 7]) {
    const all = bytes(text);
    const pieces = [];
    for (let at = 0; at < all.length; at += size) pieces.push(all.slice(at, at + size));
    assert.deepEqual(read(...pieces), whole, `pieces of ${size}`);
  }
});

test("nothing behind [DONE] is read", () => {
  const more = function* () {
    yield bytes("data: 1\n\ndata: [DONE]\n\ndata: 2\n\n");
    assert.fail("the body is read on");
  };
  assert.deepEqual([...events(more())].map((event) => event.data), ["1"]);
  assert.deepEqual(data(bytes("data: [DONE]")), []);
});

test("an event without an end is refused", () => {
  const endless = function* () {
    for (;;) yield bytes("x".repeat(1 << 20));
  };
  const lines = function* () {
    for (;;) yield bytes(`data: ${"x".repeat(1 << 20)}\n`);
  };
  for (const body of [endless(), lines()]) {
    assert.throws(() => [...events(body)], { status: 502, code: "upstream_event_too_long" });
  }
});
