// Refusals: the client throws the right class, and finds all four keys in the body.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chat, client, CLUSTER_URLS, OpenAI } from './common.mjs';

const openai = client({ maxRetries: 0 });

/** Waits for the refusal and checks its class, its body and the keys in `wanted`. */
const refused = async (kind, promise, wanted = {}) => {
  const error = await promise.then(() => assert.fail('it was not refused'), (reason) => reason);
  assert.ok(error instanceof kind, `${error}`);
  assert.deepEqual(Object.keys(error.error).sort(), ['code', 'message', 'param', 'type']);
  assert.equal(typeof error.error.message, 'string');
  assert.equal(typeof error.type, 'string');
  assert.ok(error.requestID);
  for (const [key, value] of Object.entries(wanted)) assert.equal(error[key], value);
};

test('wrong key', async () => {
  const other = client({ apiKey: 'sk-of-nobody', maxRetries: 0 });
  const wanted = { code: 'invalid_api_key' };
  await refused(OpenAI.AuthenticationError, other.chat.completions.create(chat()), wanted);
  await refused(OpenAI.AuthenticationError, other.models.list(), wanted);
});

test('unknown model', async () => {
  const wanted = { code: 'model_not_found' };
  for (const other of [openai, ...CLUSTER_URLS.map((baseURL) => client({ baseURL, maxRetries: 0 }))]) {
    await refused(OpenAI.NotFoundError, other.chat.completions.create(chat({ model: 'gone' })), wanted);
  }
  await refused(OpenAI.NotFoundError, openai.models.retrieve('gone/away'), wanted);
});

test('bad temperature', async () => {
  const call = openai.chat.completions.create(chat({ temperature: 5 }));
  await refused(OpenAI.BadRequestError, call, { param: 'temperature' });
});

test('stream_options without stream', async () => {
  const call = openai.chat.completions.create(chat({ stream_options: { include_usage: true } }));
  await refused(OpenAI.BadRequestError, call, { param: 'stream_options' });
});

test('unknown route', async () => {
  await refused(OpenAI.NotFoundError, openai.post('/nothing/here', { body: {} }));
});
