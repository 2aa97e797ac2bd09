"""There is one thread, and calls return at once: both directions are a plain call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airlock_adaptor._run import run


def sync_to_async(func: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    """A function to await."""

    async def called(*args: Any, **options: Any) -> Any:
        return func(*args, **options)

    return called


def async_to_sync(func: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    """A function to call."""

    def called(*args: Any, **options: Any) -> Any:
        return run(func(*args, **options))

    return called
