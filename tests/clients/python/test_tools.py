"""Tool calls: a full round trip, and calls that arrive in pieces."""

import json

from common import WEATHER_QUESTION, WEATHER_TOOL, Case, chat


class Tools(Case):
    def test_round_trip(self):
        messages = [WEATHER_QUESTION]
        answer = self.client.chat.completions.create(**chat(messages, tools=[WEATHER_TOOL]))
        choice = answer.choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        [call] = choice.message.tool_calls
        self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
        arguments = json.loads(call.function.arguments)
        self.assertEqual(arguments, {"city": "Paris", "unit": "celsius"})

        result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 18 degrees"}
        messages += [choice.message, result]
        answer = self.client.chat.completions.create(**chat(messages, tools=[WEATHER_TOOL]))
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertIn("Sunny, 18 degrees", answer.choices[0].message.content)

    def test_choice_none_and_choice_by_name(self):
        options = {"tools": [WEATHER_TOOL], "tool_choice": "none"}
        answer = self.client.chat.completions.create(**chat([WEATHER_QUESTION], **options))
        self.assertIsNone(answer.choices[0].message.tool_calls)
        options["tool_choice"] = {"type": "function", "function": {"name": "get_weather"}}
        answer = self.client.chat.completions.create(**chat(**options))
        [call] = answer.choices[0].message.tool_calls
        self.assertIn("city", json.loads(call.function.arguments))

    def test_streamed_calls_are_assembled(self):
        stream = self.client.chat.completions.create(
            **chat([WEATHER_QUESTION], tools=[WEATHER_TOOL], stream=True)
        )
        calls, reason = {}, None
        for chunk in stream:
            choice = chunk.choices[0]
            reason = choice.finish_reason or reason
            for delta in choice.delta.tool_calls or []:
                call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.id or ""
                call["name"] += delta.function.name or ""
                call["arguments"] += delta.function.arguments or ""
        self.assertEqual((list(calls), reason), ([0], "tool_calls"))
        self.assertTrue(calls[0]["id"])
        self.assertEqual(calls[0]["name"], "get_weather")
        self.assertEqual(json.loads(calls[0]["arguments"])["city"], "Paris")

    def test_stream_helper(self):
        with self.client.chat.completions.stream(**chat()) as stream:
            for _ in stream:
                pass
            final = stream.get_final_completion()
        plain = self.client.chat.completions.create(**chat())
        self.assertEqual(final.choices[0].message.content, plain.choices[0].message.content)
