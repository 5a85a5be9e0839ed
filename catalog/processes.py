"""New processes that have environment variables of their own, which this process does not keep."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any


class Spawning(SpawnContext):
    """multiprocessing's "spawn" whose processes start with `env`; what the user has set already stays as it is."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__()
        self._env = dict(env)

    def Process(self, *args: Any, **how: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process that is yet to start."""
        made = _Process(*args, **how)
        made.env = self._env
        return made


class _Process(multiprocessing.get_context("spawn").Process):  # type: ignore[misc]
    env: Mapping[str, str]

    def start(self) -> None:
        added = {key: value for key, value in self.env.items() if key not in os.environ}
        os.environ.update(added)
        try:
            super().start()
        finally:
            for key in added:
                os.environ.pop(key, None)
