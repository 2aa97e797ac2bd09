// Completions, embeddings, the list of models, other addresses, and headers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  all,
  chat,
  CHAT_MODEL,
  client,
  CLUSTER_URLS,
  EMBEDDING_MODEL,
  FEDERATED_MODEL,
  FEDERATED_URLS,
  textOf,
} from './common.mjs';

const openai = client();
const embed = (input, more = {}) => openai.embeddings.create({ model: EMBEDDING_MODEL, input, ...more });

test('completions', async () => {
  const body = { model: CHAT_MODEL, prompt: 'Once upon a time' };
  const plain = await openai.completions.create(body);
  assert.equal(plain.object, 'text_completion');
  assert.match(plain.choices[0].text, /Once upon a time/);
  const chunks = await all(await openai.completions.create({ ...body, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), plain.choices[0].text);
});

test('embeddings in both formats', async () => {
  // Without a format, the client asks for base64 and decodes it.
  const decoded = (await embed('Hello')).data[0].embedding;
  const { data, usage } = await embed('Hello', { encoding_format: 'float' });
  assert.ok(usage.total_tokens > 0);
  assert.equal(data[0].embedding.length, decoded.length);
  data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - decoded[i]) < 1e-6));
  assert.ok(Math.abs(Math.hypot(...decoded) - 1) < 1e-4);
});

test('equal texts have equal vectors of the wanted length', async () => {
  const { data } = await embed(['a', 'b', 'a'], { dimensions: 64 });
  const [first, second, third] = data.map((item) => Array.from(item.embedding));
  assert.equal(first.length, 64);
  assert.deepEqual(first, third);
  assert.notDeepEqual(first, second);
});

test('models', async () => {
  const ids = (await all(openai.models.list())).map((model) => model.id);
  for (const id of [CHAT_MODEL, EMBEDDING_MODEL, FEDERATED_MODEL]) {
    assert.ok(ids.includes(id), `${id} is not in ${ids}`);
    // The client writes a slash in an id as %2F.
    const model = await openai.models.retrieve(id);
    assert.equal(model.id, id);
    assert.equal(model.object, 'model');
  }
});

for (const baseURL of [...FEDERATED_URLS, ...CLUSTER_URLS]) {
  test(`every operation under ${new URL(baseURL).pathname}`, async () => {
    const other = client({ baseURL });
    const plain = await other.chat.completions.create(chat());
    const chunks = await all(await other.chat.completions.create(chat({ stream: true })));
    assert.equal(textOf(chunks), plain.choices[0].message.content);
    const completion = await other.completions.create({ model: CHAT_MODEL, prompt: 'Hello' });
    assert.match(completion.choices[0].text, /Hello/);
    const embedding = await other.embeddings.create({ model: EMBEDDING_MODEL, input: 'Hello' });
    assert.ok(embedding.data[0].embedding.length > 0);
    const ids = (await all(other.models.list())).map((model) => model.id);
    assert.ok(ids.includes(CHAT_MODEL) && ids.includes(EMBEDDING_MODEL));
  });
}

test('request ids', async () => {
  const { data, response, request_id } = await openai.chat.completions.create(chat()).withResponse();
  assert.ok(request_id);
  assert.equal(response.headers.get('x-request-id'), request_id);
  assert.equal(data._request_id, request_id);
  assert.notEqual((await openai.chat.completions.create(chat()))._request_id, request_id);
});
