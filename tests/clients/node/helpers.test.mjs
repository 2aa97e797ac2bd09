// What the SDKs do beyond one call: answers as objects, and tools that they run themselves.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { all, Anthropic, chat, CHAT_MODEL, client, KEY, load, ROOT, WEATHER_QUESTION, WEATHER_TOOL } from './common.mjs';

const { z } = await load('zod/index.js');
const { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } = await load('openai/helpers/zod.mjs');
const { zodOutputFormat } = await load('@anthropic-ai/sdk/helpers/zod.mjs');
const { betaZodTool } = await load('@anthropic-ai/sdk/helpers/beta/zod.mjs');

const openai = client();
const anthropic = new Anthropic({ baseURL: ROOT, apiKey: KEY, timeout: 30_000 });
const SUNNY = 'Sunny, 18 degrees in Paris';
const Trip = z.object({ city: z.string(), days: z.int(), cheap: z.boolean() });
const TRIP = { city: 'Rome', days: 4, cheap: true };
const PLAN = [{ role: 'user', content: 'Plan a trip to Rome for 4 days' }];
const City = z.object({ city: z.string() });
const weather = async ({ city }) => `Sunny, 18 degrees in ${city}`;
const message = (more) => ({ model: CHAT_MODEL, max_tokens: 500, messages: [WEATHER_QUESTION], ...more });

test('a chat parsed, plain and streamed', async () => {
  const body = chat({ messages: PLAN, response_format: zodResponseFormat(Trip, 'trip') });
  const plain = await openai.chat.completions.parse(body);
  assert.deepEqual(plain.choices[0].message.parsed, TRIP);
  const final = await openai.chat.completions.stream(body).finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, TRIP);
});

test('arguments of tools parsed', async () => {
  const tools = [zodFunction({ name: 'get_weather', parameters: City })];
  const { choices } = await openai.chat.completions.parse(chat({ messages: [WEATHER_QUESTION], tools }));
  assert.deepEqual(choices[0].message.tool_calls[0].function.parsed_arguments, { city: 'Paris' });
});

test('a parsed chat that was cut short throws', async () => {
  const body = chat({ messages: PLAN, response_format: zodResponseFormat(Trip, 'trip'), max_tokens: 1 });
  const call = openai.chat.completions.parse(body);
  await assert.rejects(call, (error) => error.constructor.name === 'LengthFinishReasonError');
});

for (const stream of [false, true]) {
  test(`chat.completions.runTools, ${stream ? 'streamed' : 'plain'}`, async () => {
    const run = { function: weather, parse: JSON.parse, ...WEATHER_TOOL.function };
    const tools = [{ type: 'function', function: run }];
    const runner = openai.chat.completions.runTools(chat({ messages: [WEATHER_QUESTION], tools, stream }));
    assert.ok((await runner.finalContent()).includes(SUNNY));
  });

  test(`beta.messages.toolRunner, ${stream ? 'streamed' : 'plain'}`, async () => {
    const tool = betaZodTool({ name: 'get_weather', description: 'The weather', inputSchema: City, run: weather });
    // It asks for a thread first, which a translation has not: the runner goes on without one by itself.
    for (const more of [{}, { thread: false }]) {
      const runner = anthropic.beta.messages.toolRunner(message({ tools: [tool], stream, ...more }));
      assert.ok((await runner.runUntilDone()).content[0].text.includes(SUNNY));
    }
  });
}

test('a response, whole, streamed and parsed', async () => {
  const body = { model: CHAT_MODEL, input: PLAN };
  const plain = await openai.responses.create(body);
  assert.match(plain.output_text, /Plan a trip to Rome/);
  const events = await all(await openai.responses.create({ ...body, stream: true }));
  assert.equal(events.at(-1).response.output_text ?? plain.output_text, plain.output_text);
  assert.equal((await openai.responses.stream(body).finalResponse()).output_text, plain.output_text);
  const text = { format: zodTextFormat(Trip, 'trip') };
  assert.deepEqual((await openai.responses.parse({ ...body, text })).output_parsed, TRIP);
  assert.deepEqual((await openai.responses.stream({ ...body, text }).finalResponse()).output_parsed, TRIP);
});

test('tools of responses make a round trip', async () => {
  const tools = [zodResponsesFunction({ name: 'get_weather', parameters: City })];
  const first = await openai.responses.parse({ model: CHAT_MODEL, input: [WEATHER_QUESTION], tools });
  const call = first.output.find((item) => item.type === 'function_call');
  assert.deepEqual(call.parsed_arguments, { city: 'Paris' });
  const { call_id, name, arguments: said } = call;
  const input = [
    WEATHER_QUESTION,
    { type: 'function_call', call_id, name, arguments: said },
    { type: 'function_call_output', call_id, output: SUNNY },
  ];
  assert.ok((await openai.responses.create({ model: CHAT_MODEL, input, tools })).output_text.includes(SUNNY));
});

test('a message, streamed and parsed', async () => {
  const plain = await anthropic.messages.create(message({ messages: PLAN }));
  assert.match(plain.content[0].text, /Plan a trip to Rome/);
  const final = await anthropic.messages.stream(message({ messages: PLAN })).finalMessage();
  assert.deepEqual(final.content, plain.content);
  const output_config = { format: zodOutputFormat(Trip) };
  const parsed = await anthropic.messages.parse(message({ messages: PLAN, output_config }));
  assert.deepEqual(parsed.parsed_output, TRIP);
});
