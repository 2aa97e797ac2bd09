// Chats with the official client for Node, through every kind of backend. One server answers all of them, so that they
// must agree.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { all, client, textOf } from '../../clients/node/common.mjs';

const { completions } = client({ maxRetries: 0, timeout: 60_000 }).chat;
const KINDS = ['globus-first/chat', 'globus-newest/chat', 'bought/chat', 'metis/chat', 'custom/chat', 'anywhere'];

const body = (model, content) => ({
  model,
  messages: [{ role: 'user', content }],
  temperature: 0,
  max_tokens: 12,
});

const expected = (await completions.create(body('tiny', 'Hello from Node'))).choices[0].message.content;

for (const model of KINDS) {
  test(`${model}, plain and streamed`, async () => {
    const plain = await completions.create(body(model, 'Hello from Node'));
    assert.equal(plain.choices[0].message.content, expected);
    assert.equal(plain.usage.completion_tokens, 12);
    const chunks = await all(await completions.create({ ...body(model, 'Hello from Node'), stream: true }));
    assert.equal(textOf(chunks), expected);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'length');
  });
}

test('a chain sends a system prompt along', async () => {
  const chained = await completions.create(body('chained/chat', 'Hello from Node'));
  assert.notEqual(chained.choices[0].message.content, expected);
});
