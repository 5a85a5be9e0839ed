"""Serves the pictures of a planned world on a loopback port, with the manners of real servers.

Pictures are drawn when they are asked for. The Host header names the provider; behaviours that
change with the number of requests count them per running server.
"""

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from curation.sample.planning import World
from curation.sample.shot import MEDIA_TYPES, Reply, Shot, broken, render

SLOW_S = 0.3
CLOSED_HOST = "closed.invalid"
_HTML = b"<!doctype html><title>Sign in</title><p>Please sign in to see this picture.</p>"
_STATUS = {"http_404": 404, "http_410": 410, "http_403": 403, "http_500": 500}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: "_Server"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer one request as the plan says."""
        host = self.headers.get("Host", "").partition(":")[0]
        key = f"{host}{self.path}"
        reply = self.server.replies.get(key)
        if host == CLOSED_HOST:
            return self._send(403, b"closed")
        if reply is None:
            return self._send(404, b"not found")
        count = self.server.count(key)
        behaviour = reply.behaviour
        if behaviour in _STATUS:
            return self._send(_STATUS[behaviour], behaviour.encode())
        if behaviour == "rate_limited" and count <= 2:
            return self._send(429, b"slow down", {"Retry-After": str(count - 1)})
        if behaviour == "flaky" and count == 1:
            return self._send(503, b"come back", {"Retry-After": "0"})
        if behaviour == "redirect":
            return self._send(302, b"", {"Location": reply.target})
        if behaviour == "redirect_loop":
            return self._send(302, b"", {"Location": f"http://{key}"})
        return self._picture(reply)

    def _picture(self, reply: Reply) -> None:
        assert reply.shot is not None
        behaviour = reply.behaviour
        if behaviour == "html":
            return self._send(200, _HTML, {"Content-Type": "text/html"})
        if behaviour == "empty":
            return self._send(200, b"")
        if behaviour == "too_large":
            return self._send(200, b"\xff\xd8\xff\xe0", claimed=10**9)
        data = broken(self.server.bytes_of(reply.shot), behaviour)
        headers = {"Content-Type": MEDIA_TYPES.get(reply.shot.form, "image/jpeg")}
        if behaviour == "slow":
            time.sleep(SLOW_S)
        if behaviour == "noai":
            headers["X-Robots-Tag"] = "noai, noimageai"
        if behaviour == "gzip":
            data = gzip.compress(data, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if behaviour == "truncated_body":
            return self._send(200, data[: len(data) // 2], headers, claimed=len(data))
        return self._send(200, data, headers)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        claimed: int | None = None,
    ) -> None:
        """Send an answer; one that claims another length than it has ends the connection."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        if claimed is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, replies: dict[str, Reply], bytes_of: Callable[[Shot], bytes]) -> None:
        self.replies, self.bytes_of = replies, bytes_of
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def count(self, key: str) -> int:
        """Count a request of an address; 1 for the first."""
        with self._lock:
            self._counts[key] += 1
            return self._counts[key]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that hang up."""


@contextmanager
def serve(world: World) -> Iterator[str]:
    """Serve the pictures of a world while the context lasts; yield "127.0.0.1:PORT"."""
    looks = world.looks

    @lru_cache(maxsize=64)
    def bytes_of(shot: Shot) -> bytes:
        return render(shot, looks)

    server = _Server(world.replies, bytes_of)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
