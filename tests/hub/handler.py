"""Requests to endpoints."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

from tests.hub.answers import Answer
from tests.hub.files import Files
from tests.hub.repositories import Repositories
from tests.hub.uploads import Uploads


class Handler(Repositories, Files, Uploads, BaseHTTPRequestHandler):
    """Reads a request, lets a fault have it, or finds its endpoint."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self):
        parsed = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(parsed.query)
        with self.server.lock:
            self.server.asked.append((self.command, self.path))
        data = self._body()
        fault = self.server.fault_of(self.command, self.path)
        if fault is not None:
            time.sleep(fault.wait_s)
            if fault.status == 0:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            if fault.status != 200:
                self._say(Answer(fault.status, {"error": "on purpose"}, Retry_After=0))
                return
        try:
            answer = self._route(parsed.path, data)
        except Answer as said:
            answer = said
        self._say(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, answer):
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **answer.headers,
        }
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def _route(self, path, data):
        for method, pattern, work in ROUTES:
            asked = "GET" if self.command == "HEAD" else self.command
            if method == asked and (found := re.fullmatch(pattern, path)):
                parts = {k: urllib.parse.unquote(v) for k, v in found.groupdict().items() if v}
                return getattr(self, work)(data, **parts)
        raise Answer(404, {"error": f"no such endpoint: {self.command} {path}"})

    def log_message(self, *_):
        pass


_API = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"
_REV = r"/(?P<rev>[^/]+)"
_FILE = r"/(?:datasets/|spaces/)?(?P<repo>[^/]+/[^/]+)"
ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("PUT", r"/api/(?:models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)/settings", "settings"),
    ("GET", _API, "info"),
    ("GET", _API + "/revision" + _REV, "info"),
    ("GET", _API + "/refs", "refs"),
    ("GET", _API + "/commits" + _REV, "commits"),
    ("POST", _API + "/tag" + _REV, "add_tag"),
    ("DELETE", _API + "/tag" + _REV, "drop_tag"),
    ("POST", _API + "/branch" + _REV, "add_branch"),
    ("GET", _API + "/tree" + _REV + r"(?:/(?P<path>.*))?", "tree"),
    ("POST", _API + "/paths-info" + _REV, "paths_info"),
    ("POST", _API + "/preupload" + _REV, "preupload"),
    ("POST", _API + "/commit" + _REV, "commit"),
    ("GET", _API + r"/xet-(?P<mode>read|write)-token" + _REV, "xet_token"),
    ("POST", _FILE + r"\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/upload/(?P<oid>[0-9a-f]{64})(?:/(?P<part>\d+))?", "put_object"),
    ("POST", r"/upload/(?P<oid>[0-9a-f]{64})", "complete"),
    ("POST", r"/verify", "verify"),
    ("GET", _FILE + "/resolve" + _REV + r"/(?P<path>.+)", "resolve"),
)
