"""Runs `async def` and plain functions alike. The gateway's calls are synchronous, so that an `await` returns at once;
what asyncio itself is asked for (`sleep`, `gather`, `wait_for`, …) has a small loop here."""

from __future__ import annotations

import asyncio
import heapq
import inspect
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeVar

from airlock_adaptor.log import log

T = TypeVar("T")


class _Loop(asyncio.AbstractEventLoop):
    """Runs what is ready, and sleeps until the next timer. There is nothing else to wait for."""

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    def run_until_complete(self, future: Any) -> Any:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            task = asyncio.ensure_future(future, loop=self)
            while not task.done():
                self._step()
            return task.result()
        finally:
            asyncio._set_running_loop(outer)

    def _step(self) -> None:
        if not self._ready:
            if not self._timers:
                raise RuntimeError("the adaptor awaits something that nothing will ever set")
            when, _, timer = heapq.heappop(self._timers)
            if timer.cancelled():
                return
            time.sleep(max(0.0, when - self.time()))
            self._ready.append(timer)
        handle = self._ready.popleft()
        if not handle.cancelled():
            handle._run()

    def time(self) -> float:
        return time.monotonic()

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: Any) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **_: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        log.error("%s", context.get("message"), exc_info=context.get("exception"))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


_loop = _Loop()


def run(value: Any) -> Any:
    """The value itself, or what it comes to where it is awaited."""
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    return _loop.run_until_complete(wait())


def items(source: Iterable[T] | AsyncIterable[T]) -> Iterator[T]:
    """The items of a generator, async or not, one at a time."""
    if not isinstance(source, AsyncIterable):
        yield from source
        return
    iterator = aiter(source)
    while True:
        try:
            yield run(anext(iterator))
        except StopAsyncIteration:
            return


class Both:
    """An iterator that `for` and `async for` both take."""

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source

    def __iter__(self) -> Both:
        return self

    def __next__(self) -> Any:
        return next(self._source)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._source)
        except StopIteration:
            raise StopAsyncIteration from None


def call(function: Any, *args: Any, optional: tuple[Any, ...] = ()) -> Any:
    """Calls with as many of the optional arguments as the function takes: FIRST's signatures differ by version."""
    taken = inspect.signature(function).parameters.values()
    if not any(parameter.kind is parameter.VAR_POSITIONAL for parameter in taken):
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        room = sum(parameter.kind in kinds for parameter in taken) - len(args)
        optional = optional[: max(0, room)]
    return run(function(*args, *optional))
