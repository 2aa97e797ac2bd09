"""Globus Auth and the Compute service as a client meets them, without HTTP: who may, how often, and what became of it."""

import collections
import secrets
import threading
import time
import uuid

from engine import outcome

SCOPE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
# The documented limits: so many requests of a client in so many seconds, so many bytes in a submit.
REQUESTS, SECONDS = 20, 10
SUBMIT_BYTES = 10_000_000


class Refusal(Exception):
    """An answer that is an error, with its status."""

    def __init__(self, status, reason, **headers):
        super().__init__(reason)
        self.status = status
        self.body = {"status": "Failed", "http_status_code": status, "reason": reason, "detail": reason}
        self.headers = {name.replace("_", "-"): str(value) for name, value in headers.items()}


class Service:
    """The service. `clients` are secrets by id, `endpoints` run tasks, `functions` are packed code by UUID."""

    def __init__(self, clients, endpoints, functions):
        self._clients = clients
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._functions = functions
        self._tokens = {}
        self._tasks = {}
        self._requests = collections.defaultdict(collections.deque)
        self._lock = threading.Lock()
        self.counts = dict.fromkeys(("submit", "task", "ended", "pickled", "refused"), 0)

    def _count(self, what):
        with self._lock:
            self.counts[what] += 1

    def token(self, client, secret, form):
        """OAuth 2's client credentials."""
        if self._clients.get(client) is None or self._clients[client] != secret:
            raise Refusal(401, "invalid_client")
        if form.get("grant_type") != "client_credentials" or form.get("scope") != SCOPE:
            raise Refusal(400, "invalid_scope")
        token = secrets.token_urlsafe(32)
        self._tokens[token] = client
        return {
            "access_token": token,
            "scope": SCOPE,
            "expires_in": 172_800,
            "token_type": "Bearer",
            "resource_server": "funcx_service",
            "other_tokens": [],
        }

    def admit(self, token):
        """Lets a request pass that has a token and is within its client's limit."""
        client = self._tokens.get(token)
        if client is None:
            raise Refusal(401, "the token is not known")
        with self._lock:
            now, recent = time.monotonic(), self._requests[client]
            while recent and now - recent[0] >= SECONDS:
                recent.popleft()
            if len(recent) >= REQUESTS:
                self.counts["refused"] += 1
                raise Refusal(429, "too many requests", retry_after=int(SECONDS - (now - recent[0])) + 1)
            recent.append(now)

    def submit(self, endpoint, order):
        """Starts tasks: function UUIDs with packed arguments each."""
        if endpoint not in self._endpoints:
            raise Refusal(404, f"endpoint {endpoint} is not known")
        self._count("submit")
        ids = {}
        for function, payloads in order["tasks"].items():
            if function not in self._functions:
                raise Refusal(404, f"function {function} is not known")
            serializers = order.get("result_serializers")
            ids[function] = [self._start(endpoint, function, payload, serializers) for payload in payloads]
        return {
            "request_id": str(uuid.uuid4()),
            "task_group_id": str(uuid.uuid4()),
            "endpoint_id": endpoint,
            "tasks": ids,
        }

    def _start(self, endpoint, function, payload, serializers):
        task = str(uuid.uuid4())
        code = self._functions[function]
        future = self._endpoints[endpoint].submit(task, code, payload, serializers)
        self._count("task")
        self._tasks[task] = future
        future.add_done_callback(lambda _: self._count("ended"))
        return task

    def status(self, task):
        """Where a task stands. An end is told once, and then forgotten."""
        with self._lock:
            future = self._tasks.get(task)
            if future is None:
                return {"task_id": task, "status": "Failed", "reason": "Unknown task id"}
            if not future.done():
                return {"task_id": task, "status": "waiting-for-ep"}
            del self._tasks[task]
        ended = outcome(future)
        if ended.get("result", "").startswith("00"):
            self._count("pickled")
        return {"task_id": task, "completion_t": str(time.time()), **ended}

    def batch_status(self, question):
        """The same for many."""
        return {"response": "batch", "results": {task: self.status(task) for task in question["task_ids"]}}

    def endpoint_status(self, endpoint):
        """Whether an endpoint is connected. Any that is not known here is offline."""
        found = self._endpoints.get(endpoint)
        if found is None:
            return {"status": "offline"}
        return {"status": "online", "details": {"managers": 1, "total_workers": found.workers}}
