"""Runs adaptors in plain CPython against a fake gateway, in milliseconds: for a project's own tests.

    backend = Backend()
    backend.answer("http://status/", json="running")
    outcome = run(CustomEndpoint, {"status_url": "http://status/", "api_url": "http://backend/v1"}, backend)
    assert outcome.forwarded.url == "http://backend/v1/chat/completions"
"""

from __future__ import annotations

import json as _json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airlock_adaptor import _exports, _native
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.task import User, operation_variant
from airlock_adaptor.upstream import encode

#: What a client sends unless a test says otherwise.
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Sent:
    """A request that a backend got."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    timeout: float | None

    def json(self) -> Any:
        """Its body as JSON."""
        return _json.loads(self.body or b"null")

    @classmethod
    def _of(cls, request: Any) -> Sent:
        timeout = None if request.timeout_ms is None else request.timeout_ms / 1000
        return cls(request.method, request.url, dict(request.headers), request.body, timeout)


class _Answer:
    """A backend's answer, as the gateway hands it over."""

    def __init__(self, status: int, headers: dict[str, str], pieces: Iterable[bytes]):
        self._status, self._headers, self._pieces = status, headers, iter(pieces)

    def status(self) -> int:
        return self._status

    def headers(self) -> list[tuple[str, str]]:
        return list(self._headers.items())

    def read(self) -> bytes | None:
        return next(self._pieces, None)


class Backend:
    """The backends that an adaptor may reach, and what else a gateway gives: a cache and a log."""

    def __init__(self) -> None:
        self._answers: dict[str, Any] = {}
        self._cache: dict[str, bytes] = {}
        self._next: Any = None
        #: Requests that the adaptor has sent itself, in order.
        self.sent: list[Sent] = []
        #: Lines of the log, each with its level.
        self.lines: list[tuple[str, str]] = []
        #: What a middleware has put in the place of the body.
        self.replaced: bytes | None = None

    def answer(
        self,
        url: str,
        *,
        status: int = 200,
        json: Any = None,
        text: str | bytes | None = None,
        events: Iterable[Any] | None = None,
        error: AdaptorError | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """From now on this URL answers so: JSON, text, server-sent events, or not at all (`error`)."""
        if events is not None:
            lines = [event if isinstance(event, str) else encode(event).decode() for event in events]
            pieces = [f"data: {line}\n\n".encode() for line in [*lines, "[DONE]"]]
        elif text is not None:
            pieces = [text.encode() if isinstance(text, str) else text]
        else:
            pieces = [encode(json)]
        self._answers[url] = (status, headers or {}, [piece for piece in pieces if piece], error)

    # What follows is the gateway's side.

    def send(self, request: Any) -> Any:
        """`upstream.send`"""
        self.sent.append(Sent._of(request))
        if request.url not in self._answers:
            raise _native.Err(_native.AdaptorError(502, "upstream_unreachable", f"nobody is at {request.url}", None))
        status, headers, pieces, error = self._answers[request.url]
        if error is not None:
            raise error._thrown()
        return _Answer(status, headers, pieces)

    def log(self, level: Any, message: str) -> None:
        """`logging.log`"""
        self.lines.append((level.name.lower(), message))

    def get(self, key: str) -> bytes | None:
        """`key-value.get`"""
        return self._cache.get(key)

    def set(self, key: str, value: bytes, ttl_ms: int | None) -> None:
        """`key-value.set`"""
        if len(value) > 65_536 or not 0 < len(key) <= 256:
            raise _native.Err(_native.StoreError_TooLarge())
        self._cache[key] = value

    def set_if_absent(self, key: str, value: bytes, ttl_ms: int | None) -> bool:
        """`key-value.set-if-absent`"""
        if key in self._cache:
            return False
        self.set(key, value, ttl_ms)
        return True

    def delete(self, key: str) -> None:
        """`key-value.delete`"""
        self._cache.pop(key, None)

    def replace_body(self, body: bytes) -> None:
        """`task-body.replace`"""
        self.replaced = body

    def next_task(self, info: Any, task: Any) -> Any:
        """The endpoint behind a middleware: what `run` was given, or one that forwards to `api_url`."""
        if self._next is not None:
            return self._next(info, task)
        url = f"{_json.loads(info.config).get('api_url', 'http://next')}/{_exports.Task._of(task).operation}"
        return _native.Reply_Forward(_native.UpstreamRequest("POST", url, [], task.body, None))


@dataclass
class Outcome:
    """What came of a task."""

    #: The request that the gateway would send on, where the adaptor left the answer to it.
    forwarded: Sent | None = None
    #: The complete answer that the adaptor made, as JSON.
    body: Any = None
    #: The events that it made, each as JSON.
    events: list[Any] | None = None
    #: True where a backend's answer is handed on unread.
    relayed: bool = False
    #: What the client is told instead; for a stream that had begun, with the events before it.
    error: AdaptorError | None = None
    #: What the backends and the log have seen.
    backend: Backend = field(default_factory=Backend)


def run(
    adaptor: type[Any],
    config: dict[str, Any] | None = None,
    backend: Backend | None = None,
    *,
    body: dict[str, Any] | None = None,
    stream: bool = False,
    operation: str = "chat/completions",
    model: str = "m",
    user: User | None = None,
    next: Any = None,
) -> Outcome:
    """Runs one task. `next`, of a middleware, is what stands behind it: a function of the endpoint and the task that gives a
    reply of `airlock_adaptor._native`."""
    backend = backend or Backend()
    backend._next = next
    outcome = Outcome(backend=backend)
    sent = {**(BODY if body is None else body), **({"stream": True} if stream else {})}
    asked = sent.get("model", model)
    person = None if user is None else _native.User(user.id, user.name, user.groups, user.domain)
    task = _native.Task("test", operation_variant(operation), asked, stream, person, encode(sent))
    info = _native.EndpointInfo("c-api-m", "c", "api", model, encode(config or {}).decode())
    endpoint = _exports.Endpoint()
    try:
        with _gateway(backend), _only("endpoint", adaptor):
            reply = (endpoint.submit_streaming_task if stream else endpoint.submit_task)(info, task)
            _take(outcome, reply)
    except _native.Err as error:
        outcome.error = AdaptorError._of(error.value)
    return outcome


def _take(outcome: Outcome, reply: Any) -> None:
    if isinstance(reply, _native.Reply_Forward):
        outcome.forwarded = Sent._of(reply.value)
    elif isinstance(reply, _native.Reply_Relay):
        outcome.relayed = True
    elif isinstance(reply, _native.Reply_Body):
        outcome.body = _json.loads(reply.value)
    else:
        outcome.events = []
        while (event := reply.value.next()) is not None:
            assert b"\n" not in event, "an event is one line"
            outcome.events.append(_json.loads(event))


def validate(adaptor: type[Any], config: dict[str, Any], model: str = "m") -> AdaptorError | None:
    """What the operator is told of a configuration; None where it is good."""
    info = _native.EndpointInfo("c-api-m", "c", "api", model, encode(config).decode())
    try:
        with _gateway(Backend()), _only("endpoint", adaptor):
            _exports.Endpoint().validate(info)
    except _native.Err as error:
        return AdaptorError._of(error.value)
    return None


def jobs(
    adaptor: type[Any],
    config: dict[str, Any] | None = None,
    backend: Backend | None = None,
    *,
    models: Iterable[str] = ("m",),
    user: User | None = None,
) -> Any:
    """What a cluster reports, as the gateway's record. Raises the `AdaptorError` of one that fails."""
    entries = [_native.ModelInfo(f"c-api-{model}", "api", model, "{}") for model in models]
    info = _native.ClusterInfo("c", encode(config or {}).decode(), entries)
    person = None if user is None else _native.User(user.id, user.name, user.groups, user.domain)
    try:
        with _gateway(backend or Backend()), _only("cluster", adaptor):
            return _exports.Cluster().get_jobs(info, person)
    except _native.Err as error:
        raise AdaptorError._of(error.value) from None


class _gateway:
    """For the length of a call, calls of the gateway go here."""

    def __init__(self, backend: Backend):
        self._backend = backend

    def __enter__(self) -> None:
        self._before, _native.gateway.current = _native.gateway.current, self._backend

    def __exit__(self, *_: Any) -> None:
        _native.gateway.current = self._before


class _only:
    """For the length of a call, this class is what is exported."""

    def __init__(self, kind: str, adaptor: type[Any]):
        self._kind, self._adaptor = kind, adaptor

    def __enter__(self) -> None:
        self._before = dict(_exports.exported)
        _exports.exported[self._kind] = self._adaptor

    def __exit__(self, *_: Any) -> None:
        _exports.exported.clear()
        _exports.exported.update(self._before)
