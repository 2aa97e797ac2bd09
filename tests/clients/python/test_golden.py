"""Checks the golden cases of the adaptors against the vendors' own SDKs: what a backend is sent and answers must be
what its API speaks, and what the client gets must be what the client of its API reads. The cases of the translations are the
other way round: OpenAI's Responses and Anthropic's Messages API before a backend that speaks chats."""

import json
import pathlib
import unittest

import anthropic.types
import pydantic
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import message_create_params
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from google.genai import types as genai
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types import responses
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from openai.types.responses import response_create_params

ADAPTORS = pathlib.Path(__file__).resolve().parents[3] / "adaptors"


def cases(adaptor):
    folder = ADAPTORS / adaptor
    files = sorted((folder if "golden" in folder.parts else folder / "golden").glob("*.json"))
    assert len(files) > 20, adaptor
    for file in files:
        yield file.stem, json.loads(file.read_text())


def answers(case):
    """Whether the backend's answer is a success that its API could give."""
    return case.get("backend_status", 200) == 200 and "backend_request" in case


class OpenAI(unittest.TestCase):
    def test_requests_and_answers(self):
        request = pydantic.TypeAdapter(completion_create_params.CompletionCreateParams)
        for adaptor in ("anthropic", "gemini", "bedrock"):
            for name, case in cases(adaptor):
                with self.subTest(adaptor=adaptor, case=name):
                    request.validate_python(case["request"])
                    if "answer" in case:
                        strict(ChatCompletion, case["answer"])
                    for event in case.get("events", []):
                        strict(ChatCompletionChunk, event)


class Anthropic(unittest.TestCase):
    # Models up to Claude 4.6 take these; newer ones refuse them, and the SDK does not know them any more.
    SAMPLING = {"temperature", "top_p", "top_k"}

    def test_requests(self):
        request = pydantic.TypeAdapter(message_create_params.MessageCreateParams)
        for name, case in cases("anthropic"):
            if "backend_request" in case:
                with self.subTest(case=name):
                    found = dict(case["backend_request"])
                    known = set(message_create_params.MessageCreateParamsBase.__annotations__) | {"stream"}
                    self.assertEqual(set(found) - known - self.SAMPLING, set())
                    request.validate_python(found)
                    for tool in found.get("tools", []):
                        self.assertEqual(set(tool) - set(anthropic.types.ToolParam.__annotations__), set())
                    output = anthropic.types.OutputConfigParam.__annotations__
                    self.assertEqual(set(found.get("output_config", {})) - set(output), set())
                    for message in found["messages"]:
                        for block in message["content"]:
                            self.check_block(block)

    def check_block(self, block):
        params = {
            "text": anthropic.types.TextBlockParam,
            "image": anthropic.types.ImageBlockParam,
            "tool_use": anthropic.types.ToolUseBlockParam,
            "tool_result": anthropic.types.ToolResultBlockParam,
        }[block["type"]]
        pydantic.TypeAdapter(params).validate_python(block)
        self.assertEqual(set(block) - set(params.__annotations__), set())

    def test_answers(self):
        event = pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent)
        for name, case in cases("anthropic"):
            if not answers(case) or name.startswith(("not-", "stream-new-", "stream-not-")):
                continue
            with self.subTest(case=name):
                if "backend_answer" in case:
                    anthropic.types.Message.model_validate(case["backend_answer"])
                for said in case.get("backend_events", []):
                    self.assertEqual(said["event"], said["data"]["type"])
                    if said["event"] not in ("ping", "error"):
                        event.validate_python(said["data"])


class Gemini(unittest.TestCase):
    FIELDS = {
        "contents": list[genai.Content],
        "systemInstruction": genai.Content,
        "tools": list[genai.Tool],
        "toolConfig": genai.ToolConfig,
        "generationConfig": genai.GenerationConfig,
    }

    def test_requests(self):
        for name, case in cases("gemini"):
            for key, value in case.get("backend_request", {}).items():
                with self.subTest(case=name, key=key):
                    # The models forbid fields that they do not know.
                    pydantic.TypeAdapter(self.FIELDS[key]).validate_python(value)

    def test_answers(self):
        for name, case in cases("gemini"):
            if not answers(case):
                continue
            said = [case["backend_answer"]] if "backend_answer" in case else []
            said += [event["data"] for event in case.get("backend_events", [])]
            for data in said:
                if isinstance(data, dict) and "error" not in data:
                    with self.subTest(case=name):
                        genai.GenerateContentResponse.model_validate(data)


class Bedrock(unittest.TestCase):
    def setUp(self):
        self.service = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))

    def check(self, value, shape):
        """`value` is what goes over the wire: bytes are base64 there, which the validator takes as text."""
        report = ParamValidator().validate(value, shape)
        self.assertFalse(report.has_errors(), report.generate_report())

    def test_requests(self):
        for name, case in cases("bedrock"):
            if "backend_request" in case:
                with self.subTest(case=name):
                    method = case["path"].rsplit("/", 1)[1]
                    operation = {"converse": "Converse", "converse-stream": "ConverseStream"}[method]
                    shape = self.service.operation_model(operation).input_shape
                    self.check({"modelId": "backend-model", **case["backend_request"]}, shape)

    def test_answers(self):
        shape = self.service.operation_model("Converse").output_shape
        for name, case in cases("bedrock"):
            if answers(case) and "backend_answer" in case and not name.startswith("not-"):
                with self.subTest(case=name):
                    self.check(case["backend_answer"], shape)

    def test_streams(self):
        """The bytes of each stream are frames to botocore too, and say what the case says."""
        stream = self.service.operation_model("ConverseStream").output_shape.members["stream"]
        for name, case in cases("bedrock"):
            if "backend_bytes" not in case or name == "stream-damaged":
                continue
            with self.subTest(case=name):
                buffer = EventStreamBuffer()
                buffer.add_data(bytes.fromhex(case["backend_bytes"]))
                frames = list(buffer)
                missing = 1 if "in-a-frame" in name else 0
                self.assertEqual(len(frames), len(case["backend_events"]) - missing)
                for frame, said in zip(frames, case["backend_events"]):
                    kind = said.get("event") or said["exception"]
                    headers = frame.headers
                    self.assertEqual(headers.get(":event-type") or headers.get(":exception-type"), kind)
                    self.assertEqual(json.loads(frame.payload), said["data"])
                    padded = {key: value for key, value in said["data"].items() if key != "p"}
                    self.check(padded, stream.members[kind])


class Translations(unittest.TestCase):
    """What both translations promise: chats that OpenAI's client could have sent to the backend."""

    def check_chats(self, api):
        request = pydantic.TypeAdapter(completion_create_params.CompletionCreateParams)
        # Not OpenAI's, and common with open models.
        beside = {"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"}
        known = set(completion_create_params.CompletionCreateParamsBase.__annotations__) | {"stream"}
        for name, case in cases(f"sdk/golden/{api}"):
            with self.subTest(case=name):
                if "backend_request" in case:
                    request.validate_python(case["backend_request"])
                    self.assertEqual(set(case["backend_request"]) - known - beside, set())
                    self.assertEqual(case["backend_request"].get("stream"), case["request"].get("stream"))
                if "backend_answer" in case and not name.startswith("not-"):
                    strict(ChatCompletion, case["backend_answer"])

    def whole(self, api, name):
        """The complete answer of the case that a stream's is named after, where there is one."""
        file = ADAPTORS / "sdk/golden" / api / f"{name.removeprefix('stream-')}.json"
        return json.loads(file.read_text())["answer"] if file.exists() else None


class Responses(Translations):
    def test_chats(self):
        self.check_chats("responses")

    def test_requests(self):
        request = pydantic.TypeAdapter(response_create_params.ResponseCreateParams)
        beside = {"stream", "top_k", "min_p", "repetition_penalty", "chat_template_kwargs", "seed", "stop"}
        for name, case in cases("sdk/golden/responses"):
            with self.subTest(case=name):
                request.validate_python(case["request"])
                known = set(response_create_params.ResponseCreateParamsBase.__annotations__) | beside
                self.assertEqual(set(case["request"]) - known, set())

    def test_answers(self):
        for name, case in cases("sdk/golden/responses"):
            if "answer" in case:
                with self.subTest(case=name):
                    responses.Response.model_validate(case["answer"])
                    self.check_fields(case["answer"])

    def check_fields(self, response):
        """Only the fields of the SDK, but for `store`, which OpenAI sends and its SDK does not know."""
        self.assertEqual(set(response) - set(responses.Response.model_fields) - {"store"}, set())
        models = {
            "message": responses.ResponseOutputMessage,
            "reasoning": responses.ResponseReasoningItem,
            "function_call": responses.ResponseFunctionToolCall,
        }
        for item in response["output"]:
            self.assertEqual(set(item) - set(models[item["type"]].model_fields), set())

    def test_streams(self):
        event = pydantic.TypeAdapter(responses.ResponseStreamEvent)
        ends = {"response.completed", "response.incomplete", "response.failed"}
        for name, case in cases("sdk/golden/responses"):
            if not case.get("events"):
                continue
            with self.subTest(case=name):
                events = [event.validate_python(said) for said in case["events"]]
                self.assertEqual([said.sequence_number for said in events], list(range(len(events))))
                self.assertEqual([said.type in ends for said in events], [False] * (len(events) - 1) + [True])
                self.assertEqual(events[-1].type == "response.failed", "error" in case)
                state = ResponseStreamState(text_format=omit, input_tools=omit)
                for said in events:
                    state.handle_event(said)
                final = case["events"][-1]["response"]
                self.check_fields(final)
                self.assertEqual(self.gathered(case["events"]), [
                    item for item in final["output"] if "error" not in case or item["status"] == "completed"
                ])
                whole = self.whole("responses", name)
                if whole is not None:
                    self.assertEqual(final, whole)

    def gathered(self, events):
        """The output as the deltas alone tell it, each item in the state that its last event gives."""
        items, parts = {}, {}
        for said in events:
            kind, at = said["type"], said.get("output_index")
            if kind == "response.output_item.added":
                assert at == len(items) and said["item"]["status"] == "in_progress"
                items[at], parts[at] = None, ""
            elif kind.endswith(".delta"):
                assert items[at] is None
                parts[at] += said["delta"]
            elif kind == "response.output_item.done":
                items[at] = said["item"]
                text = said["item"].get("arguments")
                if text is None:
                    part = said["item"]["content"][0]
                    text = part.get("text", part.get("refusal"))
                assert text == parts[at], (text, parts[at])
        return [item for item in items.values() if item is not None]


class Messages(Translations):
    def test_chats(self):
        self.check_chats("messages")

    def test_requests(self):
        request = pydantic.TypeAdapter(message_create_params.MessageCreateParams)
        beside = {"stream"} | Anthropic.SAMPLING
        for name, case in cases("sdk/golden/messages"):
            if name != "refused-without-max-tokens":
                with self.subTest(case=name):
                    request.validate_python(case["request"])
                    known = set(message_create_params.MessageCreateParamsBase.__annotations__) | beside
                    self.assertEqual(set(case["request"]) - known, set())

    def test_answers(self):
        for name, case in cases("sdk/golden/messages"):
            if "answer" in case:
                with self.subTest(case=name):
                    message = anthropic.types.Message.model_validate(case["answer"])
                    self.assertEqual(set(case["answer"]) - set(anthropic.types.Message.model_fields), set())
                    for block, said in zip(message.content, case["answer"]["content"]):
                        self.assertEqual(set(said) - set(type(block).model_fields), set())

    def test_streams(self):
        event = pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent)
        for name, case in cases("sdk/golden/messages"):
            if not case.get("events"):
                continue
            with self.subTest(case=name):
                message, buffers, open_block = None, {}, None
                for said in case["events"]:
                    # One block at a time, in order.
                    kind = said["type"]
                    if kind == "content_block_start":
                        self.assertIsNone(open_block)
                        self.assertEqual(said["index"], len(message.content))
                        open_block = said["index"]
                    elif kind.startswith("content_block"):
                        self.assertEqual(said["index"], open_block)
                        open_block = None if kind == "content_block_stop" else open_block
                    message = accumulate_event(
                        event=event.validate_python(said), current_snapshot=message, json_bufs=buffers
                    )
                self.assertEqual(case["events"][-1]["type"] == "message_stop", "error" not in case)
                whole = self.whole("messages", name)
                if whole is not None:
                    gathered = message.to_dict()
                    for key in ("content", "stop_reason", "stop_sequence", "usage", "id", "model"):
                        self.assertEqual(gathered[key], whole[key], key)


def strict(model, value):
    """OpenAI's models take any field: what they do not know is told here. Two fields are common beside OpenAI's."""
    read = model.model_validate(value)
    known = json.loads(read.model_dump_json())
    choices = [(choice.get("message") or choice.get("delta"), choice) for choice in known["choices"]]
    for speaker, choice in choices:
        allowed = {"role", "content", "refusal", "tool_calls", "annotations", "audio", "function_call"}
        extra = set(speaker) - allowed - {"reasoning_content", "reasoning"}
        assert not extra, extra
        assert choice["finish_reason"] in (None, "stop", "length", "tool_calls", "content_filter"), choice


if __name__ == "__main__":
    unittest.main()
