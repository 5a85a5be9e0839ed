"""A picture server that misbehaves as the path says, and the table of what to ask it."""

import contextlib
import email.utils
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa

from curation.images import fetch

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20
BIG = b"\xff\xd8\xff" + bytes(200_000)
OK = ("ok", None, 200)


class Handler(BaseHTTPRequestHandler):
    """Behaves as the first word of the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with self.server.lock:
            seen = self.server.seen[self.path] = self.server.seen.get(self.path, 0) + 1
            self.server.asked.append((self.headers["Host"], self.path))
        act, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{act}")(seen, rest)

    def _say(self, status=200, body=JPEG, **headers):
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": len(body), **named}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def _ok(self, seen, rest):
        self._say(body=JPEG + rest.encode())

    def _status(self, seen, rest):
        self._say(int(rest), b"sorry")

    def _once(self, seen, rest):
        status, _, wait = rest.partition("/")
        wait = {"date": email.utils.formatdate(time.time() + 60)}.get(wait, wait or None)
        self._say(int(status), b"later", Retry_After=wait) if seen == 1 else self._say()

    def _body(self, seen, rest):
        self._say(body={"html": b"<!doctype html><p>no", "empty": b"", "big": BIG}[rest])

    def _truncated(self, seen, rest):
        self._say(Content_Length=len(JPEG) + 50)
        self.close_connection = True

    def _cut(self, seen, rest):
        self._say(Content_Length=None, Transfer_Encoding="chunked", body=b"ff\r\n" + JPEG)
        self.close_connection = True

    def _hangup(self, seen, rest):
        self.close_connection = True

    def _endless(self, seen, rest):
        self._say(Content_Length=None)
        self.close_connection = True
        while True:
            self.wfile.write(bytes(65536))

    def _drip(self, seen, rest):
        self._say(body=JPEG[:10], Content_Length=10_000)
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.02)

    def _go(self, seen, rest):
        self._say(302, b"moved", Location="/" + rest)

    def _shy(self, seen, rest):
        self._say(302, b"moved", Location="/" + rest, X_Robots_Tag="noai")

    def _header(self, seen, rest):
        name, value = rest.split("/")
        self._say(**{name: value.replace("%20", " ")})

    def _far(self, seen, rest):
        self._say(301, b"", Location=urllib.parse.unquote(rest).replace("!", "/"))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size, daemon_threads, block_on_close = 128, True, False


def wanted(*rows):
    """A table of (address, local) to fetch, sorted by host."""
    found = [{"url": a, "address": a, "local": str(local) if local else None,
              "host": "" if local else (urllib.parse.urlsplit(a).hostname or "")} for a, local in rows]  # fmt: skip
    return pa.Table.from_pylist(
        sorted(found, key=lambda r: (r["host"], r["url"])), schema=fetch.WANTED
    )


def outcome(row):
    return row["status"], row["error"], row["http_status"]
