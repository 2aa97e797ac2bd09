"""Failures that clients are told about."""

from __future__ import annotations

from typing import Any

from airlock_adaptor import _host

#: The code of an error whose author gave a status alone, as FIRST's adaptors do.
_CODES = {
    400: "invalid_request",
    403: "access_denied",
    404: "not_found",
    408: "upstream_timeout",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "model_not_running",
    504: "upstream_timeout",
}


class AdaptorError(Exception):
    """A failure that the client is told about, in OpenAI's shape. Raise it anywhere.

    Args:
        status: the HTTP status, 400 to 599.
        code: a machine-readable word, for example `model_not_running`.
        message: one or two sentences for a person: what is wrong, and what to do.
        retry_after: how many seconds to wait before another attempt, where that is known.
    """

    def __init__(self, status: int, code: str | None, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.status = status
        self.code = code or _CODES.get(status, "adaptor_error")
        self.message = message
        self.retry_after = retry_after

    def __repr__(self) -> str:
        return f"AdaptorError({self.status}, {self.code!r}, {self.message!r})"

    @classmethod
    def invalid_config(cls, key: str, why: str) -> AdaptorError:
        """The endpoint's or the cluster's configuration is wrong at `key`. Its operator reads `why`."""
        return cls(400, "invalid_config", f"config key `{key}`: {why}")

    @classmethod
    def _of(cls, error: Any) -> AdaptorError:
        """From the gateway's record."""
        retry_after = None if error.retry_after_ms is None else error.retry_after_ms / 1000
        return cls(error.status, error.code, error.message, retry_after)

    def _thrown(self, at_run_time: bool = True) -> Exception:
        """What an export raises. A wrong configuration is the operator's mistake while a task runs, not the client's."""
        status = 500 if at_run_time and self.code == "invalid_config" else self.status
        wait = None if self.retry_after is None else max(0, int(self.retry_after * 1000))
        return _host.Err(_host.common.AdaptorError(status, self.code, self.message, wait))
