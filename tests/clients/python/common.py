"""What all cases share: the gateway's addresses, clients, and the demo's names."""

import os
import unittest

import openai

URL = os.environ["AIRLOCK_URL"]
KEY = os.environ["AIRLOCK_KEY"]
ROOT = URL.removesuffix("/v1")

CHAT_MODEL = "demo-model"
EMBEDDING_MODEL = "demo-embedding"
FEDERATED_MODEL = "demo/federated-model"

# The same API under its other addresses; the ones with a cluster in it serve that cluster alone.
FEDERATED_URLS = [URL, f"{ROOT}/resource_server/v1"]
CLUSTER_URLS = [f"{ROOT}/demo/api/v1", f"{ROOT}/resource_server/demo/api/v1"]

HELLO = [{"role": "user", "content": "Hello from Python"}]

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
WEATHER_QUESTION = {"role": "user", "content": "What is the weather in Paris today?"}


def client(**options):
    """A client as a user would make it; `options` replace what they name."""
    return openai.OpenAI(**{"base_url": URL, "api_key": KEY, "timeout": 30, **options})


def async_client(**options):
    """The same, for asyncio."""
    return openai.AsyncOpenAI(**{"base_url": URL, "api_key": KEY, "timeout": 30, **options})


def chat(messages=HELLO, **options):
    """The arguments of a chat call."""
    return {"model": CHAT_MODEL, "messages": messages, **options}


def text_of(chunks):
    """The text of a streamed chat's first choice."""
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


class Case(unittest.TestCase):
    """A case with a client of its own."""

    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)
