// The official client for Node. It prints its version.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [, , url, pixel] = process.argv
const folder = `${process.env.MODULES}/node_modules`
const require = createRequire(`${folder}/x.js`)
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')))

const client = new OpenAI({ baseURL: url, apiKey: 'k', maxRetries: 0 })
const messages = [{ role: 'user', content: 'hi' }]
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }]
const chat = (more) => client.chat.completions.create({ model: 'm', messages, ...more })
await chat({})
for await (const _ of await chat({ stream: true, stream_options: { include_usage: true } }));
await chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: pixel } }] }] })
const answered = await chat({ tools, tool_choice: 'required', parallel_tool_calls: false, temperature: null })
await chat({ messages: [...messages, answered.choices[0].message, { role: 'tool', tool_call_id: 'call_1', content: '20' }], tools })
await chat({ response_format: { type: 'json_schema', json_schema: { name: 'w', strict: true, schema: { type: 'object' } } } })
await client.completions.create({ model: 'm', prompt: 'hi' })
await client.embeddings.create({ model: 'm', input: ['a'] })
console.log(`openai ${JSON.parse(readFileSync(`${folder}/openai/package.json`)).version}`)
