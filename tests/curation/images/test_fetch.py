"""Every address has an outcome, whatever the server does; and what is not public is not asked."""

import contextlib
import email.utils
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest

from catalog import schema
from curation.images import fetch
from curation.images.hosts import Host
from curation.store import Packs

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


def wanted(*rows):
    """A table of (address, local) to fetch, sorted by host."""
    found = [{"url": a, "address": a, "local": str(local) if local else None,
              "host": "" if local else (urllib.parse.urlsplit(a).hostname or "")} for a, local in rows]  # fmt: skip
    return pa.Table.from_pylist(
        sorted(found, key=lambda r: (r["host"], r["url"])), schema=fetch.WANTED
    )


@pytest.fixture
def get(server, tmp_path):
    """Fetch paths of the server (or addresses, or files); rows by address."""
    server.seen.clear()
    server.asked.clear()

    def run(*addresses, local=None, **limits):
        how = {"n_connections": 4, "per_host": 4, "timeout_s": 5, "max_seconds": 5, "max_bytes": 100_000,
               "tries": 3, "backoff_s": 0.01, **limits}  # fmt: skip
        place = {"*.invalid": f"127.0.0.1:{server.server_port}"}
        fetcher = fetch.Fetcher(tmp_path / "fetched", fetch.Limits(**how), place, part_rows=64)
        full = [f"http://a.invalid{a}" if a.startswith("/") and not local else a for a in addresses]
        parts = list(fetcher.fetch(wanted(*((a, local) for a in full))))
        rows = [row for part in parts for row in part.to_pylist()]
        found = {row["url"]: row for row in rows}
        assert len(rows) == len(set(full)) and sorted(found) == sorted(set(full)), (
            "one row an address"
        )
        return [found[a] for a in full]

    return run


def outcome(row):
    return row["status"], row["error"], row["http_status"]


OK = ("ok", None, 200)


def test_a_picture_is_kept_by_its_md5_with_its_media_type_and_size(get, tmp_path):
    (row,) = get("/ok/1")
    assert outcome(row) == OK
    assert (row["media_type"], row["n_bytes"], row["host"]) == (
        "image/jpeg",
        len(JPEG) + 1,
        "a.invalid",
    )
    packs = Packs(tmp_path / "fetched")
    assert packs.get(row["pack"], row["offset"], row["n_bytes"]) == JPEG + b"1"
    assert set(schema.FETCH.columns) < set(row)


@pytest.mark.parametrize(
    ("path", "expected", "n_asked"),
    [
        ("/status/404", ("gone", "http_404", 404), 1),
        ("/status/403", ("gone", "http_403", 403), 1),
        ("/status/410", ("gone", "http_410", 410), 1),
        ("/status/500", ("transient", "http_500", 500), 3),
        ("/status/520", ("transient", "http_520", 520), 3),
        ("/once/503", OK, 2),
        ("/once/429/0", OK, 2),
        ("/once/429/soon", OK, 2),
        ("/once/404/soon", ("gone", "http_404", 404), 1),
        ("/truncated", ("transient", "truncated_body", 200), 3),
        ("/cut", ("transient", "truncated_body", 200), 3),
        ("/hangup", ("transient", "connection_failed", None), 6),  # aiohttp asks once more itself
        ("/body/html", ("gone", "not_an_image", 200), 1),
        ("/body/empty", ("gone", "empty_body", 200), 1),
        ("/body/big", ("gone", "too_large", 200), 1),
        ("/endless", ("gone", "too_large", 200), 1),
        ("/header/Content-Encoding/gzip", ("gone", "content_encoding", 200), 1),
        ("/header/X-Robots-Tag/noindex,%20NoAI", ("gone", "opted_out", 200), 1),
        ("/header/X-Robots-Tag/bot:%20noimageai", ("gone", "opted_out", 200), 1),
        ("/header/X-Robots-Tag/noindex", OK, 1),
        ("/go/ok/2", OK, 1),
        ("/go/go/go/ok/3", OK, 1),
        ("/go/go/go/go/ok/4", ("gone", "too_many_redirects", None), 1),
        ("/far/ftp:!!a.invalid!x.jpg", ("gone", "not_a_web_address", None), 1),
        ("/far/file:!!!etc!passwd", ("gone", "not_a_web_address", None), 1),
        ("/far/http:!!10.0.0.1!x.jpg", ("gone", "private_address", None), 1),
        ("/far/http:!!127.0.0.1!x.jpg", ("gone", "private_address", None), 1),
        ("/far/http:!!me:pw@a.invalid!ok", ("gone", "credentials_in_address", None), 1),
        ("/far/http:!!%5B", ("gone", "bad_address", None), 1),
        ("/far/http:!!b.invalid!ok!9", OK, 1),
    ],
)  # fmt: skip
def test_what_a_server_does_is_an_outcome(get, server, path, expected, n_asked):
    (row,) = get(path)
    assert outcome(row) == expected
    assert server.seen[path] == n_asked
    assert (row["pack"] is None) == (expected != OK)


def test_a_wait_that_a_server_asks_for_is_kept(get):
    started = time.monotonic()
    assert outcome(*get("/once/429/1")) == OK
    assert 1.0 <= time.monotonic() - started < 2.5


def test_waits_are_read_as_seconds_or_as_a_date_and_never_without_end():
    later = email.utils.formatdate(time.time() + 60)
    waits = [
        fetch._retry_after_s({"Retry-After": text}) for text in ("7", later, "99999", "soon", "-3")
    ]
    assert waits[0] == 7 and 50 < waits[1] <= 60 and waits[2:] == [120, 0, 0]


def test_a_body_that_drips_is_left_after_its_time(get):
    started = time.monotonic()
    (row,) = get("/drip", tries=1, max_seconds=0.2)
    assert outcome(row) == ("transient", "too_slow", 200)
    assert time.monotonic() - started < 1.5


def test_a_server_that_says_nothing_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fetcher = fetch.Fetcher(tmp_path, fetch.Limits(1, 1, 0.1, 1, 10, 1, 0),
                                {"s.invalid": f"127.0.0.1:{silent.getsockname()[1]}"})  # fmt: skip
        (part,) = fetcher.fetch(wanted(("http://s.invalid/", None)))
        assert [outcome(row) for row in part.to_pylist()] == [("transient", "timeout", None)]


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
    asked = [f"{kind}?{i}{n}" for i in range(40) for n, kind in enumerate(kinds)]
    done = []
    worker = threading.Thread(
        target=lambda: done.extend(get(*asked, n_connections=8, per_host=2, tries=2)), daemon=True
    )
    worker.start()
    worker.join(20)
    assert not worker.is_alive(), "the fetch has locked up"
    assert len(done) == len(asked)


def test_proxies_of_the_environment_are_not_used_for_mapped_hosts(get, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [outcome(row) for row in get("/ok/5")] == [OK]


def test_hosts_are_asked_in_turn_whatever_the_order_of_the_input(get, server):
    asked = [f"http://{host}.invalid/ok/{i}" for host in "abc" for i in range(30)]
    get(*asked, n_connections=3)
    first = {host.partition(".")[0] for host, _ in server.asked[:12]}
    assert first == {"a", "b", "c"}, "not one host after the other"


def test_a_rate_is_never_exceeded(get, server):
    times = []
    kept, server.asked = server.asked, Times(times)
    try:
        get(*(f"/ok/{i}" for i in range(25)), n_connections=16, per_host=16, max_per_second=20.0)
    finally:
        server.asked = kept
    assert len(times) == 25
    for start in times:  # no window of a second holds more than the rate allows
        assert sum(start <= t < start + 1.0 for t in times) <= 20


class Times(list):
    """Keeps when something was appended, not what."""

    def __init__(self, times):
        self.times = times

    def append(self, _):
        self.times.append(time.monotonic())

    def clear(self):
        self.times.clear()


def test_a_host_that_refuses_is_given_up_and_others_go_on(get, server):
    refused = [f"http://no.invalid/status/403?{i}" for i in range(60)]
    rows = get(*refused, "http://yes.invalid/ok/1", tries=1)
    reasons = [row["error"] for row in rows]
    assert set(reasons[:-1]) == {"http_403", "host_refuses"} and reasons[-1] is None
    assert sum(host.startswith("no.") for host, _ in server.asked) < 30
    assert {r["status"] for r in rows if r["error"] == "host_refuses"} == {"transient"}, (
        "asked again one day"
    )


def test_a_host_that_is_not_there_costs_few_tries(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    limits = fetch.Limits(8, 8, 1, 1, 1000, 1, 0)
    fetcher = fetch.Fetcher(tmp_path, limits, {"*.invalid": f"127.0.0.1:{port}"}, part_rows=1000)
    (part,) = fetcher.fetch(wanted(*((f"http://gone.invalid/{i}", None) for i in range(300))))
    errors = part.column("error").to_pylist()
    assert set(errors) == {"connection_failed", "host_unreachable"}
    assert errors.count("connection_failed") < 40


def test_an_answer_of_429_halves_what_a_host_is_asked_at_once():
    host = Host("h", iter(range(1000)), most=32, interval_s=0.0)
    assert host.limit == 8, "a quarter to begin with"
    for _ in range(64 * 4):
        host.answered(200)
    assert host.limit == 12
    host.slow_down(now=100.0, wait_s=7.0)
    host.slow_down(now=100.1, wait_s=0.0)
    assert host.limit == 6 and host.free_at == 107.0, "one burst of refusals is one message"
    for _ in range(64 * 100):
        host.answered(200)
    assert host.limit == 32, "never more than the recipe allows"


def test_a_fetch_that_is_stopped_keeps_whole_parts_only(get, server, tmp_path):
    fetcher = fetch.Fetcher(tmp_path / "stopped", fetch.Limits(4, 4, 5, 5, 10_000, 1, 0),
                            {"*.invalid": f"127.0.0.1:{server.server_port}"}, part_rows=10)  # fmt: skip
    parts = fetcher.fetch(wanted(*((f"http://a.invalid/ok/{i}", None) for i in range(100))), 5)
    assert next(parts).num_rows == 10
    parts.close()
    names = [p.name for p in (tmp_path / "stopped").rglob("*") if p.is_file()]
    assert "00000005.pack" in names and all(
        n.endswith(".pack") and not n.startswith(".") for n in names
    )
    assert len(server.asked) < 60, "nothing is asked once nobody waits for it"


def test_what_came_with_an_address_comes_back_with_its_outcome(server, tmp_path):
    fetcher = fetch.Fetcher(tmp_path, fetch.Limits(4, 4, 5, 5, 10_000, 1, 0),
                            {"*.invalid": f"127.0.0.1:{server.server_port}"}, part_rows=7)  # fmt: skip
    table = wanted(*((f"http://{'ab'[i % 2]}.invalid/ok/{i}", None) for i in range(40)))
    table = table.append_column(
        "mark", pa.array([u[::-1] for u in table.column("url").to_pylist()])
    )
    rows = [row for part in fetcher.fetch(table) for row in part.to_pylist()]
    assert len(rows) == 40 and all(row["mark"] == row["url"][::-1] for row in rows)


def test_a_host_of_ones_own_network_is_asked_only_when_the_recipe_names_it(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}/ok/1"
    found = []
    for private in ((), (f"127.0.0.1:{server.server_port}",), ("127.0.0.1",)):
        limits = fetch.Limits(1, 1, 2, 2, 1000, 1, 0, private_hosts=private)
        (part,) = fetch.Fetcher(tmp_path, limits).fetch(wanted((url, None)))
        found.append(part.column("error").to_pylist()[0])
    assert found == ["private_address", None, None]
