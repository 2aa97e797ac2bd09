"""What a reader has and the tests do not: a model server, a status page, Globus Compute, a registry.

| `<!-- test: with … -->` | |
|---|---|
| `model-server PORT {"models": […], "key": "…"}` | speaks OpenAI's chats, lists its models, and is well at `/health`. It answers with what it was asked |
| `page PORT {"/path": …}` | JSON documents by path |
| `globus PORT {…}` | Globus Compute of tests/backends, with a model server for its functions |
| `batches PORT {}` | a service of batches, which is done with each when it is asked a second time |
| `registry PORT {}` | an OCI registry |

Each is at the guide's own address. A part gives what it wants replaced in the text beside.
"""

import http.server
import json
import os
import pathlib
import secrets
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "backends"))

from parts import Part  # noqa: E402


class Server:
    """An HTTP server of this process."""

    def __init__(self, address, handler, **facts):
        self._server = http.server.ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        self._server.facts = facts
        self.port = self._server.server_port
        self.replacements = []
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind="application/json"):
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")

    def log_message(self, *_):
        """Says nothing."""


class _Page(_Handler):
    def do_GET(self):
        document = self.server.facts["at"].get(self.path)
        self.answer(404 if document is None else 200, document)


class _Batches(_Handler):
    """`POST /batches` with `{"id", "input"}`, then `GET /batches/ID`."""

    def do_POST(self):
        order = self.body()
        self.server.facts[order["id"]] = order["input"]
        self.answer(200, {"id": order["id"], "state": "pending"})

    def do_GET(self):
        id = self.path.rpartition("/")[2]
        asked = self.server.facts.setdefault("asked", set())
        state = {"state": "done", "result": f"answers to {self.server.facts[id]}"} if id in asked else {"state": "running"}
        asked.add(id)
        self.answer(200, {"id": id, **state})


class _Models(_Handler):
    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {})
        if not self._is_known():
            return None
        models = [{"id": model, "object": "model"} for model in self.server.facts["models"]]
        return self.answer(200, {"object": "list", "data": models})

    def do_POST(self):
        asked = self.body()
        if not self._is_known():
            return
        if asked["model"] not in self.server.facts["models"]:
            return self.answer(404, {"error": {"message": f"no model {asked['model']}", "code": "model_not_found"}})
        words = ["You", " said:", " " + asked["messages"][-1]["content"]]
        usage = {"prompt_tokens": 1, "completion_tokens": len(words), "total_tokens": 1 + len(words)}
        head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        if asked.get("stream"):
            return self.answer(200, _events(head, words, usage), "text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", "content": "".join(words)}, "finish_reason": "stop"}
        self.answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def _is_known(self):
        """Whether the request shows the key, where there is one."""
        key = self.server.facts.get("key")
        if key is None or self.headers.get("authorization") == f"Bearer {key}":
            return True
        self.answer(401, {"error": {"message": "wrong key", "code": "invalid_api_key"}})
        return False


def _events(head, words, usage):
    """A streamed chat, word by word."""
    chunks = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words]
    chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    said = [{**head, "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
    said.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in said) + b"data: [DONE]\n\n"


class Globus:
    """Globus Compute, and a model server that its functions call. The guide's UUIDs become those that it has."""

    def __init__(self, address, folder, facts):
        key = secrets.token_urlsafe(8)
        # The functions look for it on their own node, as on a real one.
        self._models = Server(("127.0.0.1", 0), _Models, models=facts["models"], key=key)
        queue = folder / "queue.json"
        queue.write_text(json.dumps(facts["queue"]))
        self._front = Part(
            "globus",
            [os.environ["GLOBUS_PYTHON"], HERE.parent / "backends/globus/main.py"],
            folder,
            {
                "OPENAI_BASE_URL": f"http://127.0.0.1:{self._models.port}/v1",
                "OPENAI_API_KEY": key,
                "QUEUE_FILE": str(queue),
                "INTERNAL_STREAMING_SECRET": facts["secret"],
            },
        )
        told = self._front.json()
        service = f'"api_url": "{told["url"]}", "token_url": "{told["url"]}/v2/oauth2/token"'
        self.replacements = [
            ('"config": {', f'"config": {{ {service},'),
            ('"api_port": 8000', f'"api_port": {self._models.port}'),
            *((word, told["endpoint"]) for word in facts["endpoints"]),
            *((word, told["functions"][name]) for word, name in facts["functions"].items()),
            *zip(facts["client"], told["client"]),
        ]

    def stop(self):
        self._front.stop()
        self._models.stop()


class Registry:
    """Debian's build of the reference registry."""

    def __init__(self, address, folder, _facts):
        config = folder / "registry.yml"
        storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
        settings = {"version": "0.1", "http": {"addr": "%s:%d" % address}, "storage": storage}
        config.write_text(json.dumps(settings))  # JSON is YAML
        with open(folder / "registry.log", "wb") as log:
            self._server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        self.replacements = []

    def stop(self):
        self._server.kill()
        self._server.wait()


def start(words, host, folder):
    """Starts a part. A guide that orders one that is not there is a mistake: ValueError, with what is wrong."""
    name, port, facts = words[0], int(words[1]), json.loads(words[2] if len(words) > 2 else "{}")
    address = (host, port)
    match name:
        case "model-server":
            return Server(address, _Models, **facts)
        case "page":
            return Server(address, _Page, at=facts)
        case "batches":
            return Server(address, _Batches)
        case "globus":
            return Globus(address, folder, facts)
        case "registry":
            return Registry(address, folder, facts)
    raise ValueError(f"there is no part `{name}`")
