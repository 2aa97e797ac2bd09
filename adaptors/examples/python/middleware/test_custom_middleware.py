"""The adaptor in plain Python, with an endpoint behind it that forwards: `python -m unittest`."""

import unittest

from airlock_adaptor.testing import run
from custom_middleware import CustomMiddleware

CONFIG = {"system_prompt": "Be brief.", "refused_word": "xyzzy"}


class CustomMiddlewareTest(unittest.TestCase):
    def test_a_system_prompt_goes_in_front(self):
        for stream in (False, True):
            outcome = run(CustomMiddleware, CONFIG, stream=stream)
            self.assertEqual(outcome.forwarded.json()["messages"][0], {"role": "system", "content": "Be brief."})
            self.assertEqual(outcome.backend.replaced, outcome.forwarded.body)

    def test_a_word_is_refused(self):
        body = {"model": "m", "messages": [{"role": "user", "content": "say xyzzy"}]}
        outcome = run(CustomMiddleware, CONFIG, body=body)
        self.assertEqual((outcome.error.code, outcome.forwarded), ("word_refused", None))

    def test_other_operations_go_through_untouched(self):
        outcome = run(CustomMiddleware, CONFIG, body={"model": "m", "input": "xyzzy"}, operation="embeddings")
        self.assertIsNone(outcome.backend.replaced)


if __name__ == "__main__":
    unittest.main()
