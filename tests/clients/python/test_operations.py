"""Completions, embeddings, the list of models, other addresses, and headers."""

import math

from common import (
    CHAT_MODEL,
    CLUSTER_URLS,
    EMBEDDING_MODEL,
    FEDERATED_MODEL,
    FEDERATED_URLS,
    Case,
    chat,
    client,
    text_of,
)


class Completions(Case):
    def test_plain(self):
        answer = self.client.completions.create(model=CHAT_MODEL, prompt="Once upon a time")
        self.assertEqual(answer.object, "text_completion")
        self.assertIn("Once upon a time", answer.choices[0].text)
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_list_of_prompts(self):
        answer = self.client.completions.create(model=CHAT_MODEL, prompt=["One", "Two"], echo=True)
        self.assertEqual([c.index for c in answer.choices], [0, 1])
        self.assertTrue(answer.choices[1].text.startswith("Two"))

    def test_streamed(self):
        request = {"model": CHAT_MODEL, "prompt": "Once upon a time"}
        plain = self.client.completions.create(**request)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        *chunks, last = self.client.completions.create(**request, **options)
        self.assertEqual("".join(c.choices[0].text for c in chunks), plain.choices[0].text)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        self.assertEqual((last.choices, last.usage.total_tokens), ([], plain.usage.total_tokens))
        for chunk in self.client.completions.create(**request, stream=True):
            self.assertNotEqual(chunk.choices, [])


class Embeddings(Case):
    def embed(self, text, **options):
        return self.client.embeddings.create(model=EMBEDDING_MODEL, input=text, **options)

    def test_default_format(self):
        # Without a format, the client asks for base64 and decodes it.
        answer = self.embed("Hello")
        vector = answer.data[0].embedding
        self.assertTrue(all(isinstance(x, float) for x in vector))
        self.assertAlmostEqual(math.hypot(*vector), 1.0, places=4)
        self.assertGreater(answer.usage.total_tokens, 0)

    def test_both_formats_agree(self):
        floats = self.embed("Hello", encoding_format="float").data[0].embedding
        decoded = self.embed("Hello").data[0].embedding
        self.assertEqual(len(floats), len(decoded))
        self.assertLess(math.dist(floats, decoded), 1e-5)
        encoded = self.embed("Hello", encoding_format="base64").data[0].embedding
        self.assertIsInstance(encoded, str)

    def test_equal_texts_have_equal_vectors(self):
        first, second, third = (item.embedding for item in self.embed(["a", "b", "a"]).data)
        self.assertEqual(first, third)
        self.assertNotEqual(first, second)

    def test_dimensions_and_token_lists(self):
        answer = self.embed([[1, 2, 3], [4]], dimensions=64)
        self.assertEqual([len(item.embedding) for item in answer.data], [64, 64])
        self.assertEqual([item.index for item in answer.data], [0, 1])


class Models(Case):
    def test_list(self):
        ids = {model.id for model in self.client.models.list()}
        self.assertLessEqual({CHAT_MODEL, EMBEDDING_MODEL, FEDERATED_MODEL}, ids)

    def test_retrieve(self):
        # The client writes the slash of the second id as %2F.
        for name in [CHAT_MODEL, FEDERATED_MODEL]:
            model = self.client.models.retrieve(name)
            self.assertEqual((model.id, model.object), (name, "model"))
            self.assertIsInstance(model.created, int)
            self.assertIsInstance(model.owned_by, str)

    def test_retrieve_with_a_plain_slash(self):
        # Other clients write it as it is.
        model = self.client.get(f"/models/{FEDERATED_MODEL}", cast_to=object)
        self.assertEqual(model["id"], FEDERATED_MODEL)


class Addresses(Case):
    def test_every_operation_under_every_address(self):
        for url in FEDERATED_URLS + CLUSTER_URLS:
            with self.subTest(url), client(base_url=url) as other:
                plain = other.chat.completions.create(**chat())
                chunks = list(other.chat.completions.create(**chat(stream=True)))
                self.assertEqual(text_of(chunks), plain.choices[0].message.content)
                completion = other.completions.create(model=CHAT_MODEL, prompt="Hello")
                self.assertIn("Hello", completion.choices[0].text)
                embedding = other.embeddings.create(model=EMBEDDING_MODEL, input="Hello")
                self.assertGreater(len(embedding.data[0].embedding), 0)

    def test_models_under_every_address(self):
        of_cluster = {CHAT_MODEL, EMBEDDING_MODEL}
        cases = [(url, of_cluster | {FEDERATED_MODEL}) for url in FEDERATED_URLS]
        for url, wanted in cases + [(url, of_cluster) for url in CLUSTER_URLS]:
            with self.subTest(url), client(base_url=url) as other:
                self.assertLessEqual(wanted, {model.id for model in other.models.list()})


class Headers(Case):
    def test_request_id(self):
        raw = self.client.chat.completions.with_raw_response.create(**chat())
        self.assertEqual(raw.headers["content-type"].split(";")[0], "application/json")
        self.assertTrue(raw.headers["x-request-id"])
        self.assertEqual(raw.parse()._request_id, raw.headers["x-request-id"])

    def test_each_request_has_its_own_id(self):
        ids = {self.client.chat.completions.create(**chat())._request_id for _ in range(3)}
        self.assertEqual(len(ids), 3)

    def test_stream_headers(self):
        raw = self.client.chat.completions.with_raw_response.create(**chat(stream=True))
        self.assertEqual(raw.headers["content-type"].split(";")[0], "text/event-stream")
        self.assertTrue(raw.headers["x-request-id"])
        self.assertGreater(len(list(raw.parse())), 5)
