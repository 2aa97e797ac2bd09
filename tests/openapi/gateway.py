"""A gateway to test: `airlock demo`, whose chats are answered, with an operator's key and one thing of each kind."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 120


def cluster(name):
    return {
        "cluster_name": name, "cluster_adapter": "static-cluster", "frameworks": ["api"],
        "openai_endpoints": ["chat/completions"],
    }


def endpoint(model):
    return {
        "cluster": "seeded", "framework": "api", "model": model, "endpoint_adapter": "direct-api",
        "config": {"api_url": "https://api.example.com/v1"},
    }


def federated(name):
    target = {"cluster": "seeded", "framework": "api", "model": "m"}
    return {"name": name, "target_model_name": name, "targets": [target]}


KEY = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPxEbyBGmtk/b4QuFRUruZJPi6mFxFicAc3fNxD2gGb0=\n-----END PUBLIC KEY-----\n"
SIGNER = {"public_key": KEY}
SECRET = {"value": "v", "origin": "https://api.example.com"}

# What there is of each kind, in the order in which it is made: what requests mostly name, and what DELETE does.
SEEDS = {
    "clusters": {"seeded": cluster("seeded"), "spare": cluster("spare")},
    "endpoints": {"seeded-api-m": endpoint("m"), "seeded-api-spare": endpoint("spare")},
    "federated": {"seeded": federated("seeded"), "spare": federated("spare")},
    "members": {"seeded": {"role": "user"}, "spare": {"role": "user"}},
    "secrets": {"seeded": SECRET, "spare": SECRET},
    # The cluster that is asked stays up.
    "maintenance": {"spare": {"notice": "New cooling until Monday."}},
}


class Gateway:
    """Runs as a child; ends with the `with` block."""

    def __init__(self, airlock):
        self.airlock = Path(airlock)
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name) / "data"

    def __enter__(self):
        environment = {**os.environ, "AIRLOCK_MASTER_KEY": "07" * 32, "AIRLOCK_METRICS": "true"}
        self.log = open(Path(self.folder.name) / "log", "w+")
        command = [self.airlock, "demo", "--listen", "127.0.0.1:0", "--pace", "0", "--data", self.data]
        self.child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=self.log, text=True)
        said = {}
        started = time.monotonic()
        for line in self.child.stdout:
            if line.strip() == "ready":
                break
            name, _, value = line.strip().partition("=")
            said[name] = value
        if self.child.poll() is not None or time.monotonic() - started > START_SECONDS:
            self.log.seek(0)
            raise SystemExit(f"FAILED: tests/openapi: airlock demo did not start:\n{self.log.read()}")
        self.url = said["url"].removesuffix("/v1")
        self.key = self.operators_key()
        self.seed()
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()
        self.folder.cleanup()

    def operators_key(self):
        scopes = ["--scope", "inference", "--scope", "read", "--scope", "write"]
        command = [self.airlock, "keys", "create", "operator", "--role", "operator", *scopes, "--data", self.data]
        key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        # The gateway follows the store.
        for _ in range(100):
            if self.ask("GET", "/v1/models", key=key)[0] == 200:
                return key
            time.sleep(0.1)
        raise SystemExit("FAILED: tests/openapi: the operator's key is not known after 10 s")

    def ask(self, method, path, body=None, key=None, media_type="application/json"):
        """Status and body."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": media_type}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def make(self, method, path, body, **further):
        status, answer = self.ask(method, f"/admin/v1{path}", body, **further)
        if status not in (200, 201):
            raise SystemExit(f"FAILED: tests/openapi: {method} {path}: {status} {answer.decode()}")
        return json.loads(answer)

    def seed(self):
        for name in ("settled", "spare"):
            self.make("POST", "/tenants", {"name": name})
        own = "/tenants/default"
        for kind, things in SEEDS.items():
            for name, fields in things.items():
                self.make("PUT", f"{own}/{kind}/{name}", fields)
        self.make("POST", f"{own}/keys", {"name": "spare"})
        components = self.airlock.parent.parent / "adaptors"
        for name, file in (("seeded", "direct-api"), ("seeded", "direct-api-wasi"), ("spare", "direct-api")):
            component = (components / f"{file}.wasm").read_bytes()
            config = "%7B%22api_url%22%3A%22https%3A%2F%2Fapi.example.com%22%7D"
            path = f"{own}/adaptors/{name}/versions?config={config}"
            made = self.make("POST", path, component, media_type="application/wasm")
        self.digest = re.split("/", made["name"])[-1]
        # Last: from now on uploads need a signature.
        for name in ("seeded", "spare"):
            self.make("PUT", f"{own}/signers/{name}", SIGNER)
