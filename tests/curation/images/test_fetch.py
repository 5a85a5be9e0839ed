"""Every address has an outcome, whatever the server does; and what is not public is not asked."""

import contextlib
import email.utils
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from catalog import schema
from curation.images import fetch
from curation.store import Blobs

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20
BIG = b"\xff\xd8\xff" + bytes(200_000)


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

    def _header(self, seen, rest):
        name, value = rest.split("/")
        self._say(**{name: value.replace("%20", " ")})

    def _far(self, seen, rest):
        self._say(301, b"", Location=urllib.parse.unquote(rest).replace("!", "/"))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size, daemon_threads, block_on_close = 128, True, False


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Handler) as made:
        made.lock, made.seen, made.asked = threading.Lock(), {}, []
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    """Fetch paths of the server (or addresses, or files); rows by address, and the waits."""
    server.seen.clear()
    server.asked.clear()

    def run(*addresses, local=None, **limits):
        waits = []
        how = {"n_threads": 4, "per_host": 4, "timeout_s": 5, "max_seconds": 5, "max_bytes": 100_000,
               "tries": 3, "backoff_s": 1.0, **limits}  # fmt: skip
        place = {"*.invalid": f"127.0.0.1:{server.server_port}"}
        fetcher = fetch.Fetcher(Blobs(tmp_path / "blob"), fetch.Limits(**how), place, waits.append)
        full = [f"http://a.invalid{a}" if a.startswith("/") and not local else a for a in addresses]
        wanted = [fetch.Wanted(a, a, local) for a in full]
        found = {row["url"]: row for row in fetcher.fetch(wanted)}
        assert sorted(found) == sorted(set(full)), "every address has its row"
        return [found[a] for a in full], waits

    return run


def outcome(row):
    return row["status"], row["error"], row["http_status"]


OK = ("ok", None, 200)


def test_a_picture_is_kept_by_its_md5_with_its_media_type_and_size(get, tmp_path):
    (row,), waits = get("/ok/1")
    assert outcome(row) == OK
    assert (row["media_type"], row["n_bytes"]) == ("image/jpeg", len(JPEG) + 1)
    assert Blobs(tmp_path / "blob").get(row["md5"]) == JPEG + b"1"
    assert not waits
    assert fetch.table([row]).schema.equals(schema.FETCH.schema)


@pytest.mark.parametrize(
    ("path", "expected", "n_asked", "waits"),
    [
        ("/status/404", ("gone", "http_404", 404), 1, []),
        ("/status/403", ("gone", "http_403", 403), 1, []),
        ("/status/410", ("gone", "http_410", 410), 1, []),
        ("/status/500", ("transient", "http_500", 500), 3, [1, 2]),
        ("/status/520", ("transient", "http_520", 520), 3, [1, 2]),
        ("/once/503", OK, 2, [1]),
        ("/once/429/7", OK, 2, [7]),
        ("/once/429/99999", OK, 2, [120]),
        ("/once/429/soon", OK, 2, [1]),
        ("/once/404/soon", ("gone", "http_404", 404), 1, []),
        ("/truncated", ("transient", "truncated_body", 200), 3, [1, 2]),
        ("/cut", ("transient", "truncated_body", 200), 3, [1, 2]),
        ("/hangup", ("transient", "connection_failed", None), 3, [1, 2]),
        ("/body/html", ("gone", "not_an_image", 200), 1, []),
        ("/body/empty", ("gone", "empty_body", 200), 1, []),
        ("/body/big", ("gone", "too_large", 200), 1, []),
        ("/endless", ("gone", "too_large", 200), 1, []),
        ("/header/Content-Encoding/gzip", ("gone", "content_encoding", 200), 1, []),
        ("/header/X-Robots-Tag/noindex,%20NoAI", ("gone", "opted_out", 200), 1, []),
        ("/header/X-Robots-Tag/bot:%20noimageai", ("gone", "opted_out", 200), 1, []),
        ("/header/X-Robots-Tag/noindex", OK, 1, []),
        ("/go/ok/2", OK, 1, []),
        ("/go/go/go/ok/3", OK, 1, []),
        ("/go/go/go/go/ok/4", ("gone", "too_many_redirects", None), 1, []),
        ("/far/ftp:!!a.invalid!x.jpg", ("gone", "not_a_web_address", None), 1, []),
        ("/far/file:!!!etc!passwd", ("gone", "not_a_web_address", None), 1, []),
        ("/far/http:!!10.0.0.1!x.jpg", ("gone", "private_address", None), 1, []),
        ("/far/http:!!127.0.0.1!x.jpg", ("gone", "private_address", None), 1, []),
        ("/far/http:!!me:pw@a.invalid!ok", ("gone", "credentials_in_address", None), 1, []),
        ("/far/http:!!%5B", ("gone", "bad_address", None), 1, []),
        ("/far/http:!!b.invalid!ok!9", OK, 1, []),
    ],
)  # fmt: skip
def test_what_a_server_does_is_an_outcome(get, server, path, expected, n_asked, waits):
    (row,), waited = get(path)
    assert outcome(row) == expected
    assert (server.seen[path], waited) == (n_asked, waits)
    assert (row["md5"] is None) == (expected != OK)


def test_a_retry_after_date_is_waited_for(get):
    (row,), (wait,) = get("/once/503/date")
    assert outcome(row) == OK
    assert 50 < wait <= 60


def test_a_body_that_drips_is_left_after_its_time(get):
    started = time.monotonic()
    (row,), _ = get("/drip", tries=1, max_seconds=0.2)
    assert outcome(row) == ("transient", "too_slow", 200)
    assert time.monotonic() - started < 1.5


def test_a_server_that_says_nothing_times_out(get):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fetched = fetch.Fetcher(
            Blobs(None), fetch.Limits(1, 1, 0.1, 1, 10, 1, 0),
            {"s.invalid": f"127.0.0.1:{silent.getsockname()[1]}"},
        ).fetch([fetch.Wanted("u", "http://s.invalid/")])  # fmt: skip
        assert [outcome(row) for row in fetched] == [("transient", "timeout", None)]


def test_many_more_pictures_than_threads_with_every_failure_among_them_come_to_an_end(get):
    kinds = (
        "/ok",
        "/status/404",
        "/truncated",
        "/once/503",
        "/body/big",
        "/ok",
        "/go/status/403",
        "/hangup",
    )
    asked = [f"{kind}?{i}" for i in range(40) for kind in kinds]
    done = []
    worker = threading.Thread(
        target=lambda: done.extend(get(*asked, n_threads=8, per_host=2, tries=2)[0]), daemon=True
    )
    worker.start()
    worker.join(20)
    assert not worker.is_alive(), "the fetch has locked up"
    assert len(done) == len(asked)


def test_equal_pictures_at_many_addresses_are_all_kept(get, tmp_path):
    rows, _ = get(*(f"/once/503/0?{i}" for i in range(60)), n_threads=16, per_host=16)
    assert {outcome(row) for row in rows} == {OK}
    assert [p.name for p in (tmp_path / "blob").rglob("*") if p.is_file()] == [rows[0]["md5"]]


def test_proxies_of_the_environment_are_not_used_for_mapped_hosts(get, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [outcome(row) for row in get("/ok/5")[0]] == [OK]
