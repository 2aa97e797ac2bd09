"""Cases that run with the client that blocks and with the one for asyncio."""

import inspect
import unittest


async def settle(value):
    """What a call of either client gives."""
    return await value if inspect.isawaitable(value) else value


class Entered:
    """A manager of either client, for `async with`."""

    def __init__(self, manager):
        self.manager = manager

    async def __aenter__(self):
        enter = getattr(self.manager, "__aenter__", None) or self.manager.__enter__
        return await settle(enter())

    async def __aexit__(self, *error):
        leave = getattr(self.manager, "__aexit__", None) or self.manager.__exit__
        await settle(leave(*error))


class BothCase(unittest.IsolatedAsyncioTestCase):
    """A case for several clients."""

    async def each(self, clients, case):
        for made in clients:
            with self.subTest(type(made).__name__):
                try:
                    await case(made)
                finally:
                    await settle(made.close())
