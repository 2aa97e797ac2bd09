"""Responses, moderations and images with OpenAI's client; messages with Anthropic's."""

import os
import unittest

import anthropic
import openai

URL = os.environ["AIRLOCK_SCRIPTED_URL"]
KEY = os.environ["AIRLOCK_SCRIPTED_KEY"]
TEXT = "Hello from the script"


class OpenAI(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=URL, api_key=KEY, timeout=30, max_retries=0)
        self.addCleanup(self.client.close)

    def test_response(self):
        answer = self.client.responses.create(model="plain", input="Hello")
        self.assertEqual((answer.output_text, answer.status), (TEXT, "completed"))
        self.assertEqual((answer.usage.input_tokens, answer.usage.output_tokens), (3, 4))
        self.assertTrue(answer._request_id)

    def test_streamed_response(self):
        events = list(self.client.responses.create(model="plain", input="Hello", stream=True))
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))
        self.assertEqual(events[-1].type, "response.completed")
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), TEXT)

    def test_stream_helper(self):
        with self.client.responses.stream(model="plain", input="Hello") as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_response()
        self.assertIn("response.output_text.delta", kinds)
        self.assertEqual((final.output_text, final.usage.total_tokens), (TEXT, 7))

    def test_a_response_that_breaks_off_raises(self):
        seen = []
        with self.assertRaises(openai.APIError) as caught:
            for event in self.client.responses.create(model="cut", input="Hello", stream=True):
                seen.append(event.type)
        self.assertIn("response.output_text.delta", seen)
        self.assertEqual(caught.exception.code, "upstream_bad_response")

    def test_moderation(self):
        answer = self.client.moderations.create(model="plain", input="Hello")
        self.assertTrue(answer.results[0].flagged)

    def test_image(self):
        answer = self.client.images.generate(model="plain", prompt="Hello")
        self.assertEqual(answer.data[0].b64_json, "aGVsbG8=")

    def test_refusals(self):
        for kind, code, call in [
            (openai.NotFoundError, "model_not_found", lambda: self.client.responses.create(model="gone", input="x")),
            (openai.BadRequestError, "unsupported_endpoint", lambda: self.client.responses.create(model="bare", input="x")),
            (openai.RateLimitError, "upstream_error", lambda: self.client.moderations.create(model="busy", input="x")),
        ]:
            with self.subTest(code), self.assertRaises(kind) as caught:
                call()
            self.assertEqual(caught.exception.code, code)


class Anthropic(unittest.TestCase):
    def client(self, **options):
        root = URL.removesuffix("/v1")
        client = anthropic.Anthropic(**{"base_url": root, "api_key": KEY, "timeout": 30, "max_retries": 0, **options})
        self.addCleanup(client.close)
        return client

    def ask(self, model="plain", **more):
        return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}], **more}

    def test_message(self):
        for options in [{}, {"api_key": None, "auth_token": KEY}]:
            message = self.client(**options).messages.create(**self.ask())
            self.assertEqual((message.content[0].text, message.stop_reason), (TEXT, "end_turn"))
            self.assertTrue(message._request_id)

    def test_streamed_message(self):
        events = list(self.client().messages.create(**self.ask(stream=True)))
        self.assertEqual((events[0].type, events[-1].type), ("message_start", "message_stop"))

    def test_stream_helper(self):
        with self.client().messages.stream(**self.ask()) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, TEXT)
        self.assertEqual((final.usage.input_tokens, final.usage.output_tokens), (3, 4))

    def test_count_tokens(self):
        ask = self.ask()
        del ask["max_tokens"]
        self.assertEqual(self.client().messages.count_tokens(**ask).input_tokens, 12)

    def test_a_stream_that_breaks_off_raises(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            with self.client().messages.stream(**self.ask("cut")) as stream:
                stream.until_done()
        self.assertEqual(caught.exception.body["error"]["type"], "api_error")
        self.assertEqual(caught.exception.body["request_id"], caught.exception.request_id)

    def test_refusals(self):
        client = self.client()
        for kind, type_, call in [
            (anthropic.NotFoundError, "not_found_error", lambda: client.messages.create(**self.ask("gone"))),
            (anthropic.BadRequestError, "invalid_request_error", lambda: client.messages.create(**self.ask("bare"))),
            (
                anthropic.AuthenticationError,
                "authentication_error",
                lambda: self.client(api_key="sk-of-nobody").messages.create(**self.ask()),
            ),
        ]:
            with self.subTest(type_), self.assertRaises(kind) as caught:
                call()
            error = caught.exception
            self.assertEqual((error.body["type"], error.body["error"]["type"]), ("error", type_))
            self.assertTrue(error.request_id)

    def test_a_busy_backend(self):
        for stream in [False, True]:
            with self.assertRaises(anthropic.APIStatusError) as caught:
                self.client().messages.create(**self.ask("busy", stream=stream))
            self.assertEqual((caught.exception.status_code, type(caught.exception).__name__), (529, "OverloadedError"))
