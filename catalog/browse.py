"""Look through a dataset in a browser, on this machine.

    python -m catalog.browse treeoflife-data/datasets/sample
    python -m catalog.browse ORG/NAME              a dataset of the Hub; ORG/NAME@v1 one of its releases

Read-only, bound to this machine's own address; the page loads nothing from elsewhere. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from catalog import terminal

if TYPE_CHECKING:
    from catalog.shelf import Shelf

HOST, PORT = "127.0.0.1", 8421
N_KEPT = 256  # answers, the largest a few hundred kB
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip

Said = Mapping[str, str]


def answers(shelf: Shelf) -> dict[str, Callable[[Said], Any]]:
    """What may be asked under /api/, by name; each takes the query of the address."""
    from catalog import questions, record

    def path(said: Said) -> dict[str, str]:
        return {level: said[f"in_{level}"] for level in questions.LEVELS if said.get(f"in_{level}")}

    return {
        "overview": lambda _: record.overview(shelf),
        "children": lambda said: questions.children(shelf, path(said)),
        "taxon": lambda said: questions.taxon(shelf, path(said)),
        "pictures": lambda said: questions.pictures(shelf, path(said), said, said.get("after", "")),
        "count": lambda said: questions.count(shelf, path(said), said),
        "places": lambda said: questions.places(shelf, path(said), said),
        "search": lambda said: questions.search(shelf, said.get("text", "")),
        "record": lambda said: record.record(shelf, said.get("uuid", "")),
        "rejects": lambda said: record.rejects(shelf, said, said.get("after", "")),
        "statistics": lambda _: record.statistics(shelf),
    }


def page() -> dict[str, tuple[bytes, str]]:
    """The files of the page, by address, with their media types."""
    found = {f"/{file.name}": (file.read_bytes(), MEDIA_TYPES[Path(file.name).suffix])
             for file in (resources.files("catalog") / "page").iterdir()}  # fmt: skip
    return found | {"/": found["/index.html"]}


class Server(ThreadingHTTPServer):
    """The page and what it asks, on this machine alone. OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, shelf: Shelf, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.shelf, self.files, asked = shelf, page(), answers(shelf)
        self.names = frozenset(asked)

        @lru_cache(maxsize=N_KEPT)  # a dataset does not change while it is open
        def answer(name: str, said: tuple[tuple[str, str], ...]) -> bytes:
            return _json(asked[name](dict(said)))

        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "treeoflife"
    sys_version = ""
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        """Every answer there is; anything else is 404, and other methods are 501."""
        from catalog.shelf import Unreadable

        if not self._is_local():
            said = b"this page answers its own machine alone"
            self._send(HTTPStatus.FORBIDDEN, said, "text/plain")
            return
        try:
            self._answer()
        except LookupError as error:
            self._fail(HTTPStatus.NOT_FOUND, str(error))
        except ValueError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
        except Unreadable as error:  # the next question may be answered again
            terminal.error(f"{self.path}: {error}")
            why = "the dataset could not be read; the terminal says why"
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    def _answer(self) -> None:
        url, there = urlsplit(self.path), self.server
        said = tuple(sorted(parse_qsl(url.query, max_num_fields=60)))
        kind, _, name = url.path.lstrip("/").partition("/")
        if url.path == "/favicon.ico":
            self._send(HTTPStatus.NO_CONTENT, b"", "image/x-icon")
        elif url.path in there.files:
            self._send(HTTPStatus.OK, *there.files[url.path])
        elif kind == "api" and name in there.names:
            self._send(HTTPStatus.OK, there.answer(name, said), "application/json")
        elif kind == "thumbnail":
            self._send(HTTPStatus.OK, there.shelf.thumbnail(name), "image/jpeg", keep=True)
        elif kind == "picture":
            self._send(HTTPStatus.OK, there.shelf.picture(name), "image/jpeg", keep=True)
        else:
            raise LookupError("there is nothing here")

    def _is_local(self) -> bool:
        """Whether the page was asked for by this machine's own name: no other site may lead here."""
        host = (self.headers.get("Host") or "").rpartition(":")
        return host[0] in (HOST, "localhost") and host[2] == str(self.server.server_port)

    def _fail(self, status: HTTPStatus, why: str) -> None:
        self._send(status, _json({"error": why}), "application/json")

    def _send(
        self, status: HTTPStatus, body: bytes, media_type: str, *, keep: bool = False
    ) -> None:
        self.send_response(status)
        is_text = "image" not in media_type
        self.send_header("Content-Type", media_type + ("; charset=utf-8" if is_text else ""))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "private, max-age=3600" if keep else "no-store")
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Until the browser hangs up, which it may do at any time."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: what was looked at is nobody's business."""


def _json(value: Any) -> bytes:
    return json.dumps(value, default=str, allow_nan=False).encode()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = _parser().parse_args(argv)
    from catalog.shelf import Shelf

    try:
        shelf = Shelf(args.place, threads=os.cpu_count() or 2)
        there = Server(shelf, args.port)
    except ValueError as error:
        terminal.error(error)
        return 2
    except (OSError, OverflowError) as error:
        terminal.error(f"port {args.port} cannot be had ({error}); choose another with --port")
        return 2
    terminal.tell(
        f"{terminal.line(shelf.title)}, release {terminal.line(shelf.release)}\n\nopen  http://{HOST}:{there.server_port}/\nstop  Ctrl-C"
    )
    try:
        there.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        there.server_close()
        shelf.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m catalog.browse", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)  # fmt: skip
    parser.add_argument(
        "place",
        metavar="PATH_OR_REPO",
        help="a folder under <root>/datasets/, or ORG/NAME[@REVISION]",
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"where to listen (default {PORT}; 0: any free one)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
