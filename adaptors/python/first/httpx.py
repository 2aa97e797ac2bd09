"""httpx, as far as adaptors use it: requests go through the gateway, which adds keys and knows what may be reached.

A failure that nobody catches reaches the client with the right status. Redirects are not followed, and certificates are
checked by the gateway.
"""

from __future__ import annotations

import json as _json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urljoin

from airlock_adaptor import AdaptorError
from airlock_adaptor import upstream as _upstream


class HTTPError(AdaptorError):
    """Whatever went wrong."""

    def __init__(self, message: str, *, request: Any = None, response: Any = None, status: int = 502, code: str = ""):
        super().__init__(status, code or "upstream_error", message)
        self.request, self.response = request, response


class RequestError(HTTPError):
    """There was no answer."""


class TransportError(RequestError):
    """There was no answer."""


class TimeoutException(TransportError):
    """It did not come in time."""


class ReadTimeout(TimeoutException):
    """It did not come in time."""


class ConnectTimeout(TimeoutException):
    """It did not come in time."""


class NetworkError(TransportError):
    """The backend cannot be reached, or went away."""


class ConnectError(NetworkError):
    """The backend cannot be reached."""


class ReadError(NetworkError):
    """The backend went away."""


class RemoteProtocolError(TransportError):
    """The backend went away, or answered with something else than HTTP."""


class HTTPStatusError(HTTPError):
    """The status is none of success."""


_KINDS: dict[str, type[RequestError]] = {
    "upstream_timeout": ReadTimeout,
    "upstream_unreachable": ConnectError,
    "upstream_disconnected": RemoteProtocolError,
}


def _error(error: AdaptorError) -> RequestError:
    kind = _KINDS.get(error.code, RequestError)
    return kind(error.message, status=error.status, code=error.code)


class Timeout:
    """Seconds; the longest of them counts, as the wait for the head of an answer."""

    def __init__(self, timeout: float | None = None, **parts: float | None):
        given = [seconds for seconds in (timeout, *parts.values()) if seconds is not None]
        self.seconds = max(given) if given else None


class Limits:
    """Connections are the gateway's business."""

    def __init__(self, **_: Any):
        pass


class Response:
    """An answer."""

    def __init__(self, answer: _upstream.Response, url: str):
        self._answer, self.url = answer, url
        self.status_code = answer.status
        self.headers = answer.headers

    @property
    def is_success(self) -> bool:
        return self._answer.ok

    @property
    def is_error(self) -> bool:
        return self.status_code >= 400

    @property
    def reason_phrase(self) -> str:
        return ""

    def read(self) -> bytes:
        try:
            return self._answer.read()
        except AdaptorError as error:
            raise _error(error) from None

    async def aread(self) -> bytes:
        return self.read()

    @property
    def content(self) -> bytes:
        return self.read()

    @property
    def text(self) -> str:
        return self.read().decode("utf-8", "replace")

    def json(self, **_: Any) -> Any:
        return _json.loads(self.read())

    def raise_for_status(self) -> Response:
        if not self.is_success:
            error = self._answer.as_error()
            raise HTTPStatusError(error.message, response=self, status=error.status, code=error.code)
        return self

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        try:
            yield from self._answer.pieces()
        except AdaptorError as error:
            raise _error(error) from None

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        # A character may be cut in two by pieces; lines are not.
        for line in self._lines():
            yield line.decode("utf-8", "replace")

    def iter_lines(self) -> Iterator[str]:
        for line in self._lines():
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for piece in self.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        for piece in self.iter_bytes():
            yield piece

    aiter_raw = aiter_bytes

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        for text in self.iter_text():
            yield text

    async def aiter_lines(self) -> AsyncIterator[str]:
        for line in self.iter_lines():
            yield line

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class _Base:
    def __init__(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | Timeout | None = 5.0,
        base_url: str = "",
        params: Mapping[str, Any] | None = None,
        **_: Any,
    ):
        self.headers = dict(headers or {})
        self.timeout, self.base_url, self.params = timeout, base_url, dict(params or {})

    def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        content: str | bytes | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | Timeout | None = -1.0,
        **_: Any,
    ) -> Response:
        sent = {**self.headers, **(headers or {})}
        body = content.encode() if isinstance(content, str) else content
        kind = None
        if json is not None:
            body, kind = _upstream.encode(json), "application/json"
        elif isinstance(data, Mapping):
            body, kind = urlencode(data).encode(), "application/x-www-form-urlencoded"
        elif data is not None:
            body = data.encode() if isinstance(data, str) else data
        if kind and "content-type" not in {name.lower() for name in sent}:
            sent["content-type"] = kind
        query = urlencode({**self.params, **(params or {})}, doseq=True)
        url = urljoin(self.base_url.rstrip("/") + "/", url.lstrip("/")) if self.base_url else str(url)
        url = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
        wait = self.timeout if timeout == -1.0 else timeout
        seconds = wait.seconds if isinstance(wait, Timeout) else wait
        # None would be the task's own body.
        body = b"" if body is None and method.upper() not in ("GET", "HEAD") else body
        try:
            return Response(_upstream.send(_upstream.Request(url, method.upper(), sent, body, seconds)), url)
        except AdaptorError as error:
            raise _error(error) from None


class Client(_Base):
    """The synchronous client."""

    def request(self, method: str, url: str, **options: Any) -> Response:
        return self._send(method, url, **options)

    def get(self, url: str, **options: Any) -> Response:
        return self._send("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        return self._send("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        return self._send("PUT", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        return self._send("DELETE", url, **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def close(self) -> None:
        pass


class _Stream:
    def __init__(self, send: Any):
        self._send = send

    async def __aenter__(self) -> Response:
        response: Response = self._send()
        return response

    async def __aexit__(self, *_: Any) -> None:
        pass


class AsyncClient(_Base):
    """The asynchronous client."""

    async def request(self, method: str, url: str, **options: Any) -> Response:
        return self._send(method, url, **options)

    async def get(self, url: str, **options: Any) -> Response:
        return self._send("GET", url, **options)

    async def post(self, url: str, **options: Any) -> Response:
        return self._send("POST", url, **options)

    async def put(self, url: str, **options: Any) -> Response:
        return self._send("PUT", url, **options)

    async def delete(self, url: str, **options: Any) -> Response:
        return self._send("DELETE", url, **options)

    def stream(self, method: str, url: str, **options: Any) -> _Stream:
        return _Stream(lambda: self._send(method, url, **options))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        pass

    async def aclose(self) -> None:
        pass


def request(method: str, url: str, **options: Any) -> Response:
    """One request."""
    return Client().request(method, url, **options)


def get(url: str, **options: Any) -> Response:
    """Gets a URL."""
    return Client().get(url, **options)


def post(url: str, **options: Any) -> Response:
    """Posts to a URL."""
    return Client().post(url, **options)
