// Does what the last message says, to see what the engine and the SDK make of it.

import { adaptor, BaseEndpoint, cache, Reply } from "airlock-adaptor";

globalThis.count = 0;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const deeds = {
  async crash() {
    await null;
    return undefined.secret_of_the_adaptor;
  },
  throwText() {
    throw "no error at all, and the secret_of_the_adaptor";
  },
  recurse() {
    const deeper = () => deeper() + 1;
    return deeper();
  },
  noReply() {
    return { answer: 42 };
  },
  forever: () => new Promise(() => {}),
  failLater: () => new Promise(() => setTimeout(() => deeds.crash.missing(), 1)),
  spin() {
    for (;;) globalThis.count += 1;
  },
  grow() {
    const all = [];
    for (;;) all.push(new Uint8Array(1 << 20).fill(1));
  },
  count() {
    globalThis.count += 1;
    return Reply.body({ count: globalThis.count });
  },
  async luck() {
    const bytes = crypto.getRandomValues(new Uint8Array(4));
    return Reply.body({ random: Math.random(), more: Math.random(), uuid: crypto.randomUUID(), bytes: [...bytes], now: Date.now() });
  },
  async nap() {
    const before = performance.now();
    const order = [];
    const note = async (name, milliseconds) => {
      await sleep(milliseconds);
      order.push(name);
    };
    clearTimeout(setTimeout(() => order.push("never"), 1));
    queueMicrotask(() => order.push("first"));
    await Promise.all([note("late", 30), note("early", 10), Promise.resolve().then(() => order.push("second"))]);
    return Reply.body({ order, slept: performance.now() - before });
  },
  text(data) {
    const { text, bytes } = data;
    const decoder = new TextDecoder();
    const encoded = new TextEncoder().encode(text);
    let isFatal = false;
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
    } catch {
      isFatal = true;
    }
    return Reply.body({ text, encoded: [...encoded], again: decoder.decode(encoded), decoded: decoder.decode(new Uint8Array(bytes)), isFatal });
  },
  store() {
    const before = cache.get("js-odd");
    const stored = cache.set("js-odd", { count: (before?.count ?? 0) + 1 });
    const tooLong = cache.set("k".repeat(300), 1);
    return Reply.body({ count: cache.get("js-odd").count, stored, tooLong, taken: cache.setIfAbsent("js-odd", 1) });
  },
  log() {
    console.log("a line", { of: 1 });
    console.warn("another");
    return Reply.body({});
  },
  events({ total }) {
    return Reply.events(counted(total));
  },
  async later({ total }) {
    return Reply.events(countedLater(total));
  },
  broken() {
    return Reply.events(brokenAfterOne());
  },
  async brokenLater() {
    return Reply.events(brokenLater());
  },
};

const chunk = (content) => ({ choices: [{ index: 0, delta: { content } }] });

function* counted(total) {
  for (let number = 0; number < total; number += 1) yield chunk(`${number} `);
}

async function* countedLater(total) {
  for await (const event of counted(total)) {
    await null;
    yield event;
  }
}

async function* brokenLater() {
  yield* brokenAfterOne();
}

function* brokenAfterOne() {
  yield chunk("one");
  throw new RangeError("the secret_of_the_adaptor");
}

class Odd extends BaseEndpoint {
  submitTask(data) {
    return deeds[data.messages.at(-1).content](data);
  }
}

export const { endpoint, replies } = adaptor(Odd);
