// Chats: plain, streamed, with tools, many at once, and broken off.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { all, chat, client, FEDERATED_MODEL, textOf, WEATHER_QUESTION, WEATHER_TOOL } from './common.mjs';

const { completions } = client().chat;
const ask = (content) => completions.create(chat({ messages: [{ role: 'user', content }] }));

test('chat', async () => {
  const answer = await completions.create(chat());
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.match(answer.choices[0].message.content, /Hello from Node/);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.ok(prompt_tokens > 0);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
});

test('chat through a federated name', async () => {
  const answer = await completions.create(chat({ model: FEDERATED_MODEL }));
  assert.match(answer.choices[0].message.content, /Hello from Node/);
});

test('unusual text survives', async () => {
  const text = 'Grüße, 世界 🚀 "quoted" \\ \u2028 end';
  const answer = await ask(text);
  assert.ok(answer.choices[0].message.content.includes(text));
});

test('json schema', async () => {
  const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'], additionalProperties: false };
  const response_format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } };
  const answer = await completions.create(chat({ response_format }));
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { ok: true });
});

test('a streamed chat is the plain one in pieces', async () => {
  const chunks = await all(await completions.create(chat({ stream: true })));
  const plain = await completions.create(chat());
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.equal(textOf(chunks), plain.choices[0].message.content);
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
});

test('usage comes last when asked for', async () => {
  const body = chat({ stream: true, stream_options: { include_usage: true } });
  const chunks = await all(await completions.create(body));
  const plain = await completions.create(chat());
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.deepEqual(last.usage, plain.usage);
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && chunk.usage === null));
});

test('no usage when not asked for', async () => {
  const chunks = await all(await completions.create(chat({ stream: true })));
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && chunk.usage == null));
});

test('a tool call makes a round trip', async () => {
  const tools = [WEATHER_TOOL];
  const first = await completions.create(chat({ messages: [WEATHER_QUESTION], tools }));
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, 'tool_calls');
  const [call] = message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris', unit: 'celsius' });
  const result = { role: 'tool', tool_call_id: call.id, content: 'Sunny, 18 degrees' };
  const second = await completions.create(chat({ messages: [WEATHER_QUESTION, message, result], tools }));
  assert.equal(second.choices[0].finish_reason, 'stop');
  assert.match(second.choices[0].message.content, /Sunny, 18 degrees/);
});

test('streamed tool calls are assembled', async () => {
  const stream = completions.stream(chat({ messages: [WEATHER_QUESTION], tools: [WEATHER_TOOL] }));
  const final = await stream.finalChatCompletion();
  const [call] = final.choices[0].message.tool_calls;
  assert.equal(final.choices[0].finish_reason, 'tool_calls');
  assert.ok(call.id);
  assert.equal(call.function.name, 'get_weather');
  assert.equal(JSON.parse(call.function.arguments).city, 'Paris');
});

test('twenty chats at once', async () => {
  const questions = Array.from({ length: 20 }, (_, number) => `I am caller number ${number}!`);
  const answers = await Promise.all(questions.map(ask));
  answers.forEach((answer, i) => assert.ok(answer.choices[0].message.content.includes(questions[i])));
});

test('leaving a stream early leaves the gateway healthy', async () => {
  for (let round = 0; round < 10; round += 1) {
    const stream = await completions.create(chat({ stream: true }));
    for await (const _ of stream) break;
  }
  const stream = await completions.create(chat({ stream: true }));
  stream.controller.abort();
  const answer = await completions.create(chat());
  assert.equal(answer.choices[0].finish_reason, 'stop');
});
