"""What the cases share: the model of each kind of backend, and what it must answer.

All of them end at one model server that computes the same for the same question, so its own answer is the measure.
"""

import os
import unittest

import httpx2
import openai
import world
from common import client

import fixtures

# One model for each way to a backend.
KINDS = {
    "Globus Compute, FIRST's versions": "globus-first/chat",
    "Globus Compute, newest versions": "globus-newest/chat",
    "direct API": "bought/chat",
    "server on this machine": "tiny",
    "status manifest": "metis/chat",
    "custom adaptor": "custom/chat",
    "chain": "chained/chat",
    "federated over two kinds": "anywhere",
}
GLOBUS = ("globus-first", "globus-newest")

UNUSUAL = "Grüße, 世界 \U0001f680 \"quoted\" \\ \u2028 end"
# Without a temperature the same question has the same answer.
STEADY = {"temperature": 0, "max_tokens": 12}


def question(text):
    return [{"role": "user", "content": text}]


def reaches(model, messages):
    """The messages as the model server gets them."""
    if model == "chained/chat":
        return [{"role": "system", "content": fixtures.SYSTEM_PROMPT}, *messages]
    return messages


class Case(unittest.TestCase):
    """A case with a client of the gateway, and one of the model server itself."""

    def setUp(self):
        # A retry of the client's own would hide a refusal.
        self.client = client(max_retries=0, timeout=60)
        self.addCleanup(self.client.close)
        url, key = f"{world.current.model_url}/v1", world.MODEL_KEY
        self.model_server = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
        self.addCleanup(self.model_server.close)
        root = os.environ["AIRLOCK_URL"].removesuffix("/v1")
        bearer = {"authorization": f"Bearer {os.environ['AIRLOCK_KEY']}"}
        self.first = httpx2.Client(base_url=f"{root}/resource_server", headers=bearer, timeout=60)
        self.addCleanup(self.first.close)

    def expected(self, model, text, **options):
        """What the model server says to the question when it is asked directly."""
        messages = reaches(model, question(text))
        return self.model_server.chat.completions.create(model="tiny", messages=messages, **STEADY, **options)

    def is_computing(self):
        """Whether the model server is at work."""
        headers = {"authorization": f"Bearer {world.MODEL_KEY}"}
        slots = httpx2.get(f"{world.current.model_url}/slots", headers=headers).json()
        return any(slot["is_processing"] for slot in slots)

    def get(self, path, status=200):
        """The answer of one of FIRST's routes."""
        answer = self.first.get(path)
        self.assertEqual(answer.status_code, status, answer.text)
        return answer.json()

    def jobs(self, cluster, state):
        """The models that a cluster reports in this state."""
        return [job["Models"] for job in self.get(f"/{cluster}/jobs")[state]]


def counts(name):
    """How often the service of a Globus cluster was called, and how often it refused."""
    return httpx2.get(f"{world.current.fronts[name]['url']}/counts").json()
