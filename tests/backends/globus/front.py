"""The service's HTTP front: paths, headers and statuses."""

import base64
import http.server
import json
import urllib.parse

from service import SUBMIT_BYTES, Refusal


class Front(http.server.BaseHTTPRequestHandler):
    """One connection. The server that it belongs to has the `service`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        try:
            status, headers, body = 200, {}, self._route()
        except Refusal as refusal:
            status, headers, body = refusal.status, refusal.headers, refusal.body
            # What was refused unread must not be taken for the next request.
            self.close_connection = True
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-type": "application/json", "content-length": len(text)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def _route(self):
        service = self.server.service
        match (self.command, self.path.strip("/").split("/")):
            case ("POST", ["v2", "oauth2", "token"]):
                return self._token()
            case ("GET", ["counts"]):
                return service.counts
        service.admit(self.headers.get("authorization", "").removeprefix("Bearer "))
        match (self.command, self.path.strip("/").split("/")):
            case ("POST", ["v3", "endpoints", endpoint, "submit"]):
                self._check_submit()
                return service.submit(endpoint, json.loads(self._body()))
            case ("POST", ["v2", "batch_status"]):
                return service.batch_status(json.loads(self._body()))
            case ("GET", ["v2", "tasks", task]):
                return service.status(task)
            case ("GET", ["v2", "endpoints", endpoint, "status"]):
                return service.endpoint_status(endpoint)
        raise Refusal(404, "Not Found")

    def _token(self):
        kind, _, encoded = self.headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            raise Refusal(401, "invalid_client")
        client, _, secret = base64.b64decode(encoded).decode().partition(":")
        form = dict(urllib.parse.parse_qsl(self._body().decode()))
        return self.server.service.token(client, secret, form)

    def _check_submit(self):
        """The service's description requires these headers of a submit, and no other call."""
        for name in ("user-agent", "content-length"):
            if not self.headers.get(name):
                raise Refusal(422, f"header {name}: field required")
        if int(self.headers["content-length"]) > SUBMIT_BYTES:
            raise Refusal(413, "TASK_PAYLOAD_TOO_LARGE")

    def _body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def log_message(self, *_):
        """Says nothing: standard error is for what goes wrong."""


def serve(service):
    """A server on a free port, to be run."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    server.service = service
    return server
