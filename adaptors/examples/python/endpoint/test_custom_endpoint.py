"""The adaptor in plain Python, against a backend in memory: `python -m unittest`."""

import unittest

from airlock_adaptor.testing import Backend, run, validate
from custom_endpoint import CustomEndpoint

CONFIG = {"api_url": "http://backend/v1", "status_url": "http://backend/status"}


class CustomEndpointTest(unittest.TestCase):
    def test_a_model_that_runs_is_called_with_a_changed_input(self):
        backend = Backend()
        backend.answer("http://backend/status", json="running")
        outcome = run(CustomEndpoint, CONFIG, backend)
        self.assertEqual(outcome.forwarded.url, "http://backend/v1/chat/completions")
        self.assertEqual(outcome.forwarded.json()["temperature"], 0)

    def test_a_model_that_does_not_run_is_left_alone(self):
        backend = Backend()
        backend.answer("http://backend/status", json="starting")
        for stream in (False, True):
            outcome = run(CustomEndpoint, CONFIG, backend, stream=stream)
            self.assertIsNone(outcome.forwarded)
            self.assertEqual((outcome.error.status, outcome.error.code), (503, "model_not_running"))

    def test_a_missing_key_is_named(self):
        error = validate(CustomEndpoint, {"api_url": "http://backend/v1"})
        self.assertEqual(error.message, "config key `status_url`: is missing")


if __name__ == "__main__":
    unittest.main()
