"""A proxy before the gateway, where one with TLS would stand: what functions on compute nodes post goes through it.

The gateway is told its address at start, when it has no port of its own yet.
"""

import collections
import http.client
import http.server
import threading


class Proxy:
    """A server on a free port. `target` is the gateway's host and port; `posts` counts by path."""

    def __init__(self):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forward)
        self._server.daemon_threads = True
        self._server.proxy = self
        self.target = None
        self.posts = collections.Counter()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        proxy = self.server.proxy
        proxy.posts[self.path] += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        connection = http.client.HTTPConnection(proxy.target, timeout=10)
        connection.request("POST", self.path, body, dict(self.headers))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Says nothing."""
