// What all cases share: the gateway's addresses, clients, and the demo's names.

import { pathToFileURL } from 'node:url';

// The packages lie outside the checkout, where an import by name would not look.
const packages = pathToFileURL(`${process.env.AIRLOCK_NODE_MODULES}/`);
export const load = (file) => import(new URL(file, packages));
export const { default: OpenAI } = await load('openai/index.mjs');
export const { default: Anthropic } = await load('@anthropic-ai/sdk/index.mjs');

export const GATEWAY = process.env.AIRLOCK_URL;
export const KEY = process.env.AIRLOCK_KEY;
export const ROOT = GATEWAY.replace(/\/v1$/, '');

export const CHAT_MODEL = 'demo-model';
export const EMBEDDING_MODEL = 'demo-embedding';
export const FEDERATED_MODEL = 'demo/federated-model';

// The same API under its other addresses; the ones with a cluster in it serve that cluster alone.
export const FEDERATED_URLS = [GATEWAY, `${ROOT}/resource_server/v1`];
export const CLUSTER_URLS = [`${ROOT}/demo/api/v1`, `${ROOT}/resource_server/demo/api/v1`];

export const WEATHER_QUESTION = { role: 'user', content: 'What is the weather in Paris today?' };
export const WEATHER_TOOL = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      },
      required: ['city', 'unit'],
      additionalProperties: false,
    },
  },
};

/** A client as a user would make it; `options` replace what they name. */
export const client = (options = {}) =>
  new OpenAI({ baseURL: GATEWAY, apiKey: KEY, timeout: 30_000, ...options });

/** The body of a chat; `more` replaces what it names. */
export const chat = (more = {}) => ({
  model: CHAT_MODEL,
  messages: [{ role: 'user', content: 'Hello from Node' }],
  ...more,
});

/** Everything an async iterable gives. */
export const all = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};

/** The text of a streamed chat's first choice. */
export const textOf = (chunks) =>
  chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
