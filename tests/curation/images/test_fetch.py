"""Every address has an outcome, whatever the server does; and what is not public is not asked."""

import email.utils
import socket
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema
from curation.images import fetch, parts, web
from curation.store import Packs
from tests.picture_server import JPEG, OK, outcome, wanted


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


def test_waits_are_read_as_seconds_or_as_a_date():
    later = email.utils.formatdate(time.time() + 60)
    waits = [
        web.retry_after_s({"Retry-After": text}) for text in ("7", later, "99999", "soon", "-3")
    ]
    assert waits[0] == 7 and 50 < waits[1] <= 60 and waits[2:] == [99999, 0, 0]


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


def test_an_opt_out_is_heard_in_a_redirect_too(get, server):
    (row,) = get("/shy/ok/77")
    assert outcome(row) == ("gone", "opted_out", 302) and "/ok/77" not in server.seen


def test_a_fetch_that_is_stopped_keeps_whole_parts_only(get, server, tmp_path):
    fetcher = fetch.Fetcher(tmp_path / "stopped", fetch.Limits(4, 4, 5, 5, 10_000, 1, 0),
                            {"*.invalid": f"127.0.0.1:{server.server_port}"}, part_rows=10)  # fmt: skip
    found = fetcher.fetch(wanted(*((f"http://a.invalid/ok/{i}", None) for i in range(100))), 5)
    assert next(found).num_rows == 10
    found.close()
    whole = parts.left(tmp_path / "stopped")
    files = {p for p in (tmp_path / "stopped").rglob("*") if p.is_file()}
    assert whole[0].stem == "00000005" and files == {
        place for path in whole for place in (path, path.with_suffix(".pack"))
    }
    assert sum(pq.read_metadata(path).num_rows for path in whole) == 10 * len(whole)
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
