"""Every class of error that a gateway can cause, in the SDKs of both vendors, blocking and for asyncio."""

import os
import socket

import anthropic
import openai
import pydantic

from both import BothCase, settle

URL = os.environ["AIRLOCK_SCRIPTED_URL"]
KEY = os.environ["AIRLOCK_SCRIPTED_KEY"]
READER = os.environ["AIRLOCK_SCRIPTED_READER"]
HELLO = [{"role": "user", "content": "Hello"}]

# What a client raises where the backend answers with the status: 401 is the gateway's own affair.
OPENAI = {
    400: (openai.BadRequestError, "upstream_error"),
    401: (openai.InternalServerError, "upstream_auth_error"),
    404: (openai.NotFoundError, "upstream_error"),
    409: (openai.ConflictError, "upstream_error"),
    422: (openai.UnprocessableEntityError, "upstream_error"),
    429: (openai.RateLimitError, "upstream_error"),
    500: (openai.InternalServerError, "upstream_error"),
    503: (openai.InternalServerError, "upstream_error"),
}
ANTHROPIC = {
    400: (anthropic.BadRequestError, "upstream_error"),
    401: (anthropic.InternalServerError, "upstream_auth_error"),
    404: (anthropic.NotFoundError, "upstream_error"),
    409: (anthropic.ConflictError, "upstream_error"),
    413: ("ContentTooLargeError", "upstream_error"),
    422: (anthropic.UnprocessableEntityError, "upstream_error"),
    429: (anthropic.RateLimitError, "upstream_error"),
    500: (anthropic.InternalServerError, "upstream_error"),
    503: ("ServiceUnavailableError", "upstream_error"),
    504: ("GatewayTimeoutError", "upstream_error"),
    529: ("OverloadedError", "upstream_error"),
}


def nobody_listens():
    """A socket whose port refuses connections, and nobody else can take."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


class OpenAI(BothCase):
    async def both(self, case, **options):
        options = {"base_url": URL, "api_key": KEY, "timeout": 30, "max_retries": 0, **options}
        await self.each([openai.OpenAI(**options), openai.AsyncOpenAI(**options)], case)

    async def raised(self, kind, call):
        with self.assertRaises(kind) as caught:
            await settle(call)
        self.assertIs(type(caught.exception), kind)
        return caught.exception

    async def chat(self, made, model="plain", **more):
        return await settle(made.chat.completions.create(model=model, messages=HELLO, **more))

    async def test_what_a_backend_says(self):
        async def case(made):
            for status, (kind, code) in OPENAI.items():
                for stream in [False, True]:
                    error = await self.raised(kind, self.chat(made, f"fails-{status}", stream=stream))
                    self.assertEqual(error.code, code)
                    self.assertEqual(set(error.body), {"message", "type", "param", "code"})
                    self.assertTrue(error.request_id)

        await self.both(case)

    async def test_on_every_operation(self):
        async def case(made):
            body = {"model": "fails-429", "query": "Hello", "documents": []}
            for call in [
                lambda: made.completions.create(model="fails-429", prompt="Hello"),
                lambda: made.embeddings.create(model="fails-429", input="Hello"),
                lambda: made.responses.create(model="fails-429", input="Hello"),
                lambda: made.moderations.create(model="fails-429", input="Hello"),
                lambda: made.images.generate(model="fails-429", prompt="Hello"),
                lambda: made.post("/rerank", body=body, cast_to=object),
            ]:
                with self.assertRaises(openai.RateLimitError):
                    await settle(call())

        await self.both(case)

    async def test_what_the_gateway_says(self):
        async def wrong_key(made):
            error = await self.raised(openai.AuthenticationError, self.chat(made))
            self.assertEqual(error.code, "invalid_api_key")

        async def wrong_scope(made):
            error = await self.raised(openai.PermissionDeniedError, self.chat(made))
            self.assertEqual(error.code, "insufficient_scope")

        async def wrong_request(made):
            error = await self.raised(openai.NotFoundError, self.chat(made, "gone"))
            self.assertEqual(error.code, "model_not_found")
            error = await self.raised(openai.BadRequestError, self.chat(made, temperature=9))
            self.assertEqual((error.code, error.param), ("invalid_value", "temperature"))

        await self.both(wrong_key, api_key="sk-of-nobody")
        await self.both(wrong_scope, api_key=READER)
        await self.both(wrong_request)

    async def test_no_answer_at_all(self):
        async def refused(made):
            await self.raised(openai.APIConnectionError, self.chat(made))

        async def silent(made):
            await self.raised(openai.APITimeoutError, self.chat(made, "silent"))

        with nobody_listens() as taken:
            await self.both(refused, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        await self.both(silent, timeout=0.2)

    async def test_an_answer_that_is_no_object(self):
        class Anything(pydantic.BaseModel):
            pass

        async def case(made):
            ask = {"model": "filtered", "messages": HELLO, "response_format": Anything}
            with self.assertRaises(openai.ContentFilterFinishReasonError):
                await settle(made.chat.completions.parse(**ask))

        await self.both(case)

    def test_only_what_may_help_is_tried_again(self):
        for status, times in [(503, 3), (429, 3), (401, 1), (400, 1), (404, 1)]:
            sent = []
            http = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
            options = {"base_url": URL, "api_key": KEY, "max_retries": 2, "http_client": http}
            with self.subTest(status), openai.OpenAI(**options) as made:
                with self.assertRaises(openai.APIStatusError):
                    made.chat.completions.create(model=f"fails-{status}", messages=HELLO)
                self.assertEqual(len(sent), times)


class Anthropic(BothCase):
    async def both(self, case, **options):
        options = {"base_url": URL.removesuffix("/v1"), "api_key": KEY, "timeout": 30, "max_retries": 0, **options}
        await self.each([anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)], case)

    async def raised(self, kind, call):
        with self.assertRaises(anthropic.APIError) as caught:
            await settle(call)
        name = kind if isinstance(kind, str) else kind.__name__
        self.assertEqual(type(caught.exception).__name__, name)
        return caught.exception

    async def ask(self, made, model="plain", **more):
        return await settle(made.messages.create(model=model, max_tokens=9, messages=HELLO, **more))

    async def test_what_a_backend_says(self):
        async def case(made):
            for status, (kind, code) in ANTHROPIC.items():
                for stream in [False, True]:
                    error = await self.raised(kind, self.ask(made, f"fails-{status}", stream=stream))
                    self.assertEqual((error.error_code, error.body["type"]), (code, "error"))
                    self.assertTrue(error.request_id)

        await self.both(case)

    async def test_what_the_gateway_says(self):
        async def wrong_key(made):
            error = await self.raised(anthropic.AuthenticationError, self.ask(made))
            self.assertEqual((error.type, error.error_code), ("authentication_error", "invalid_api_key"))

        async def wrong_scope(made):
            error = await self.raised(anthropic.PermissionDeniedError, self.ask(made))
            self.assertEqual((error.type, error.error_code), ("permission_error", "insufficient_scope"))

        async def wrong_request(made):
            error = await self.raised(anthropic.NotFoundError, self.ask(made, "gone"))
            self.assertEqual((error.type, error.error_code), ("not_found_error", "model_not_found"))
            error = await self.raised(anthropic.BadRequestError, self.ask(made, "bare"))
            self.assertEqual(error.error_code, "unsupported_endpoint")

        await self.both(wrong_key, api_key="sk-of-nobody")
        await self.both(wrong_scope, api_key=READER)
        await self.both(wrong_request)

    async def test_no_answer_at_all(self):
        async def refused(made):
            await self.raised(anthropic.APIConnectionError, self.ask(made))

        async def silent(made):
            await self.raised(anthropic.APITimeoutError, self.ask(made, "silent"))

        with nobody_listens() as taken:
            await self.both(refused, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        await self.both(silent, timeout=0.2)
