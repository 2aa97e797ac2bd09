"""An endpoint that does what its configuration says: what the sandbox has to be ready for, and what has to work in it."""

import asyncio
import datetime
import json
import os
import random
import socket
import time
import uuid

from airlock_adaptor import BaseEndpoint, cache, export, upstream

seen = []


def attempt(work):
    """What came of something that the sandbox has nothing behind for."""
    try:
        return str(work())
    except Exception as error:
        return type(error).__name__


class Trials(BaseEndpoint):
    async def submit_task(self, data):
        return {"content": await getattr(self, self.config["do"])(data["model_params"])}

    async def submit_streaming_task(self, data, request_log_id):
        yield {"n": 0}
        if self.config["do"] == "fail":
            raise KeyError("a secret of the adaptor")
        while True:
            if self.config["do"] == "spin":
                self.spun()
            yield {"n": 1, "text": "two\nlines"}
            return

    def spun(self):
        while True:
            pass

    async def fail(self, params):
        raise KeyError("a secret of the adaptor")

    async def leave(self, params):
        raise SystemExit("a secret of the adaptor")

    async def recurse(self, params):
        return await self.recurse(params)

    async def spin(self, params):
        self.spun()

    async def hog(self, params):
        kept = []
        while True:
            kept.append(bytearray(1 << 20))

    async def remember(self, params):
        seen.append(params["user"])
        return list(seen)

    async def chance(self, params):
        return [time.time(), random.random(), str(uuid.uuid4()), os.urandom(8).hex(), str(datetime.datetime.now())]

    async def wait(self, params):
        async def part(number):
            await asyncio.sleep(0.02)
            return number

        began = time.monotonic()
        parts = await asyncio.gather(part(1), part(2))
        try:
            await asyncio.wait_for(asyncio.sleep(60), timeout=0.01)
        except TimeoutError:
            parts.append("late")
        return [*parts, time.monotonic() - began >= 0.03]

    async def doors(self, params):
        return [
            attempt(lambda: open("/etc/passwd").read()),
            attempt(lambda: socket.create_connection(("127.0.0.1", 1))),
            attempt(lambda: dict(os.environ)),
            attempt(lambda: upstream.get("http://169.254.169.254/").status),
        ]

    async def late(self, params):
        import wave

        return wave.__name__

    async def keep(self, params):
        before = cache.get_json("kept")
        cache.set_json("kept", {"times": (before or {"times": 0})["times"] + 1})
        return [before, cache.set("long", b"x" * 70_000)]

    async def nothing(self, params):
        return None

    async def told(self, params):
        user = self.user
        return [self.task.id, self.task.operation, self.model, user and user.id, json.loads(self.task.body) == params]


export(Trials)
