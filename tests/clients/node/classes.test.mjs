// Every class of error that a gateway can cause, in the SDKs of both vendors.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';

import { Anthropic, client, load } from './common.mjs';

const { z } = await load('zod/index.js');
const { zodResponseFormat } = await load('openai/helpers/zod.mjs');

const URL = process.env.AIRLOCK_SCRIPTED_URL;
const KEY = process.env.AIRLOCK_SCRIPTED_KEY;
const READER = process.env.AIRLOCK_SCRIPTED_READER;
const messages = [{ role: 'user', content: 'Hello' }];

const openai = (options = {}) => client({ baseURL: URL, apiKey: KEY, maxRetries: 0, ...options });
const anthropic = (options = {}) =>
  new Anthropic({ baseURL: URL.replace(/\/v1$/, ''), apiKey: KEY, timeout: 30_000, maxRetries: 0, ...options });
const chat = (model = 'plain', options = {}, more = {}) =>
  openai(options).chat.completions.create({ model, messages, ...more });
const message = (model = 'plain', options = {}, more = {}) =>
  anthropic(options).messages.create({ model, max_tokens: 9, messages, ...more });

/** Waits for the refusal and checks its class, no other and none below it. */
const raised = async (name, promise) => {
  const error = await promise.then(() => assert.fail('it did not fail'), (reason) => reason);
  assert.equal(error.constructor.name, name, `${error}`);
  return error;
};

/** A port that refuses connections. */
const deadPort = async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
};

for (const [status, name, code = 'upstream_error'] of [
  [400, 'BadRequestError'],
  [401, 'InternalServerError', 'upstream_auth_error'],
  [404, 'NotFoundError'],
  [409, 'ConflictError'],
  [422, 'UnprocessableEntityError'],
  [429, 'RateLimitError'],
  [500, 'InternalServerError'],
  [503, 'InternalServerError'],
]) {
  test(`OpenAI: a backend's ${status} is ${name}`, async () => {
    for (const stream of [false, true]) {
      const error = await raised(name, chat(`fails-${status}`, {}, { stream }));
      assert.equal(error.code, code);
      assert.ok(error.requestID);
    }
  });
}

for (const [status, name, code = 'upstream_error'] of [
  [400, 'BadRequestError'],
  [401, 'InternalServerError', 'upstream_auth_error'],
  [404, 'NotFoundError'],
  [409, 'ConflictError'],
  [413, 'ContentTooLargeError'],
  [422, 'UnprocessableEntityError'],
  [429, 'RateLimitError'],
  [500, 'InternalServerError'],
  [503, 'ServiceUnavailableError'],
  [504, 'GatewayTimeoutError'],
  [529, 'OverloadedError'],
]) {
  test(`Anthropic: a backend's ${status} is ${name}`, async () => {
    for (const stream of [false, true]) {
      const error = await raised(name, message(`fails-${status}`, {}, { stream }));
      assert.equal(error.error.error.details.error_code, code);
      assert.ok(error.requestID);
    }
  });
}

test('what the gateway itself refuses', async () => {
  for (const [name, code, model, options, more] of [
    ['AuthenticationError', 'invalid_api_key', 'plain', { apiKey: 'sk-of-nobody' }],
    ['PermissionDeniedError', 'insufficient_scope', 'plain', { apiKey: READER }],
    ['NotFoundError', 'model_not_found', 'gone', {}],
    ['BadRequestError', 'invalid_value', 'plain', {}, { temperature: 9 }],
  ]) {
    assert.equal((await raised(name, chat(model, options, more))).code, code);
    if (!more) {
      const error = await raised(name, message(model, options));
      assert.equal(error.error.error.details.error_code, code);
    }
  }
});

test('no answer at all', async () => {
  const nobody = `http://127.0.0.1:${await deadPort()}`;
  for (const ask of [chat, message]) {
    await raised('APIConnectionError', ask('plain', { baseURL: nobody }));
    await raised('APIConnectionTimeoutError', ask('silent', { timeout: 200 }));
    const leaving = new AbortController();
    const asked = ask === chat ? openai().chat.completions : anthropic().messages;
    const call = asked.create({ model: 'silent', max_tokens: 9, messages }, { signal: leaving.signal });
    leaving.abort();
    await raised('APIUserAbortError', call);
  }
});

test('a parsed chat that the backend filtered throws', async () => {
  const response_format = zodResponseFormat(z.object({}), 'anything');
  const call = openai().chat.completions.parse({ model: 'filtered', messages, response_format });
  await raised('ContentFilterFinishReasonError', call);
});

test('only what may help is tried again', async () => {
  for (const [status, times] of [[503, 3], [429, 3], [401, 1], [400, 1]]) {
    let sent = 0;
    const counting = (...request) => {
      sent += 1;
      return fetch(...request);
    };
    await chat(`fails-${status}`, { maxRetries: 2, fetch: counting }).catch(() => {});
    assert.equal(sent, times, `${status}`);
  }
});

test('images streamed, and reranking, which has no method', async () => {
  const stream = await openai().images.generate({ model: 'plain', prompt: 'Hello', stream: true });
  const kinds = [];
  for await (const event of stream) kinds.push(event.type);
  assert.deepEqual(kinds, ['image_generation.partial_image', 'image_generation.completed']);
  const body = { model: 'plain', query: 'Hello', documents: ['a', 'b'] };
  const { results } = await openai().post('/rerank', { body });
  assert.equal(results[0].index, 1);
});
