// The Vercel AI SDK, with each of the providers that a gateway can be to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHAT_MODEL, EMBEDDING_MODEL, GATEWAY, KEY, load } from './common.mjs';

const { APICallError, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } =
  await load('ai/dist/index.mjs');
const { createOpenAI } = await load('@ai-sdk/openai/dist/index.mjs');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible/dist/index.mjs');
const { createAnthropic } = await load('@ai-sdk/anthropic/dist/index.mjs');
const { z } = await load('zod/index.js');

globalThis.AI_SDK_LOG_WARNINGS = false;
const at = { baseURL: GATEWAY, apiKey: KEY };
const openai = createOpenAI(at);
const compatible = createOpenAICompatible({
  ...at, name: 'airlock', includeUsage: true, supportsStructuredOutputs: true,
});
const MODELS = {
  'openai-compatible': compatible(CHAT_MODEL),
  'openai, chats': openai.chat(CHAT_MODEL),
  'openai, responses': openai.responses(CHAT_MODEL),
  anthropic: createAnthropic(at)(CHAT_MODEL),
};

const SUNNY = 'Sunny, 18 degrees in Paris';
const weather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny, 18 degrees in ${city}`,
});
const asks = (model) => ({
  model,
  maxRetries: 0,
  tools: { get_weather: weather },
  stopWhen: stepCountIs(5),
  prompt: 'What is the weather in Paris today?',
});
const schema = z.object({ city: z.string(), days: z.int(), cheap: z.boolean() });
const TRIP = { city: 'Rome', days: 4, cheap: true };

for (const [name, model] of Object.entries(MODELS)) {
  test(`${name}: a chat that uses a tool`, async () => {
    const { steps, text, totalUsage } = await generateText(asks(model));
    assert.deepEqual(steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
    assert.deepEqual(steps[0].toolCalls[0].input, { city: 'Paris' });
    assert.ok(text.includes(SUNNY), text);
    assert.ok(totalUsage.inputTokens > 0 && totalUsage.outputTokens > 0);
  });

  test(`${name}: a streamed chat that uses a tool`, async () => {
    const errors = [];
    const result = streamText({ ...asks(model), onError: ({ error }) => errors.push(error) });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.deepEqual(errors, []);
    assert.ok(text.includes(SUNNY), text);
    assert.deepEqual((await result.steps).map((step) => step.finishReason), ['tool-calls', 'stop']);
    assert.ok((await result.totalUsage).outputTokens > 0);
  });

  test(`${name}: an object, whole and streamed`, async () => {
    const body = { model, schema, maxRetries: 0, prompt: 'Plan a trip to Rome for 4 days' };
    assert.deepEqual((await generateObject(body)).object, TRIP);
    const errors = [];
    const { partialObjectStream } = streamObject({ ...body, onError: ({ error }) => errors.push(error) });
    let object;
    for await (const partial of partialObjectStream) object = partial;
    assert.deepEqual([object, errors], [TRIP, []]);
  });
}

test('embeddings', async () => {
  for (const model of [compatible.textEmbeddingModel(EMBEDDING_MODEL), openai.embedding(EMBEDDING_MODEL)]) {
    const { embeddings, usage } = await embedMany({ model, values: ['a', 'b'], maxRetries: 0 });
    assert.equal(embeddings.length, 2);
    assert.ok(usage.tokens > 0);
  }
});

test('refusals', async () => {
  for (const provider of [compatible, openai.chat, openai.responses, createAnthropic(at)]) {
    const error = await generateText({ model: provider('gone'), prompt: 'x', maxRetries: 0 }).catch((e) => e);
    assert.ok(APICallError.isInstance(error), `${error}`);
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /gone/);
  }
});
