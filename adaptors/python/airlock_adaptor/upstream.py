"""Requests to backends. They go through the gateway, which adds the credential on the way and lets an adaptor reach what
its endpoint's configuration names: each key that ends in `_url`, and `allowed_hosts`."""

from __future__ import annotations

import json as _json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock_adaptor import _host, sse
from airlock_adaptor._run import Both
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.log import log

#: How much of a backend's error the client is shown, in bytes.
ERROR_EXCERPT = 256
#: The longest answer that is read whole unless another limit is named, in bytes.
READ_LIMIT = 32 << 20


def encode(value: Any) -> bytes:
    """JSON as short as it gets."""
    return _json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Request:
    """A request to a backend. Returned from `submit_task` it is *forwarded*: the gateway sends it and hands the answer
    on, which costs least. A body of None is the task's own, which is then not copied."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    #: Seconds to wait for the head of the answer; None for the gateway's limit.
    timeout: float | None = None

    def _native(self) -> Any:
        headers = [(str(name).lower(), str(value)) for name, value in self.headers.items()]
        wait = None if self.timeout is None else max(1, int(self.timeout * 1000))
        return _host.common.UpstreamRequest(self.method, self.url, headers, self.body, wait)


class Response:
    """A backend's answer, whatever its status. Returned from `submit_task` without being read it is *relayed*."""

    def __init__(self, native: Any):
        self._native = native
        self._body: bytes | None = None
        self.status: int = native.status()

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; where one comes twice, the values with a comma between them."""
        headers: dict[str, str] = {}
        for name, value in self._native.headers():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @property
    def ok(self) -> bool:
        """True for a status of 200 to 299."""
        return 200 <= self.status < 300

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives."""
        while True:
            try:
                piece = self._native.read()
            except _host.Err as error:
                raise AdaptorError._of(error.value) from None
            if piece is None:
                return
            yield piece

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """The whole body."""
        if self._body is None:
            body = bytearray()
            for piece in self.pieces():
                body += piece
                if len(body) > limit:
                    message = f"the backend's answer is longer than {limit} bytes"
                    raise AdaptorError(502, "response_too_large", message)
            self._body = bytes(body)
        return self._body

    @property
    def text(self) -> str:
        """The whole body as text."""
        return self.read().decode("utf-8", "replace")

    def json(self) -> Any:
        """The whole body as JSON."""
        try:
            return _json.loads(self.read())
        except ValueError as error:
            message = f"the backend's answer is not JSON: {error}"
            raise AdaptorError(502, "upstream_bad_response", message) from None

    def raise_for_status(self) -> Response:
        """An error for the client where the status is none of success, with the beginning of the body."""
        if not self.ok:
            raise self.as_error()
        return self

    def as_error(self) -> AdaptorError:
        """A response that is no success as an error for the client."""
        excerpt = b""
        for piece in self.pieces():
            excerpt += piece
            if len(excerpt) >= ERROR_EXCERPT:
                break
        text = excerpt[:ERROR_EXCERPT].decode("utf-8", "replace").strip()
        # The gateway's own credential was refused: the client's was not.
        status = self.status if 400 <= self.status <= 599 and self.status not in (401, 403) else 502
        return AdaptorError(status, "upstream_error", f"the backend answered {self.status}: {text}")

    def events(self) -> Any:
        """The JSON of each server-sent event as it arrives, for `for` and `async for`."""
        self.raise_for_status()
        return Both(self._events())

    def _events(self) -> Iterator[Any]:
        for data in sse.data(self.pieces()):
            try:
                yield _json.loads(data)
            except ValueError:
                message = "the backend sent an event that is not JSON"
                raise AdaptorError(502, "upstream_bad_response", message) from None


def send(request: Request) -> Response:
    """Sends a request and waits for the head of its answer, whatever its status. Redirects are not followed."""
    try:
        return Response(_host.upstream.send(request._native()))
    except _host.Err as error:
        raise AdaptorError._of(error.value) from None


def get(url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> Response:
    """Gets a URL."""
    return send(Request(url, "GET", headers or {}, None, timeout))


def post(
    url: str,
    *,
    json: Any = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Response:
    """Posts JSON, or bytes."""
    content = {"content-type": "application/json", **(headers or {})}
    return send(Request(url, "POST", content, encode(json) if body is None else body, timeout))


def get_json(what: str, url: str, timeout: float = 10.0) -> Any:
    """Gets JSON. `what` names it in errors, as in "the model's status". No client asked for this URL: its errors are 502,
    503 or 504 whatever the server's own status, and the URL itself goes to the log alone."""
    return _read(what, Request(url, "GET", {"accept": "application/json"}, None, timeout))


def post_json(what: str, url: str, value: Any, timeout: float = 10.0) -> Any:
    """Posts JSON and reads the JSON of the answer, as `get_json` does."""
    return _read(what, Request(url, "POST", {"content-type": "application/json"}, encode(value), timeout))


def _read(what: str, request: Request) -> Any:
    try:
        response = send(request)
        if not response.ok:
            raise AdaptorError(502, "upstream_bad_response", f"the server answered {response.status}")
        return response.json()
    except AdaptorError as error:
        log.warning("%s %s: %s", request.method, request.url, error.message)
        message = f"{what} could not be read: {error.message}"
        raise AdaptorError(error.status, error.code, message, error.retry_after) from None
