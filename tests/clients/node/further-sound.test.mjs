// Sound, transcripts and images with OpenAI's client: JSON that is answered by sound, and forms.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { all, client, OpenAI } from './common.mjs';

const openai = client({
  baseURL: process.env.AIRLOCK_SCRIPTED_URL,
  apiKey: process.env.AIRLOCK_SCRIPTED_KEY,
  maxRetries: 0,
});
const recording = (text = 'Hello from the file') => new File([text], 'hello.mp3', { type: 'audio/mpeg' });
const image = () => new File(['picture'], 'otter.png', { type: 'image/png' });
const failure = (promise) => promise.then(() => assert.fail('it did not fail'), (reason) => reason);

test('speech', async () => {
  const answer = await openai.audio.speech.create({ model: 'plain', voice: 'alloy', input: 'Hello' });
  const sound = Buffer.from(await answer.arrayBuffer()).toString();
  assert.equal(sound, `ID3${'Hello'.repeat(1000)}`);
  const cut = await openai.audio.speech.create({ model: 'cut', voice: 'alloy', input: 'Hello' });
  await failure(cut.arrayBuffer());
});

test('transcription and translation', async () => {
  // The file comes first in the form, as in OpenAI's own examples.
  const answer = await openai.audio.transcriptions.create({ file: recording(), model: 'plain' });
  assert.equal(answer.text, 'Hello from the file');
  const large = await openai.audio.transcriptions.create({ file: recording('Hello '.repeat(1 << 20)), model: 'plain' });
  assert.equal(large.text.length, 6 << 20);
  const text = await openai.audio.transcriptions.create({ file: recording(), model: 'plain', response_format: 'text' });
  assert.equal(text, 'Hello from the file');
  const { text: translated } = await openai.audio.translations.create({ file: recording(), model: 'plain' });
  assert.equal(translated, 'Hello from the file');
});

test('streamed transcription', async () => {
  const ask = (model) => openai.audio.transcriptions.create({ file: recording(), model, stream: true });
  const events = await all(await ask('plain'));
  assert.equal(events.at(-1).type, 'transcript.text.done');
  const error = await failure(all(await ask('cut')));
  assert.ok(error instanceof OpenAI.APIError, `${error}`);
  assert.equal(error.code, 'upstream_bad_response');
});

test('images', async () => {
  const edited = await openai.images.edit({ image: image(), prompt: 'A hat', model: 'plain' });
  const varied = await openai.images.createVariation({ image: image(), model: 'plain' });
  for (const { data } of [edited, varied]) assert.equal(atob(data[0].b64_json), 'picture');
  const events = await all(await openai.images.edit({ image: image(), prompt: 'A hat', model: 'plain', stream: true }));
  assert.equal(events.at(-1).type, 'image_edit.completed');
});

test('a form without a model', async () => {
  const error = await failure(openai.images.createVariation({ image: image() }));
  assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
  assert.equal(error.code, 'invalid_form');
  assert.equal(error.param, 'model');
});
