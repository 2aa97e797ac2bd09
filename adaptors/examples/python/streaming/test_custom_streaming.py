"""The adaptor in plain Python, against a backend in memory: `python -m unittest`."""

import unittest

from airlock_adaptor.testing import Backend, run
from custom_streaming import CustomStreaming

CONFIG = {"api_url": "http://backend/v1", "note": "(end)"}


def chunk(text, finish_reason=None):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


class CustomStreamingTest(unittest.TestCase):
    def test_each_event_is_changed(self):
        backend = Backend()
        backend.answer("http://backend/v1/chat/completions", events=[chunk("a "), chunk("b"), chunk("", "stop")])
        outcome = run(CustomStreaming, CONFIG, backend, stream=True)
        self.assertEqual(outcome.events, [chunk("A "), chunk("B"), chunk(" (end)", "stop")])

    def test_a_backends_error_is_handed_on_with_its_status(self):
        backend = Backend()
        backend.answer("http://backend/v1/chat/completions", status=429, text="slow down")
        outcome = run(CustomStreaming, CONFIG, backend, stream=True)
        self.assertEqual((outcome.error.status, outcome.events), (429, None))

    def test_complete_answers_go_through(self):
        self.assertIsNotNone(run(CustomStreaming, CONFIG).forwarded)


if __name__ == "__main__":
    unittest.main()
