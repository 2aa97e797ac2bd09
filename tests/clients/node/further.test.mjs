// Responses, moderations and images with OpenAI's client; messages with Anthropic's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { all, Anthropic, client, OpenAI } from './common.mjs';

const URL = process.env.AIRLOCK_SCRIPTED_URL;
const KEY = process.env.AIRLOCK_SCRIPTED_KEY;
const TEXT = 'Hello from the script';

const openai = client({ baseURL: URL, apiKey: KEY, maxRetries: 0 });
const anthropic = (options = {}) =>
  new Anthropic({ baseURL: URL.replace(/\/v1$/, ''), apiKey: KEY, timeout: 30_000, maxRetries: 0, ...options });
const ask = (model = 'plain', more = {}) => ({
  model,
  max_tokens: 9,
  messages: [{ role: 'user', content: 'Hello' }],
  ...more,
});
const failure = (promise) => promise.then(() => assert.fail('it did not fail'), (reason) => reason);

test('response', async () => {
  const answer = await openai.responses.create({ model: 'plain', input: 'Hello' });
  assert.equal(answer.output_text, TEXT);
  assert.equal(answer.usage.total_tokens, 7);
});

test('streamed response', async () => {
  const events = await all(await openai.responses.create({ model: 'plain', input: 'Hello', stream: true }));
  assert.equal(events.at(-1).type, 'response.completed');
  const final = await openai.responses.stream({ model: 'plain', input: 'Hello' }).finalResponse();
  assert.equal(final.output_text, TEXT);
});

test('a response that breaks off throws', async () => {
  const stream = await openai.responses.create({ model: 'cut', input: 'Hello', stream: true });
  const error = await failure(all(stream));
  assert.ok(error instanceof OpenAI.APIError, `${error}`);
  assert.equal(error.code, 'upstream_bad_response');
});

test('moderation and image', async () => {
  const { results } = await openai.moderations.create({ model: 'plain', input: 'Hello' });
  assert.equal(results[0].flagged, true);
  const { data } = await openai.images.generate({ model: 'plain', prompt: 'Hello' });
  assert.equal(data[0].b64_json, 'aGVsbG8=');
});

test('an operation that the cluster does not offer', async () => {
  const error = await failure(openai.responses.create({ model: 'bare', input: 'Hello' }));
  assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
  assert.equal(error.code, 'unsupported_endpoint');
});

test('message', async () => {
  const message = await anthropic().messages.create(ask());
  assert.equal(message.content[0].text, TEXT);
  assert.ok(message._request_id);
  const { max_tokens, ...count } = ask();
  assert.equal((await anthropic().messages.countTokens(count)).input_tokens, 12);
});

test('streamed message', async () => {
  const events = await all(await anthropic().messages.create(ask('plain', { stream: true })));
  assert.equal(events.at(-1).type, 'message_stop');
  const final = await anthropic().messages.stream(ask()).finalMessage();
  assert.equal(final.content[0].text, TEXT);
  assert.equal(final.usage.output_tokens, 4);
});

test('a message that breaks off throws', async () => {
  const stream = await anthropic().messages.create(ask('cut', { stream: true }));
  const error = await failure(all(stream));
  assert.ok(error instanceof Anthropic.APIError, `${error}`);
  assert.equal(error.error.error.type, 'api_error');
});

test('refused messages', async () => {
  for (const [kind, type, call] of [
    [Anthropic.NotFoundError, 'not_found_error', () => anthropic().messages.create(ask('gone'))],
    [Anthropic.BadRequestError, 'invalid_request_error', () => anthropic().messages.create(ask('bare'))],
    [Anthropic.AuthenticationError, 'authentication_error', () => anthropic({ apiKey: 'sk-of-nobody' }).messages.create(ask())],
    [Anthropic.InternalServerError, 'overloaded_error', () => anthropic().messages.create(ask('busy'))],
  ]) {
    const error = await failure(call());
    assert.ok(error instanceof kind, `${error}`);
    assert.equal(error.error.error.type, type);
    assert.ok(error.requestID);
  }
});
