"""Functions run in several processes that train together, by gloo on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
CALL = """
import importlib.util, json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
path, name, place = sys.argv[1:4]
spec = importlib.util.spec_from_file_location("called", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from training import distributed
with distributed.world() as world:
    found = getattr(module, name)(world, *json.loads(Path(place, "args").read_text()))
    torch.save(found, Path(place, str(world.rank)))
"""


def port() -> int:
    """A free port of loopback."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ranks(n: int) -> list[dict[str, str]]:
    """The environments that torchrun would give `n` processes of this machine."""
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port()), "WORLD_SIZE": str(n), "OMP_NUM_THREADS": "1",
                  "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    return [{**os.environ, **rendezvous, "RANK": str(i), "LOCAL_RANK": str(i)} for i in range(n)]


def run_in(n: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What `function(world, *args)` returns in each of `n` processes: tensors and plain data, from plain data."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "args").write_text(json.dumps(args))
        path = sys.modules[function.__module__].__file__
        running = [
            subprocess.Popen([sys.executable, "-c", CALL, str(path), function.__name__, place], env=env, cwd=ROOT,
                             stderr=subprocess.PIPE, text=True)
            for env in ranks(n)
        ]  # fmt: skip
        for one in running:
            _, err = one.communicate(timeout=PATIENCE_S)
            assert one.returncode == 0, err[-3000:]
        return [torch.load(Path(place, str(i)), weights_only=True) for i in range(n)]
