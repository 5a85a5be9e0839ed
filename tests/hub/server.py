"""The server: where the objects of a hub lie, its faults, and what a client needs to find it."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import secrets
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.hub.answers import TOKEN
from tests.hub.handler import Handler
from tests.hub.state import Commit, Fault, Repo, Stored, shard_files

__all__ = ["TOKEN", "Hub"]


class Hub(ThreadingHTTPServer):
    """The server; `url` is its HF_ENDPOINT. Used as a context."""

    request_queue_size, daemon_threads, block_on_close = 128, True, False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.chunks = folder / "objects", folder / "chunks"
        self.objects.mkdir(parents=True)
        self.chunks.mkdir()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.n_received = 0  # bytes of LFS objects
        self.heads: list[tuple[float, str]] = []  # every commit of every main
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def env(self, xet=False, token=TOKEN):
        """The environment of a process that is a client of this hub, by LFS or by Xet."""
        return {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | {
            "HF_ENDPOINT": self.url, "HF_TOKEN": token, "HF_HOME": str(self.objects.parent / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_XET_TELEMETRY_ENABLED": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_XET": "0" if xet else "1"}  # fmt: skip

    def fail(self, method, pattern, status=503, times=1, wait_s=0.0):
        """The next `times` requests that match answer `status` (0: the connection is cut), after `wait_s`."""
        self.faults.append(Fault(method, re.compile(pattern), status, times, wait_s))

    def fault_of(self, method, path):
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.pattern.search(path):
                    fault.times -= 1
                    return fault
        return None

    def put(self, data: bytes) -> str:
        """Keep an object; return its sha256."""
        name = hashlib.sha256(data).hexdigest()
        self.object(name).write_bytes(data)
        return name

    def object(self, sha256) -> Path:
        """Where an object lies."""
        return self.objects / sha256

    def bytes_of(self, stored: Stored) -> bytes:
        """The contents of a file, from the objects or put together from chunks by the Xet client."""
        place = self.object(stored.sha256)
        if not place.exists():
            import hf_xet

            whole = place.with_suffix(f".{secrets.token_hex(4)}")
            wanted = hf_xet.PyXetDownloadInfo(str(whole), self.xet_hash(stored.sha256), stored.size)
            hf_xet.download_files([wanted], f"local://{self.chunks}", ("none", 2**40), None, None)
            whole.replace(place)
        return place.read_bytes()

    def xet_hash(self, sha256):
        """The Xet hash of the file of this sha256; None when no shard of the store tells it."""
        for shard in sorted(self.chunks.rglob("*.mdb")):
            if found := shard_files(shard.read_bytes()).get(sha256):
                return found
        return None

    def add_commit(self, name, branch, title, message, files):
        """A new commit on a branch."""
        repo = self.repos[name]
        now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        made = Commit(secrets.token_hex(20), title, message, now, files)
        repo.commits.append(made)
        repo.branches[branch] = made.id
        if branch == "main":
            self.heads.append((time.monotonic(), made.id))
        return made
