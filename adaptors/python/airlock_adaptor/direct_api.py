"""The direct API: an OpenAI-compatible backend, to use or to build on."""

from __future__ import annotations

from typing import Any

from airlock_adaptor.endpoint import BaseEndpoint
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.responses import SubmitStreamingTaskResponse, SubmitTaskResponse
from airlock_adaptor.upstream import Request, encode

#: Paths of operations that a full `api_url` may end with, longest first where one ends with another.
_OPERATIONS = (
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "messages/count_tokens",
    "messages",
    "rerank",
    "score",
    "moderations",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "images/edits",
    "images/variations",
)
#: The ones with answers of events, which `stream` asks for.
_STREAMED = ("chat/completions", "completions", "responses", "messages", "images/generations", "audio/speech")


class DirectAPIEndpoint(BaseEndpoint):
    """Forwards tasks to an OpenAI-compatible API: the gateway sends what this decides on, and hands the answer on. Where a
    subclass looks into the answer, it is asked for then.

    Of the configuration: `api_url` (a base, or the full URL of one operation), `api_request_timeout` (seconds, 120),
    `extra_headers`, `extra_body`. `api_key_env_name` names the key, which the gateway adds.
    """

    def validate(self) -> None:
        self._url("chat/completions")
        self._timeout()
        for key in ("extra_headers", "extra_body"):
            if not isinstance(dict.get(self.config, key, {}), dict):
                raise AdaptorError.invalid_config(key, "must be an object")

    def set_api_url(self, api_url: str) -> None:
        """Sends to another URL: a base, or the full URL of an operation. The endpoint's configuration has to name its
        origin: the gateway reaches no other."""
        self.config["api_url"] = api_url

    async def submit_task(self, data: dict[str, Any]) -> SubmitTaskResponse:
        return SubmitTaskResponse(_pending=self.request(data, stream=False))

    async def submit_streaming_task(self, data: dict[str, Any], request_log_id: str = "") -> SubmitStreamingTaskResponse:
        return SubmitStreamingTaskResponse(_pending=self.request(data, stream=True))

    def request(self, data: dict[str, Any], stream: bool) -> Request:
        """The request that runs the task. `data` is the body, or what has it under `model_params`."""
        assert self.task is not None, "there is a task wherever there is data"
        operation = self.task.operation
        body = None
        if not self.task.takes_form:
            params = {**data.get("model_params", data), **dict.get(self.config, "extra_body", {})}
            if operation in _STREAMED and (stream or "stream" in params):
                params["stream"] = stream
            body = encode({key: value for key, value in params.items() if key not in self._removed()})
        headers = {"content-type": "application/json", **dict.get(self.config, "extra_headers", {})}
        return Request(self._url(operation), "POST", headers, body, self._timeout())

    def _removed(self) -> list[str]:
        """The fields that `extra_body` sets to null."""
        return [key for key, value in dict.get(self.config, "extra_body", {}).items() if value is None]

    def _timeout(self) -> float:
        seconds = dict.get(self.config, "api_request_timeout", 120)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 3600:
            why = f"{seconds!r} is not a time: write seconds above 0, up to 3600"
            raise AdaptorError.invalid_config("api_request_timeout", why)
        return float(seconds)

    def _url(self, operation: str) -> str:
        url = self.config["api_url"]
        if not isinstance(url, str) or not url.lower().startswith(("https://", "http://")):
            raise AdaptorError.invalid_config("api_url", "must begin with `https://` or `http://`")
        path, mark, query = url.partition("?")
        trimmed = path.rstrip("/")
        named = next((known for known in _OPERATIONS if trimmed.endswith(f"/{known}")), None)
        if named == operation:
            return url
        base = trimmed.removesuffix(named).rstrip("/") if named else trimmed
        return f"{base}/{operation}{mark}{query}"
