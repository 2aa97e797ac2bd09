"""A backend that has every answer ready, and a gateway before it: what the demo's model server does not offer. Prints `url=`,
`key=`, `reader=` (a key that may not use models) and `ready`, and runs until it is told to end.

The model says what comes: `plain` answers, `cut` breaks its streams off before their last event, `busy` refuses,
`fails-STATUS` refuses with that status, `filtered` stops what it says, `silent` never answers. `bare` is a model of a cluster
that offers chats alone.
"""

import http.server
import json
import pathlib
import secrets
import signal
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "backends"))

import sound  # noqa: E402
from parts import Part  # noqa: E402

BACKEND_KEY = secrets.token_urlsafe(16)
OPERATIONS = ["responses", "messages", "messages/count_tokens", "moderations", "rerank", "images/generations"]
OPERATIONS += ["chat/completions", "completions", "embeddings"]
# What is passed on of a backend's refusals, and 401, which is not.
STATUSES = [400, 401, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]
MODELS = ["plain", "cut", "busy", "filtered", "silent", *(f"fails-{status}" for status in STATUSES)]
TEXT = ["Hello", " from", " the script"]


def part(kind, text, **more):
    return {"type": kind, "text": text, **more}


def response(model, status, output):
    usage = {
        "input_tokens": 3, "output_tokens": 4, "total_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": model, "status": status, "output": output,
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "tools": [],
        "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto",
        "usage": usage if status == "completed" else None,
    }


def output(status, *content):
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": list(content)}


def whole_response(model):
    done = part("output_text", "".join(TEXT), annotations=[])
    return response(model, "completed", [output("completed", done)])


def response_events(model):
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    done = part("output_text", "".join(TEXT), annotations=[])
    events = [
        {"type": "response.created", "response": response(model, "in_progress", [])},
        {"type": "response.in_progress", "response": response(model, "in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": output("in_progress")},
        {"type": "response.content_part.added", **place, "part": part("output_text", "", annotations=[])},
        *({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []} for text in TEXT),
        {"type": "response.output_text.done", **place, "text": "".join(TEXT), "logprobs": []},
        {"type": "response.content_part.done", **place, "part": done},
        {"type": "response.output_item.done", "output_index": 0, "item": output("completed", done)},
        {"type": "response.completed", "response": whole_response(model)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def message(model, content, stop_reason, output_tokens):
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason, "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": output_tokens},
    }


def message_events(model):
    delta = {"type": "content_block_delta", "index": 0}
    return [
        {"type": "message_start", "message": message(model, [], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": part("text", "")},
        {"type": "ping"},
        *({**delta, "delta": part("text_delta", text)} for text in TEXT),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
        {"type": "message_stop"},
    ]


def moderation(model):
    category = {"categories": {"violence": True}, "category_scores": {"violence": 0.9}}
    return {"id": "modr_1", "model": model, "results": [{"flagged": True, **category}]}


def chat(model):
    says = {"role": "assistant", "content": "{}", "refusal": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    reason = "content_filter" if model == "filtered" else "stop"
    choice = {"index": 0, "message": says, "logprobs": None, "finish_reason": reason}
    return {"id": "c_1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}


def image_events(model):
    picture = {"b64_json": "aGVsbG8=", "created_at": 1, "size": "1024x1024", "quality": "low"}
    picture |= {"background": "opaque", "output_format": "png"}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    return [
        {"type": "image_generation.partial_image", "partial_image_index": 0, **picture},
        {"type": "image_generation.completed", "usage": usage, **picture},
    ]


ANSWERS = {
    "/v1/chat/completions": chat,
    "/v1/responses": whole_response,
    "/v1/messages": lambda model: message(model, [part("text", "".join(TEXT))], "end_turn", 4),
    "/v1/messages/count_tokens": lambda model: {"input_tokens": 12},
    "/v1/moderations": moderation,
    "/v1/rerank": lambda model: {"model": model, "results": [{"index": 1, "relevance_score": 0.9}]},
    "/v1/images/generations": lambda model: {"created": 1, "data": [{"b64_json": "aGVsbG8="}]},
}
STREAMS = {
    "/v1/responses": response_events,
    "/v1/messages": message_events,
    "/v1/images/generations": image_events,
}


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers by path and model."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        if self.headers["x-api-key"] != BACKEND_KEY:
            return self.refuse(401, "authentication_error", "the gateway's own key is missing")
        if self.path in sound.PATHS:
            return sound.answer(self)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "/messages" in self.path and not self.headers["anthropic-version"]:
            return self.refuse(400, "invalid_request_error", "anthropic-version: header is required")
        kind, _, status = body["model"].partition("-")
        if kind == "fails":
            return self.refuse(int(status), "invalid_request_error", f"the script says {status}")
        if kind == "silent":
            # Until the gateway hangs up.
            return self.rfile.read(1)
        if kind == "busy":
            is_anthropic = "/messages" in self.path
            return self.refuse(529 if is_anthropic else 429, "overloaded_error", "come back later")
        if body.get("stream"):
            events = STREAMS[self.path](body["model"])
            return self.stream(events[:-1] if body["model"] == "cut" else events)
        return self.answer(200, ANSWERS[self.path](body["model"]))

    def refuse(self, status, kind, text):
        self.answer(status, {"type": "error", "error": {"type": kind, "message": text}})

    def answer(self, status, body):
        self.send("application/json", json.dumps(body).encode(), status)

    def stream(self, events):
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self.send("text/event-stream", text.encode(), 200)

    def send(self, kind, body, status, missing=0):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) + missing))
        if status >= 400:
            # So that clients that try again do so at once.
            self.send_header("retry-after-ms", "100")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = missing > 0


def write_fixtures(folder, url):
    def entry(kind, **fields):
        return {"model": f"resource_server_async.{kind}", "pk": 1, "fields": fields}

    def cluster(name, operations):
        return entry(
            "cluster", cluster_name=name, cluster_adapter="static-cluster", frameworks=["api"],
            openai_endpoints=operations, config={},
        )

    def endpoint(name, model):
        config = {"api_url": url, "api_key_env_name": "BACKEND_KEY", "api_key_header": "x-api-key"}
        return entry(
            "endpoint", cluster=name, framework="api", model=model, endpoint_adapter="direct-api", config=config
        )

    folder.mkdir()
    clusters = [cluster("scripted", OPERATIONS + sound.OPERATIONS), cluster("bare", ["chat/completions"])]
    endpoints = [endpoint("scripted", model) for model in MODELS] + [endpoint("bare", "bare")]
    for name, entries in [("clusters", clusters), ("endpoints", endpoints)]:
        (folder / f"{name}.json").write_text(json.dumps(entries))


def create_key(airlock, data, name, scope):
    create = [airlock, "keys", "create", name, "--scope", scope, "--data", data]
    return subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()


def main():
    airlock, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    write_fixtures(folder / "fixtures", f"http://127.0.0.1:{server.server_port}/v1")
    data = folder / "data"
    key, reader = create_key(airlock, data, "user", "inference"), create_key(airlock, data, "reader", "read")
    serve = ["serve", "--fixtures", folder / "fixtures", "--listen", "127.0.0.1:0", "--data", data]
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    gateway = Part("gateway", [airlock, *serve], folder, {"BACKEND_KEY": BACKEND_KEY})
    try:
        print(f"{gateway.line()}\nkey={key}\nreader={reader}\n{gateway.line()}", flush=True)
        while not told.wait(0.2):
            pass
    finally:
        status = gateway.stop()
        if status != 0:
            print(gateway.log(), file=sys.stderr)
    sys.exit(status or 0)


main()
