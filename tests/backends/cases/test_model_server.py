"""A real inference server on this machine, llama.cpp's, which comes and goes."""

import time

import httpx2
import openai
import world
from kinds import Case, question


class Streams(Case):
    """A long answer takes the server seconds, so that one can look at it meanwhile."""

    def long_answer(self):
        options = {"stream": True, "max_tokens": 3000}
        return self.client.chat.completions.create(model="tiny", messages=question("Go on"), **options)

    def is_computing(self):
        headers = {"authorization": f"Bearer {world.MODEL_KEY}"}
        slots = httpx2.get(f"{world.current.model_url}/slots", headers=headers).json()
        return any(slot["is_processing"] for slot in slots)

    def test_events_arrive_while_the_server_computes(self):
        with self.long_answer() as stream:
            next(iter(stream))
            self.assertTrue(self.is_computing(), "the first event came after the last was made")

    def test_a_client_that_leaves_frees_the_server(self):
        started = time.monotonic()
        for _ in self.long_answer():
            pass
        whole = time.monotonic() - started
        with self.long_answer() as stream:
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
