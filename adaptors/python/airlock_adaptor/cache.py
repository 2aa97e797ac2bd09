"""A small cache that outlives the instance, shared by the adaptors of one tenant and by nobody else.

Entries may go at any time, and do when the gateway restarts. A value is up to 64 KiB, a tenant's values are 16 MiB.
"""

from __future__ import annotations

import json
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor.log import log

_DAY_MS = 86_400_000


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, min(_DAY_MS, int(seconds * 1000)))


def get(key: str) -> bytes | None:
    """The bytes under a key; None where there are none, or no longer."""
    value: bytes | None = _host.key_value.get(key)
    return value


def set(key: str, value: bytes, seconds: float | None = None) -> bool:
    """Keeps bytes for so many seconds, at most a day, which is also what None means. False where they do not fit."""
    try:
        _host.key_value.set(key, value, _milliseconds(seconds))
    except _host.Err as error:
        log.debug("the cache does not take %r: %s", key, type(error.value).__name__)
        return False
    return True


def add(key: str, value: bytes, seconds: float | None = None) -> bool:
    """Keeps bytes where there are none yet: of many that try at once, one gets True."""
    try:
        return bool(_host.key_value.set_if_absent(key, value, _milliseconds(seconds)))
    except _host.Err as error:
        log.debug("the cache does not take %r: %s", key, type(error.value).__name__)
        return False


def delete(key: str) -> None:
    """Removes what is under a key."""
    _host.key_value.delete(key)


def get_json(key: str) -> Any:
    """The JSON value under a key, or None."""
    value = get(key)
    return None if value is None else json.loads(value)


def set_json(key: str, value: Any, seconds: float | None = None) -> bool:
    """Keeps a JSON value."""
    return set(key, json.dumps(value, separators=(",", ":")).encode(), seconds)
