"""Every operation with the clients for asyncio, and those that OpenAI's clients have no method for."""

import os
import unittest

import anthropic
import openai

from common import CHAT_MODEL, EMBEDDING_MODEL, FEDERATED_MODEL, KEY, ROOT, async_client, text_of

SCRIPTED = {"base_url": os.environ["AIRLOCK_SCRIPTED_URL"], "api_key": os.environ["AIRLOCK_SCRIPTED_KEY"]}
SAYS = "Hello from the script"


class Demo(unittest.IsolatedAsyncioTestCase):
    """What the demo's model server speaks, and what is translated for it."""

    async def asyncSetUp(self):
        self.client = async_client()
        self.addAsyncCleanup(self.client.close)

    async def test_completions(self):
        request = {"model": CHAT_MODEL, "prompt": "Once upon a time"}
        plain = await self.client.completions.create(**request)
        stream = await self.client.completions.create(**request, stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
        self.assertIn("Once upon a time", text)
        self.assertEqual(text, plain.choices[0].text)

    async def test_embeddings(self):
        answer = await self.client.embeddings.create(model=EMBEDDING_MODEL, input=["a", "b"], dimensions=8)
        self.assertEqual([len(item.embedding) for item in answer.data], [8, 8])

    async def test_models(self):
        ids = {model.id async for model in self.client.models.list()}
        self.assertLessEqual({CHAT_MODEL, EMBEDDING_MODEL, FEDERATED_MODEL}, ids)
        self.assertEqual((await self.client.models.retrieve(FEDERATED_MODEL)).id, FEDERATED_MODEL)

    async def test_chat_stream_helper(self):
        ask = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hello from Python"}]}
        async with self.client.chat.completions.stream(**ask) as stream:
            chunks = [event.chunk async for event in stream if event.type == "chunk"]
            final = await stream.get_final_completion()
        self.assertIn("Hello from Python", final.choices[0].message.content)
        self.assertEqual(text_of(chunks), final.choices[0].message.content)

    async def test_responses(self):
        request = {"model": CHAT_MODEL, "input": "Hello from Python"}
        plain = await self.client.responses.create(**request)
        self.assertIn("Hello from Python", plain.output_text)
        events = [event async for event in await self.client.responses.create(**request, stream=True)]
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), plain.output_text)
        self.assertEqual(events[-1].response.output_text, plain.output_text)
        async with self.client.responses.stream(**request) as stream:
            final = await stream.get_final_response()
        self.assertEqual((final.output_text, final.usage), (plain.output_text, plain.usage))

    async def test_messages(self):
        ask = {"model": CHAT_MODEL, "max_tokens": 500}
        ask["messages"] = [{"role": "user", "content": "Hello from Python"}]
        async with anthropic.AsyncAnthropic(base_url=ROOT, api_key=KEY, timeout=30) as client:
            plain = await client.messages.create(**ask)
            self.assertIn("Hello from Python", plain.content[0].text)
            self.assertTrue(plain._request_id)
            events = [event async for event in await client.messages.create(**ask, stream=True)]
            self.assertEqual((events[0].type, events[-1].type), ("message_start", "message_stop"))
            async with client.messages.stream(**ask) as stream:
                text = "".join([text async for text in stream.text_stream])
                final = await stream.get_final_message()
        self.assertEqual((text, final.stop_reason), (plain.content[0].text, "end_turn"))
        self.assertEqual(final.usage.output_tokens, plain.usage.output_tokens)


class Scripted(unittest.IsolatedAsyncioTestCase):
    """What the demo's model server does not offer."""

    async def asyncSetUp(self):
        self.client = openai.AsyncOpenAI(**SCRIPTED, timeout=30, max_retries=0)
        self.addAsyncCleanup(self.client.close)

    async def test_responses(self):
        answer = await self.client.responses.create(model="plain", input="Hello")
        self.assertEqual((answer.output_text, answer.usage.total_tokens), (SAYS, 7))
        stream = await self.client.responses.create(model="cut", input="Hello", stream=True)
        with self.assertRaises(openai.APIError) as caught:
            [event async for event in stream]
        self.assertEqual(caught.exception.code, "upstream_bad_response")

    async def test_moderations(self):
        answer = await self.client.moderations.create(model="plain", input="Hello")
        self.assertTrue(answer.results[0].flagged)

    async def test_images(self):
        answer = await self.client.images.generate(model="plain", prompt="Hello")
        self.assertEqual(answer.data[0].b64_json, "aGVsbG8=")
        stream = await self.client.images.generate(model="plain", prompt="Hello", stream=True, partial_images=1)
        kinds = [event.type async for event in stream]
        self.assertEqual(kinds, ["image_generation.partial_image", "image_generation.completed"])

    async def test_rerank(self):
        body = {"model": "plain", "query": "Hello", "documents": ["a", "b"]}
        answer = await self.client.post("/rerank", body=body, cast_to=object)
        self.assertEqual(answer["results"], [{"index": 1, "relevance_score": 0.9}])

    async def test_messages(self):
        scripted = {**SCRIPTED, "base_url": SCRIPTED["base_url"].removesuffix("/v1")}
        ask = {"model": "plain", "messages": [{"role": "user", "content": "Hello"}]}
        async with anthropic.AsyncAnthropic(**scripted, timeout=30, max_retries=0) as client:
            self.assertEqual((await client.messages.count_tokens(**ask)).input_tokens, 12)
            self.assertEqual((await client.messages.create(**ask, max_tokens=9)).content[0].text, SAYS)
            with self.assertRaises(anthropic.APIStatusError) as caught:
                async with client.messages.stream(**{**ask, "model": "cut"}, max_tokens=9) as stream:
                    await stream.until_done()
        self.assertEqual(caught.exception.error_code, "upstream_bad_response")


class Sync(unittest.TestCase):
    """What the other files leave out for the clients that block."""

    def test_streamed_image_and_rerank(self):
        with openai.OpenAI(**SCRIPTED, timeout=30, max_retries=0) as client:
            stream = client.images.generate(model="plain", prompt="Hello", stream=True)
            self.assertEqual([event.type for event in stream][-1], "image_generation.completed")
            body = {"model": "plain", "query": "Hello", "documents": ["a", "b"]}
            answer = client.post("/rerank", body=body, cast_to=object)
        self.assertEqual(answer["results"][0]["index"], 1)
