"""LlamaIndex, through its package for APIs that are like OpenAI's."""

import unittest

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from common import CHAT_MODEL, KEY, URL

HELLO = [ChatMessage(role="user", content="Hello from LlamaIndex")]


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny, 18 degrees in {city}"


class LlamaIndex(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        options = {"is_chat_model": True, "is_function_calling_model": True, "max_retries": 0}
        self.model = OpenAILike(model=CHAT_MODEL, api_base=URL, api_key=KEY, context_window=8192, **options)

    def test_chat(self):
        answer = self.model.chat(HELLO).message.content
        self.assertIn("Hello from LlamaIndex", answer)
        self.assertEqual("".join(piece.delta for piece in self.model.stream_chat(HELLO)), answer)

    async def test_async_chat(self):
        answer = (await self.model.achat(HELLO)).message.content
        pieces = [piece.delta async for piece in await self.model.astream_chat(HELLO)]
        self.assertEqual("".join(pieces), answer)

    def test_tools(self):
        tools = [FunctionTool.from_defaults(get_weather)]
        answer = self.model.predict_and_call(tools, "What is the weather in Paris today?")
        self.assertEqual(answer.response, "Sunny, 18 degrees in Paris")
