"""Django's cache over the gateway's: what is kept is JSON, up to 64 KiB a value, and may go at any time."""

from __future__ import annotations

from typing import Any

from airlock_adaptor import cache as _cache
from airlock_adaptor import log
from airlock_adaptor.upstream import encode


class _Cache:
    def get(self, key: str, default: Any = None) -> Any:
        found = _cache.get_json(key)
        return default if found is None else found

    def set(self, key: str, value: Any, timeout: float | None = 300) -> None:
        try:
            _cache.set_json(key, value, timeout)
        except TypeError as error:
            log.warning("the cache keeps JSON alone, and not %r: %s", key, error)

    def add(self, key: str, value: Any, timeout: float | None = 300) -> bool:
        return _cache.add(key, encode(value), timeout)

    def delete(self, key: str) -> None:
        _cache.delete(key)

    def get_or_set(self, key: str, default: Any, timeout: float | None = 300) -> Any:
        found = self.get(key)
        if found is None:
            found = default() if callable(default) else default
            self.set(key, found, timeout)
        return found

    async def aget(self, key: str, default: Any = None) -> Any:
        return self.get(key, default)

    async def aset(self, key: str, value: Any, timeout: float | None = 300) -> None:
        self.set(key, value, timeout)

    async def adelete(self, key: str) -> None:
        self.delete(key)


cache = _Cache()
