"""Chats and completions with the official client, through every kind of backend."""

import asyncio
import itertools

import openai
from common import async_client, text_of
from kinds import KINDS, STEADY, UNUSUAL, Case, question


class Chats(Case):
    def test_plain(self):
        for kind, model in KINDS.items():
            with self.subTest(kind):
                expected = self.expected(model, UNUSUAL)
                answer = self.client.chat.completions.create(model=model, messages=question(UNUSUAL), **STEADY)
                self.assertEqual(answer.choices[0].message.content, expected.choices[0].message.content)
                self.assertEqual(answer.choices[0].finish_reason, "length")
                for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
                    self.assertEqual(getattr(answer.usage, count), getattr(expected.usage, count), count)

    def test_streamed(self):
        for kind, model in KINDS.items():
            with self.subTest(kind):
                expected = self.expected(model, "Tell me")
                options = {"stream": True, "stream_options": {"include_usage": True}, **STEADY}
                stream = self.client.chat.completions.create(model=model, messages=question("Tell me"), **options)
                *pieces, last = list(stream)
                self.assertEqual(pieces[0].choices[0].delta.role, "assistant")
                self.assertEqual(text_of(pieces), expected.choices[0].message.content)
                self.assertGreaterEqual(len(pieces), STEADY["max_tokens"])
                self.assertEqual(pieces[-1].choices[0].finish_reason, "length")
                self.assertEqual(last.usage.total_tokens, expected.usage.total_tokens)

    def test_completions(self):
        expected = self.model_server.completions.create(model="tiny", prompt=UNUSUAL, **STEADY)
        for kind, model in KINDS.items():
            with self.subTest(kind):
                answer = self.client.completions.create(model=model, prompt=UNUSUAL, **STEADY)
                self.assertEqual(answer.choices[0].text, expected.choices[0].text)

    def test_the_model_servers_own_refusal_arrives(self):
        for (kind, model), stream in itertools.product(KINDS.items(), (False, True)):
            with self.subTest(kind, stream=stream):
                asked = {"messages": question("long " * 4000), "stream": stream}
                with self.assertRaises(openai.BadRequestError) as raised:
                    self.client.chat.completions.create(model=model, **asked)
                self.assertIn("exceeds the available context size", raised.exception.message)

    def test_every_model_is_listed(self):
        listed = {model.id for model in self.client.models.list()}
        self.assertLessEqual(set(KINDS.values()), listed)


class AtOnce(Case):
    # Each gets the answer to its own question, whoever else asks at the same time.
    def test_all_kinds_at_once(self):
        asked = [(model, f"I am caller {number}") for model in KINDS.values() for number in range(3)]
        expected = [self.expected(model, text).choices[0].message.content for model, text in asked]
        answers = asyncio.run(self.ask(asked))
        self.assertEqual(answers, [(text, text) for text in expected])

    async def ask(self, asked):
        """The answers, plain and streamed, in the order of what is asked."""
        async with async_client(max_retries=0, timeout=60) as client:

            async def plain(model, text):
                answer = await client.chat.completions.create(model=model, messages=question(text), **STEADY)
                return answer.choices[0].message.content

            async def streamed(model, text):
                options = {"stream": True, **STEADY}
                stream = await client.chat.completions.create(model=model, messages=question(text), **options)
                return text_of([chunk async for chunk in stream])

            answers = [ask(*one) for one in asked for ask in (plain, streamed)]
            answers = await asyncio.gather(*answers)
        return list(zip(answers[::2], answers[1::2]))
