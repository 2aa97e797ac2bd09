"""Checks the golden cases of the adaptors against the vendors' own SDKs: what a backend is sent and answers must be
what its API speaks, and what the client gets must be what OpenAI's client reads."""

import json
import pathlib
import unittest

import anthropic.types
import pydantic
from anthropic.types import message_create_params
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from google.genai import types as genai
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params

ADAPTORS = pathlib.Path(__file__).resolve().parents[3] / "adaptors"


def cases(adaptor):
    files = sorted((ADAPTORS / adaptor / "golden").glob("*.json"))
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


def strict(model, value):
    """OpenAI's models take any field: what they do not know is told here. Two fields are common beside OpenAI's."""
    read = model.model_validate(value)
    known = json.loads(read.model_dump_json())
    choices = [(choice.get("message") or choice.get("delta"), choice) for choice in known["choices"]]
    for speaker, choice in choices:
        allowed = {"role", "content", "refusal", "tool_calls", "annotations", "audio", "function_call"}
        extra = set(speaker) - allowed - {"reasoning_content"}
        assert not extra, extra
        assert choice["finish_reason"] in (None, "stop", "length", "tool_calls", "content_filter"), choice


if __name__ == "__main__":
    unittest.main()
