"""Chats: plain, streamed, async, many at once, and broken off."""

import asyncio
import json
import unittest

import pydantic

from common import CHAT_MODEL, FEDERATED_MODEL, HELLO, Case, async_client, chat, text_of


class Chat(Case):
    def test_plain(self):
        answer = self.client.chat.completions.create(**chat())
        self.assertEqual(answer.object, "chat.completion")
        choice = answer.choices[0]
        self.assertEqual((choice.message.role, choice.finish_reason), ("assistant", "stop"))
        self.assertIn("Hello from Python", choice.message.content)
        usage = answer.usage
        self.assertGreater(usage.prompt_tokens, 0)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    def test_through_a_federated_name(self):
        answer = self.client.chat.completions.create(model=FEDERATED_MODEL, messages=HELLO)
        self.assertIn("Hello from Python", answer.choices[0].message.content)
        chunks = list(
            self.client.chat.completions.create(model=FEDERATED_MODEL, messages=HELLO, stream=True)
        )
        self.assertEqual(text_of(chunks), answer.choices[0].message.content)

    def test_max_tokens(self):
        answer = self.client.chat.completions.create(**chat(max_tokens=3))
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 3)

    def test_several_choices(self):
        answer = self.client.chat.completions.create(**chat(n=3))
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])

    def test_content_parts(self):
        parts = [{"type": "text", "text": "Part one."}, {"type": "text", "text": "Part two."}]
        answer = self.client.chat.completions.create(**chat([{"role": "user", "content": parts}]))
        self.assertIn("Part one. Part two.", answer.choices[0].message.content)

    def test_json_object(self):
        answer = self.client.chat.completions.create(
            **chat(response_format={"type": "json_object"})
        )
        self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_structured_output(self):
        class Trip(pydantic.BaseModel):
            city: str
            days: int
            cheap: bool

        question = [{"role": "user", "content": "Plan a trip to Rome for 4 days"}]
        answer = self.client.chat.completions.parse(**chat(question, response_format=Trip))
        self.assertEqual(answer.choices[0].message.parsed, Trip(city="Rome", days=4, cheap=True))

    def test_unusual_text_survives(self):
        text = "Grüße, 世界 \U0001f680 \"quoted\" \\ \u2028 end"
        answer = self.client.chat.completions.create(**chat([{"role": "user", "content": text}]))
        self.assertIn(text, answer.choices[0].message.content)


class Streaming(Case):
    def stream(self, **options):
        return list(self.client.chat.completions.create(**chat(stream=True, **options)))

    def test_pieces_make_the_plain_answer(self):
        chunks = self.stream()
        plain = self.client.chat.completions.create(**chat())
        self.assertGreater(len(chunks), 5)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(text_of(chunks), plain.choices[0].message.content)
        reasons = [c.choices[0].finish_reason for c in chunks]
        self.assertEqual(reasons, [None] * (len(chunks) - 1) + ["stop"])
        self.assertEqual({c.object for c in chunks}, {"chat.completion.chunk"})
        self.assertEqual(len({(c.id, c.created, c.model) for c in chunks}), 1)

    def test_usage_comes_last_when_asked_for(self):
        *others, last = self.stream(stream_options={"include_usage": True})
        plain = self.client.chat.completions.create(**chat())
        self.assertEqual(last.choices, [])
        self.assertEqual(last.usage.model_dump(), plain.usage.model_dump())
        for chunk in others:
            self.assertNotEqual(chunk.choices, [])
            self.assertIsNone(chunk.usage)
            self.assertIn("usage", chunk.model_fields_set)

    def test_no_usage_when_not_asked_for(self):
        for options in [{}, {"stream_options": {"include_usage": False}}]:
            for chunk in self.stream(**options):
                self.assertNotEqual(chunk.choices, [])
                self.assertIsNone(chunk.usage)

    def test_closing_early_leaves_the_gateway_healthy(self):
        for _ in range(10):
            with self.client.chat.completions.create(**chat(stream=True)) as stream:
                next(iter(stream))
        answer = self.client.chat.completions.create(**chat())
        self.assertEqual(answer.choices[0].finish_reason, "stop")


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_plain_and_streamed(self):
        async with async_client() as client:
            plain = await client.chat.completions.create(**chat())
            stream = await client.chat.completions.create(**chat(stream=True))
            chunks = [chunk async for chunk in stream]
        self.assertEqual(text_of(chunks), plain.choices[0].message.content)

    async def test_twenty_at_once(self):
        async def ask(client, number):
            question = {"role": "user", "content": f"I am caller number {number}!"}
            answer = await client.chat.completions.create(model=CHAT_MODEL, messages=[question])
            self.assertIn(question["content"], answer.choices[0].message.content)

        async with async_client() as client:
            await asyncio.gather(*(ask(client, number) for number in range(20)))

    async def test_twenty_streams_at_once(self):
        async def ask(client, number):
            question = {"role": "user", "content": f"I am stream number {number}!"}
            stream = await client.chat.completions.create(**chat([question], stream=True))
            self.assertIn(question["content"], text_of([chunk async for chunk in stream]))

        async with async_client() as client:
            await asyncio.gather(*(ask(client, number) for number in range(20)))

    async def test_a_cancelled_call_leaves_the_gateway_healthy(self):
        async with async_client() as client:
            stream = await client.chat.completions.create(**chat(stream=True))
            await anext(aiter(stream))
            await stream.close()
            call = asyncio.create_task(client.chat.completions.create(**chat()))
            await asyncio.sleep(0)
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call
            answer = await client.chat.completions.create(**chat())
        self.assertEqual(answer.choices[0].finish_reason, "stop")
