"""LangChain, through its packages for OpenAI and for Anthropic: chats, tools, objects, embeddings."""

import asyncio
import unittest

import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from common import CHAT_MODEL, EMBEDDING_MODEL, KEY, ROOT, URL

# One loop for all: LangChain keeps its connections from one model to the next.
RUNNER = asyncio.Runner()
unittest.addModuleCleanup(RUNNER.close)

QUESTION = "What is the weather in Paris today?"
SUNNY = "Sunny, 18 degrees"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{SUNNY} in {city}"


class Trip(pydantic.BaseModel):
    """A trip."""

    city: str
    days: int
    cheap: bool


OPENAI = {"model": CHAT_MODEL, "base_url": URL, "api_key": KEY, "max_retries": 0, "stream_usage": True}
ANTHROPIC = {**OPENAI, "base_url": ROOT, "max_tokens": 500}


def whole(chunks):
    """The pieces of a stream put together."""
    first, *rest = chunks
    return sum(rest, start=first)


class Cases:
    """What every kind of model does; `make` makes one."""

    def setUp(self):
        self.model = self.make()

    def test_chat(self):
        answer = self.model.invoke("Hello from LangChain")
        self.assertIn("Hello from LangChain", answer.text)
        streamed = whole(self.model.stream("Hello from LangChain"))
        self.assertEqual(streamed.text, answer.text)
        self.assertEqual(streamed.usage_metadata["total_tokens"], answer.usage_metadata["total_tokens"])

    def test_async_chat(self):
        async def case():
            answer = await self.model.ainvoke("Hello from LangChain")
            pieces = [chunk async for chunk in self.model.astream("Hello from LangChain")]
            self.assertEqual(whole(pieces).text, answer.text)

        RUNNER.run(case())

    def test_tools(self):
        model = self.model.bind_tools([get_weather])
        for ask in [model.invoke, lambda messages: whole(model.stream(messages))]:
            messages = [HumanMessage(QUESTION)]
            messages.append(ask(messages))
            [call] = messages[-1].tool_calls
            self.assertEqual((call["name"], call["args"]), ("get_weather", {"city": "Paris"}))
            messages.append(get_weather.invoke(call))
            self.assertIn(f"{SUNNY} in Paris", ask(messages).text)

    def test_async_tools(self):
        async def case():
            model = self.model.bind_tools([get_weather])
            messages = [HumanMessage(QUESTION)]
            messages.append(whole([chunk async for chunk in model.astream(messages)]))
            messages.append(await get_weather.ainvoke(messages[-1].tool_calls[0]))
            self.assertIn(f"{SUNNY} in Paris", (await model.ainvoke(messages)).text)

        RUNNER.run(case())

    def test_objects(self):
        for method in ["json_schema", "function_calling"]:
            trip = self.model.with_structured_output(Trip, method=method).invoke("Plan a trip to Rome for 4 days")
            self.assertEqual(trip, Trip(city="Rome", days=4, cheap=True))


class Chats(Cases, unittest.TestCase):
    def make(self):
        return ChatOpenAI(**OPENAI)


class Responses(Cases, unittest.TestCase):
    def make(self):
        return ChatOpenAI(**OPENAI, use_responses_api=True)


class Messages(Cases, unittest.TestCase):
    def make(self):
        return ChatAnthropic(**ANTHROPIC)


class Embeddings(unittest.TestCase):
    def test_texts(self):
        # Otherwise it sends lists of numbers that it makes for OpenAI's own models.
        options = {"check_embedding_ctx_length": False}
        embeddings = OpenAIEmbeddings(model=EMBEDDING_MODEL, base_url=URL, api_key=KEY, **options)
        first, second = embeddings.embed_documents(["a", "b"])
        self.assertEqual(embeddings.embed_query("a"), first)
        self.assertNotEqual(first, second)
