"""Everything that the cases run against: model servers, Globus of two versions, documents, and one gateway."""

import contextlib
import json
import os
import pathlib
import secrets
import subprocess
import time
import urllib.parse

import documents
import fixtures
import proxy
from parts import Part

HERE = pathlib.Path(__file__).parent
MODEL_KEY = secrets.token_urlsafe(16)
STREAMING_SECRET = secrets.token_urlsafe(16)
QUEUE = {
    "running": [
        {"Models": "MODEL", "Framework": "vllm", "Cluster": "CLUSTER", "Model Status": "running", "Job ID": "7.pbs"}
    ],
    "queued": [],
    "others": [],
    "private-batch-running": [],
    "private-batch-queued": [],
    "cluster_status": {"free_nodes": 3},
}


class World(contextlib.ExitStack):
    """Starts all of it, and ends all of it."""

    def __init__(self, folder, airlock, globus_pythons, model_python):
        super().__init__()
        self.folder, self.airlock = folder, airlock.resolve()
        self.examples = self.airlock.parent.parent / "examples"
        try:
            self._start_backends(globus_pythons, model_python)
            self._start_gateway()
        except BaseException:
            self.close()
            raise

    def _part(self, name, command, **environment):
        part = Part(name, command, self.folder, environment)
        self.callback(part.stop)
        return part

    def _start_backends(self, globus_pythons, model_python):
        server = [model_python, HERE / "model/server.py", "--model"]
        model = self._part("model", [*server, "tiny"], MODEL_SERVER_KEY=MODEL_KEY)
        self.spare = self._part("spare", [*server, "spare"], MODEL_SERVER_KEY=MODEL_KEY)
        self.model_url, self.spare_url = model.json()["url"], self.spare.json()["url"]
        self.model_port = int(self.model_url.rpartition(":")[2])
        self.documents = documents.Documents()
        self.callback(self.documents.stop)
        self.documents.at.update(self._documents())
        started = {name: self._start_globus(name, python) for name, python in globus_pythons.items()}
        self.fronts = {name: part.json() for name, part in started.items()}

    def _documents(self):
        """A status manifest, the state of a model, and the report of a cluster."""
        job = {"Models": "custom/chat", "Framework": "own", "Cluster": "custom", "Model Version": 4}
        return {
            "/manifest": {
                "one": {"model": "metis/chat", "status": "Live", "description": "awake"},
                "two": {"model": "metis/asleep", "status": "Stopped"},
            },
            "/state": "running",
            "/report": {"running": [job], "queued": [], "cluster_status": {"free_nodes": 5}},
        }

    def _start_globus(self, name, python):
        queue = self.folder / f"{name}-queue.json"
        queue.write_text(json.dumps(QUEUE).replace("MODEL", f"{name}/chat").replace("CLUSTER", name))
        return self._part(
            name,
            [python, HERE / "globus/main.py"],
            OPENAI_BASE_URL=f"{self.model_url}/v1",
            OPENAI_API_KEY=MODEL_KEY,
            QUEUE_FILE=str(queue),
            INTERNAL_STREAMING_SECRET=STREAMING_SECRET,
        )

    def _start_gateway(self):
        self.proxy = proxy.Proxy()
        self.callback(self.proxy.stop)
        data = self.folder / "data"
        fixtures.write(self.folder / "fixtures", self)
        create = [self.airlock, "keys", "create", "user", "--data", data]
        self.key = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
        [(client, secret)] = {tuple(front["client"]) for front in self.fronts.values()}
        serve = ["serve", "--fixtures", self.folder / "fixtures", "--listen", "127.0.0.1:0", "--data", data]
        self.gateway = self._part(
            "gateway",
            [self.airlock, *serve],
            SERVICE_ACCOUNT_ID=client,
            SERVICE_ACCOUNT_SECRET=secret,
            MODEL_SERVER_KEY=MODEL_KEY,
            INTERNAL_STREAMING_SECRET=STREAMING_SECRET,
            AIRLOCK_CALLBACKS__URL=self.proxy.url,
            AIRLOCK_BATCH__POLL_SECONDS="1",
        )
        self.url = self.gateway.line().removeprefix("url=")
        if self.gateway.line() != "ready":
            raise RuntimeError("the gateway did not say that it is ready")
        self.proxy.target = urllib.parse.urlsplit(self.url).netloc
        os.environ.update(AIRLOCK_URL=self.url, AIRLOCK_KEY=self.key)


current: World


def until(check, seconds=30):
    """What `check` gives once it is true; fails where it does not become true in time."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; the last answer was {found!r}")
        time.sleep(0.1)
    return found
