// The Vercel AI SDK. It prints its versions.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [, , url, pixel] = process.argv
const folder = `${process.env.MODULES}/node_modules`
const require = createRequire(`${folder}/x.js`)
const load = (name) => import(pathToFileURL(require.resolve(name)))
const { generateText, streamText, generateObject, embedMany, tool } = await load('ai')
const { createOpenAI } = await load('@ai-sdk/openai')
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible')
const { z } = await load('zod')

const weather = tool({ description: 'The weather.', inputSchema: z.object({ city: z.string() }), execute: async () => '20' })
const schema = z.object({ city: z.string(), degrees: z.number() })
const image = [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image', image: pixel }] }]
const openai = createOpenAI({ baseURL: url, apiKey: 'k' })
const compatible = createOpenAICompatible({ name: 'airlock', baseURL: url, apiKey: 'k', includeUsage: true })
const settings = { maxRetries: 0, temperature: 0.5, topP: 0.9, maxOutputTokens: 9, stopSequences: ['a'], seed: 1, presencePenalty: 0.1, frequencyPenalty: 0.1 }
for (const model of [openai.chat('m'), compatible.chatModel('m')]) {
  const ask = (more) => generateText({ model, maxRetries: 0, ...more }).catch((error) => console.error('ignored:', String(error).slice(0, 200)))
  await ask({ prompt: 'hi' })
  await ask({ system: 'be brief', prompt: 'hi', ...settings })
  await ask({ messages: image })
  await ask({ prompt: 'hi', tools: { weather }, stopWhen: ({ steps }) => steps.length > 1 })
  await ask({ prompt: 'hi', tools: { weather }, toolChoice: { type: 'tool', toolName: 'weather' } })
  await ask({ prompt: 'hi', tools: { weather }, toolChoice: 'required' })
  await generateObject({ model, schema, prompt: 'hi', maxRetries: 0 }).catch((error) => console.error('ignored:', String(error).slice(0, 200)))
  for await (const _ of streamText({ model, prompt: 'hi', maxRetries: 0 }).textStream);
}
for (const model of [openai.completion('m'), compatible.completionModel('m')]) {
  await generateText({ model, prompt: 'hi', maxRetries: 0 }).catch((error) => console.error('ignored:', String(error).slice(0, 200)))
}
const embedding = openai.textEmbeddingModel ?? openai.embedding
await embedMany({ model: embedding('m'), values: ['a', 'b'], maxRetries: 0 }).catch((error) => console.error('ignored:', String(error).slice(0, 200)))
const version = (name) => `${name} ${JSON.parse(readFileSync(`${folder}/${name}/package.json`)).version}`
console.log(['ai', '@ai-sdk/openai', '@ai-sdk/openai-compatible'].map(version).join(', '))
process.exit(0)
