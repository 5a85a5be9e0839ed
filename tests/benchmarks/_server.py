"""A picture server that is not the limit: nginx on loopback, and how much it could give (wrk)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONF = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off;
  types {{ image/jpeg jpg; }}
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 75s; keepalive_requests 100000000;
  open_file_cache max=20000 inactive=600s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {pictures}; location / {{ try_files $uri =404; }} }}
}}
"""
LUA = """
local n, i, threads = 1, 0, 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function init(args) n = tonumber(args[1]); i = (number * 977) % n end
function request() i = (i + 1) % n; return wrk.format("GET", string.format("/%06d.jpg", i)) end
"""


def at_hand() -> str | None:
    """What is missing to run the server, or None."""
    missing = [
        name
        for name in ("nginx", "wrk")
        if not shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin:/bin")
    ]
    return f"needs {' and '.join(missing)} of the distribution" if missing else None


@contextmanager
def serving(pictures: list[bytes]) -> Iterator[tuple[int, int]]:
    """Serve pictures as /000000.jpg …; yields the port and how many files there are."""
    with tempfile.TemporaryDirectory(prefix="served-") as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "pictures").mkdir()
        for number, data in enumerate(pictures):
            (place / "pictures" / f"{number:06d}.jpg").write_bytes(data)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (place / "nginx.conf").write_text(CONF.format(port=port, pictures=place / "pictures"))
        server = subprocess.Popen(
            ["/usr/sbin/nginx", "-e", "stderr", "-p", str(place), "-c", str(place / "nginx.conf")],
            stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            for _ in range(100):
                with socket.socket() as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port, len(pictures)
        finally:
            server.terminate()
            server.wait()


def ceiling(port: int, n_files: int, *, keep_alive: bool = True, seconds: int = 3) -> float:
    """Pictures a second that wrk gets from the server: by one connection for many, or one for each."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        head = [] if keep_alive else ["-H", "Connection: close"]
        out = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script.name, *head,
                              f"http://127.0.0.1:{port}", "--", str(n_files)],
                             capture_output=True, text=True, check=True).stdout  # fmt: skip
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
