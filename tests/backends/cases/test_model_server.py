"""A real inference server on this machine, llama.cpp's, which comes and goes."""

import time

import openai
import world
from kinds import KINDS, Case, question


class Streams(Case):
    # A long answer takes the server seconds, so that one can look at it meanwhile.
    def long_answer(self, model):
        options = {"stream": True, "max_tokens": 2000}
        return self.client.chat.completions.create(model=model, messages=question("Go on"), **options)

    def test_events_arrive_while_the_server_computes(self):
        for kind, model in KINDS.items():
            with self.subTest(kind):
                with self.long_answer(model) as stream:
                    next(iter(stream))
                    self.assertTrue(self.is_computing(), "the first event came after the last was made")
                world.until(lambda: not self.is_computing())

    def test_a_client_that_leaves_frees_the_server(self):
        started = time.monotonic()
        for _ in self.long_answer("tiny"):
            pass
        whole = time.monotonic() - started
        with self.long_answer("tiny") as stream:
            next(iter(stream))
        left = time.monotonic()
        world.until(lambda: not self.is_computing())
        self.assertLess(time.monotonic() - left, whole / 2)


class ComesAndGoes(Case):
    def test_a_server_that_stops(self):
        ask = {"model": "spare", "messages": question("Hello"), "max_tokens": 3}
        self.assertEqual(self.client.chat.completions.create(**ask).usage.completion_tokens, 3)
        self.assertEqual(self.jobs("spare", "running"), ["spare"])
        world.current.spare.stop()
        with self.assertRaises(openai.InternalServerError) as raised:
            self.client.chat.completions.create(**ask)
        self.assertEqual((raised.exception.status_code, raised.exception.code), (502, "upstream_unreachable"))
        self.assertNotIn("127.0.0.1", raised.exception.message)
        # The report from before is good for ten seconds.
        world.until(lambda: self.jobs("spare", "stopped") == ["spare"])
        facts = self.get("/spare/jobs")["cluster_status"]
        self.assertEqual((facts["status"], facts["live_models"]), ("unavailable", 0))
