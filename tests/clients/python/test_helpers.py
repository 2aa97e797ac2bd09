"""What the SDKs do beyond one call: answers as objects, and tools that they run themselves."""

import asyncio

import anthropic
import openai
import pydantic
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner

from both import BothCase, Entered, settle
from common import CHAT_MODEL, KEY, ROOT, WEATHER_QUESTION, async_client, client

SUNNY = "Sunny, 18 degrees"
PLAN = [{"role": "user", "content": "Plan a trip to Rome for 4 days"}]


class Trip(pydantic.BaseModel):
    city: str
    days: int
    cheap: bool


TRIP = Trip(city="Rome", days=4, cheap=True)


class GetWeather(pydantic.BaseModel):
    """The weather in a city."""

    city: str


class OpenAI(BothCase):
    async def both(self, case):
        await self.each([client(), async_client()], case)

    async def test_chat_parse(self):
        async def case(made):
            ask = {"model": CHAT_MODEL, "messages": PLAN, "response_format": Trip}
            answer = await settle(made.chat.completions.parse(**ask))
            self.assertEqual(answer.choices[0].message.parsed, TRIP)
            async with Entered(made.chat.completions.stream(**ask)) as stream:
                final = await settle(stream.get_final_completion())
            self.assertEqual(final.choices[0].message.parsed, TRIP)

        await self.both(case)

    async def test_chat_parses_the_arguments_of_tools(self):
        async def case(made):
            tools = [openai.pydantic_function_tool(GetWeather)]
            ask = {"model": CHAT_MODEL, "messages": [WEATHER_QUESTION], "tools": tools}
            answer = await settle(made.chat.completions.parse(**ask))
            [call] = answer.choices[0].message.tool_calls
            self.assertEqual(call.function.parsed_arguments, GetWeather(city="Paris"))
            async with Entered(made.chat.completions.stream(**ask)) as stream:
                final = await settle(stream.get_final_completion())
            [call] = final.choices[0].message.tool_calls
            self.assertEqual(call.function.parsed_arguments, GetWeather(city="Paris"))

        await self.both(case)

    async def test_chat_parse_says_why_there_is_no_object(self):
        async def case(made):
            ask = {"model": CHAT_MODEL, "messages": PLAN, "response_format": Trip, "max_tokens": 1}
            with self.assertRaises(openai.LengthFinishReasonError):
                await settle(made.chat.completions.parse(**ask))

        await self.both(case)

    async def test_responses_parse(self):
        async def case(made):
            ask = {"model": CHAT_MODEL, "input": PLAN[0]["content"], "text_format": Trip}
            self.assertEqual((await settle(made.responses.parse(**ask))).output_parsed, TRIP)
            async with Entered(made.responses.stream(**ask)) as stream:
                final = await settle(stream.get_final_response())
            self.assertEqual(final.output_parsed, TRIP)

        await self.both(case)

    async def test_responses_parse_the_arguments_of_tools(self):
        async def case(made):
            tools = [openai.pydantic_responses_function_tool(GetWeather)]
            ask = {"model": CHAT_MODEL, "input": [WEATHER_QUESTION], "tools": tools}
            answer = await settle(made.responses.parse(**ask))
            [call] = [item for item in answer.output if item.type == "function_call"]
            self.assertEqual(call.parsed_arguments, GetWeather(city="Paris"))
            result = {"type": "function_call_output", "call_id": call.call_id, "output": SUNNY}
            said = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            answer = await settle(made.responses.create(**{**ask, "input": [WEATHER_QUESTION, said, result]}))
            self.assertIn(SUNNY, answer.output_text)

        await self.both(case)

    def test_responses_tool_runner(self):
        tool = openai.pydantic_responses_function_tool(GetWeather)
        weather = RegisteredFunction.from_tool(tool, execute=lambda asked: f"{SUNNY} in {asked.city}")
        for stream in [False, True]:
            with self.subTest(stream=stream), client() as made:
                ask = {"model": CHAT_MODEL, "input": [WEATHER_QUESTION]}
                answer = ResponsesToolRunner(functions=[weather]).run(made, ask, stream=stream)
                self.assertIn(f"{SUNNY} in Paris", answer.output_text)


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    return f"{SUNNY} in {city}"


@anthropic.beta_async_tool
async def get_weather_slowly(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    await asyncio.sleep(0)
    return f"{SUNNY} in {city}"


class Anthropic(BothCase):
    async def both(self, case):
        options = {"base_url": ROOT, "api_key": KEY, "timeout": 30}
        await self.each([anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)], case)

    async def test_parse(self):
        async def case(made):
            ask = {"model": CHAT_MODEL, "max_tokens": 100, "messages": PLAN, "output_format": Trip}
            self.assertEqual((await settle(made.messages.parse(**ask))).parsed_output, TRIP)
            async with Entered(made.messages.stream(**ask)) as stream:
                final = await settle(stream.get_final_message())
            self.assertEqual(final.parsed_output, TRIP)

        await self.both(case)

    async def test_tools(self):
        async def case(made):
            ask = {"model": CHAT_MODEL, "max_tokens": 500, "tools": [get_weather.to_dict()]}
            async with Entered(made.messages.stream(**ask, messages=[WEATHER_QUESTION])) as stream:
                answer = await settle(stream.get_final_message())
            [call] = [block for block in answer.content if block.type == "tool_use"]
            self.assertEqual((answer.stop_reason, call.name, call.input), ("tool_use", "get_weather", {"city": "Paris"}))
            result = {"type": "tool_result", "tool_use_id": call.id, "content": SUNNY}
            told = [WEATHER_QUESTION, {"role": "assistant", "content": answer.content}]
            told.append({"role": "user", "content": [result]})
            answer = await settle(made.messages.create(**ask, messages=told))
            self.assertIn(SUNNY, answer.content[0].text)

        await self.both(case)

    async def test_tool_runner(self):
        # It asks for a thread first, which a translation has not: the runner goes on without one by itself.
        async def case(made):
            tool = get_weather if isinstance(made, anthropic.Anthropic) else get_weather_slowly
            for more in [{}, {"thread": False}, {"stream": True}]:
                ask = {"model": CHAT_MODEL, "max_tokens": 500, "messages": [WEATHER_QUESTION], "tools": [tool]}
                final = await settle(made.beta.messages.tool_runner(**ask, **more).until_done())
                self.assertIn(f"{SUNNY} in Paris", final.content[0].text)

        await self.both(case)
