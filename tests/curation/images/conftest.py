"""The picture server, and a function that fetches from it."""

import threading

import pytest

from curation.images import fetch
from tests.picture_server import Handler, Server, wanted


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
    """Fetch paths of the server (or addresses, or files); rows by address."""
    server.seen.clear()
    server.asked.clear()

    def run(*addresses, local=None, **limits):
        how = {"n_connections": 4, "per_host": 4, "timeout_s": 5, "max_seconds": 5, "max_bytes": 100_000,
               "tries": 3, "backoff_s": 0.01, "silent_s": 1.0, **limits}  # fmt: skip
        place = {"*.invalid": f"127.0.0.1:{server.server_port}"}
        fetcher = fetch.Fetcher(tmp_path / "fetched", fetch.Limits(**how), place, part_rows=64)
        full = [f"http://a.invalid{a}" if a.startswith("/") and not local else a for a in addresses]
        rows = [
            row
            for part in fetcher.fetch(wanted(*((a, local) for a in full)))
            for row in part.to_pylist()
        ]
        found = {row["url"]: row for row in rows}
        assert len(rows) == len(set(full)) and sorted(found) == sorted(set(full)), (
            "one row an address"
        )
        return [found[a] for a in full]

    return run
