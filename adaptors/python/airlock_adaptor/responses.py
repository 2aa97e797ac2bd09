"""What `submit_task` and `submit_streaming_task` give back, in FIRST's words."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor._guard import guarded
from airlock_adaptor._run import Both, items
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.sse import Parser
from airlock_adaptor.upstream import Request, Response, encode, send


class _Response:
    """What both have: an error, or an answer that nobody has looked into yet (a request that the gateway can send, an
    answer of a backend, or what stands behind a middleware)."""

    def __init__(
        self,
        task_id: str | None,
        error_message: str | None,
        error_code: int | None,
        code: str | None,
        retry_after: float | None,
        pending: Any,
    ):
        self.task_id = task_id
        self._error_message = error_message
        self._error_code = error_code
        self.code = code
        self.retry_after = retry_after
        self._pending = pending

    def _head(self) -> Response | None:
        """The head of an answer that is with a backend. What the gateway would have sent is sent here, since somebody
        looks."""
        if isinstance(self._pending, Request):
            self._pending = send(self._pending)
        elif isinstance(self._pending, _host.replies.Reply_Forward):
            try:
                self._pending = Response(_host.upstream.send(self._pending.value))
            except _host.Err as error:
                raise AdaptorError._of(error.value) from None
        elif isinstance(self._pending, _host.replies.Reply_Relay):
            self._pending = Response(self._pending.value)
        return self._pending if isinstance(self._pending, Response) else None

    def _look(self) -> None:
        """A failure of the backend becomes this response's error."""
        if self._error_message is None and self._pending is not None:
            try:
                head = self._head()
                if head is not None:
                    head.raise_for_status()
            except AdaptorError as error:
                self._pending = None
                self._error_message, self._error_code = error.message, error.status
                self.code, self.retry_after = error.code, error.retry_after

    @property
    def error_message(self) -> str | None:
        """What went wrong, or None. To know, an answer that is still with the backend is asked for."""
        self._look()
        return self._error_message

    @error_message.setter
    def error_message(self, value: str | None) -> None:
        self._error_message = value

    @property
    def error_code(self) -> int | None:
        """The HTTP status of the error."""
        self._look()
        return self._error_code

    @error_code.setter
    def error_code(self, value: int | None) -> None:
        self._error_code = value

    def raise_for_error(self) -> None:
        """Raises the error, where there is one."""
        if self.error_message is not None:
            raise self._failure()

    def _failure(self) -> AdaptorError:
        status = self._error_code if self._error_code is not None else 500
        return AdaptorError(status, self.code, str(self._error_message), self.retry_after)

    def _reply(self) -> Any:
        """For the gateway."""
        if self._error_message is not None:
            raise self._failure()
        if isinstance(self._pending, Request):
            return _host.replies.Reply_Forward(self._pending._native())
        if isinstance(self._pending, Response):
            return _host.replies.Reply_Relay(self._pending._native)
        return self._pending


class SubmitTaskResponse(_Response):
    """A complete answer: JSON as text, bytes or a dict; or an error.

    Args:
        result: the answer.
        task_id: the backend's id of the task.
        error_message: what went wrong, for the client.
        error_code: the HTTP status of the error; 500 where it is left out.
        code: the error's machine-readable word, which FIRST has not; by the status where it is left out.
        retry_after: seconds until the client should try again.
    """

    def __init__(
        self,
        result: str | bytes | dict[str, Any] | None = None,
        task_id: str | None = None,
        error_message: str | None = None,
        error_code: int | None = None,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        _pending: Any = None,
    ):
        super().__init__(task_id, error_message, error_code, code, retry_after, _pending)
        self._result = result

    @property
    def result(self) -> Any:
        """The answer. Of an endpoint that forwards it is asked for now, and read: text of JSON."""
        self.raise_for_error()
        if self._result is None and self._pending is not None:
            head = self._head()
            if head is not None:
                self._result = head.text
            elif isinstance(self._pending, _host.replies.Reply_Body):
                self._result = self._pending.value.decode()
            self._pending = None
        return self._result

    @result.setter
    def result(self, value: Any) -> None:
        self._result, self._pending = value, None

    def json(self) -> Any:
        """The answer as JSON."""
        result = self.result
        if isinstance(result, (str, bytes)):
            try:
                return json.loads(result)
            except ValueError as error:
                message = f"the backend's answer is not JSON: {error}"
                raise AdaptorError(502, "upstream_bad_response", message) from None
        return result

    def _reply(self) -> Any:
        reply = super()._reply()
        if reply is not None:
            return reply
        result = self._result
        if isinstance(result, str):
            result = result.encode()
        elif not isinstance(result, bytes):
            if result is None:
                raise AdaptorError(502, "adaptor_bad_output", "the adaptor gave neither a result nor an error")
            result = encode(result)
        return _host.replies.Reply_Body(result)


class SubmitStreamingTaskResponse(_Response):
    """A stream: a generator of events, async or not; or an error.

    Args:
        response: what yields the events, or an object with FIRST's `streaming_content`. An event is a dict, the text of
            one JSON object, or text of server-sent events (`data: {…}`).
    """

    def __init__(
        self,
        response: Any = None,
        task_id: str | None = None,
        error_message: str | None = None,
        error_code: int | None = None,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        _pending: Any = None,
    ):
        super().__init__(task_id, error_message, error_code, code, retry_after, _pending)
        self._response = response

    @property
    def response(self) -> Any:
        """What yields the events: text of server-sent events, with FIRST's `streaming_content`."""
        if self._response is None and self._pending is not None:
            self._response = EventText(self.events())
        return self._response

    @response.setter
    def response(self, value: Any) -> None:
        self._response, self._pending = value, None

    def events(self) -> Any:
        """The events as dicts, for `for` and `async for`. Of an endpoint that forwards they are asked for now."""
        self.raise_for_error()
        if self._response is None and self._pending is not None:
            head = self._head()
            pending, self._pending = self._pending, None
            if head is not None:
                return head.events()
            return Both(_pulled(pending.value))
        return Both(json.loads(event) for event in payloads(self._response))

    def _reply(self) -> Any:
        reply = super()._reply()
        if reply is not None:
            return reply
        if isinstance(self._response, Response):
            return _host.replies.Reply_Relay(self._response._native)
        if self._response is None:
            raise AdaptorError(502, "adaptor_bad_output", "the adaptor gave neither a response nor an error")
        return _host.replies.Reply_Events(EventStream(payloads(self._response)))


class EventText:
    """Events as text of server-sent events; stands where FIRST has Django's `StreamingHttpResponse`."""

    def __init__(self, events: Iterable[Any]):
        self.streaming_content = Both(f"data: {encode(event).decode()}\n\n" for event in events)

    def __iter__(self) -> Any:
        return self.streaming_content

    def __aiter__(self) -> Any:
        return self.streaming_content


def _pulled(stream: Any) -> Iterator[Any]:
    """The events of what stands behind a middleware."""
    while True:
        try:
            event = stream.next()
        except _host.Err as error:
            raise AdaptorError._of(error.value) from None
        if event is None:
            return
        yield json.loads(event)


def payloads(source: Any) -> Iterator[bytes]:
    """The events of whatever an adaptor streams, each as one line of JSON."""
    source = getattr(source, "streaming_content", source)
    if not isinstance(source, (Iterable, AsyncIterable)):
        message = f"the adaptor's response is a {type(source).__name__}, and yields no events"
        raise AdaptorError(502, "adaptor_bad_output", message)
    parser = Parser()
    for item in items(source):
        if isinstance(item, str):
            item = item.encode()
        if not isinstance(item, (bytes, bytearray)):
            yield encode(item)
            continue
        if not parser.is_within_event and item.lstrip().startswith(b"{"):
            yield _one_line(item.decode("utf-8", "replace"))
            continue
        for event in parser.feed(bytes(item)):
            if event == "[DONE]":
                return
            yield _one_line(event)
    for event in parser.end():
        if event != "[DONE]":
            yield _one_line(event)


def _one_line(event: str) -> bytes:
    """The contract wants no line feed in an event."""
    event = event.strip()
    return encode(json.loads(event)) if "\n" in event else event.encode()


class EventStream:
    """Events that the gateway pulls. The first one is made at once, so that an error before it has its own status."""

    def __init__(self, events: Iterator[bytes]):
        first = next(events, None)
        self._events = events if first is None else itertools.chain([first], events)

    def next(self) -> bytes | None:
        return guarded(lambda: next(self._events, None))
