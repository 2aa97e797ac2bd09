"""What the gateway logs of all this: a record of each request, and nothing that is a secret."""

import json
import secrets

import world
from kinds import KINDS, STEADY, Case, question


class Log(Case):
    def records(self):
        """The records of requests, by the id that clients get."""
        # What is told at start is for people, and the last line may be on its way.
        whole = world.current.gateway.log().rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return {line["request_id"]: line for line in lines if line["target"] == "request"}

    def test_every_request_leaves_a_record_and_no_words(self):
        word = secrets.token_hex(8)
        for kind, model in KINDS.items():
            with self.subTest(kind):
                answer = self.client.chat.completions.create(model=model, messages=question(word), **STEADY)
                record = world.until(lambda: self.records().get(answer._request_id))
                self.assertEqual((record["model"], record["status"], record["outcome"]), (model, 200, "completed"))
                self.assertEqual(record["completion_tokens"], answer.usage.completion_tokens)
                self.assertNotIn(answer.choices[0].message.content, world.current.gateway.log())
        self.assertNotIn(word, world.current.gateway.log())

    def test_no_secret_is_logged(self):
        log = world.current.gateway.log()
        clients = {front["client"][1] for front in world.current.fronts.values()}
        for secret in {world.current.key, world.MODEL_KEY, world.STREAMING_SECRET, *clients}:
            self.assertNotIn(secret, log)
