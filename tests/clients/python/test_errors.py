"""Refusals: the client raises the right class, and finds all four keys in the body."""

import openai

from common import CHAT_MODEL, CLUSTER_URLS, URL, Case, chat, client


class Errors(Case):
    def setUp(self):
        self.client = client(max_retries=0)
        self.addCleanup(self.client.close)

    def refused(self, kind, call, **wanted):
        with self.assertRaises(kind) as caught:
            call()
        error = caught.exception
        self.assertEqual(set(error.response.json()), {"error"})
        self.assertEqual(set(error.body), {"message", "type", "param", "code"})
        self.assertIsInstance(error.body["message"], str)
        self.assertIsInstance(error.type, str)
        self.assertTrue(error.request_id)
        self.assertEqual({key: getattr(error, key) for key in wanted}, wanted)
        return error

    def test_wrong_key(self):
        with client(api_key="sk-of-nobody", max_retries=0) as other:
            for call in [
                lambda: other.chat.completions.create(**chat()),
                lambda: other.chat.completions.create(**chat(stream=True)),
                # Who may not come in does not learn what is wrong with the request either.
                lambda: other.chat.completions.create(model="gone", messages=[]),
                lambda: other.models.list(),
            ]:
                error = self.refused(openai.AuthenticationError, call, code="invalid_api_key")
                # Answers end up in logs; a mistyped key is still half a secret.
                self.assertNotIn("sk-of-nobody", error.message)

    def test_no_key(self):
        headers = {"Authorization": openai.Omit()}
        call = lambda: self.client.chat.completions.create(**chat(), extra_headers=headers)
        self.refused(openai.AuthenticationError, call)

    def test_unknown_model(self):
        for url in [URL, *CLUSTER_URLS]:
            with self.subTest(url), client(base_url=url, max_retries=0) as other:
                call = lambda: other.chat.completions.create(**{**chat(), "model": "gone"})
                self.refused(openai.NotFoundError, call, code="model_not_found")
        call = lambda: self.client.models.retrieve("gone/away")
        self.refused(openai.NotFoundError, call, code="model_not_found")

    def test_bad_temperature(self):
        for stream in [False, True]:
            call = lambda: self.client.chat.completions.create(**chat(temperature=5, stream=stream))
            self.refused(openai.BadRequestError, call, param="temperature")

    def test_stream_options_without_stream(self):
        options = {"stream_options": {"include_usage": True}}
        call = lambda: self.client.chat.completions.create(**chat(**options))
        self.refused(openai.BadRequestError, call, param="stream_options")

    def test_wrong_type(self):
        body = {"model": CHAT_MODEL, "messages": "hello"}
        call = lambda: self.client.post("/chat/completions", body=body, cast_to=object)
        self.refused(openai.BadRequestError, call)

    def test_broken_json(self):
        call = lambda: self.client.post("/chat/completions", content=b"{", cast_to=object)
        self.refused(openai.BadRequestError, call)

    def test_unknown_route(self):
        call = lambda: self.client.post("/nothing/here", body={}, cast_to=object)
        self.refused(openai.NotFoundError, call)

    def test_wrong_method(self):
        call = lambda: self.client.get("/chat/completions", cast_to=object)
        error = self.refused(openai.APIStatusError, call)
        self.assertEqual(error.status_code, 405)
