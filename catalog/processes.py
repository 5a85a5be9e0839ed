"""What processes start with and keep: variables of their own for new ones, and memory once freed for this one."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, for its next step asks for as much again.

    glibc gives it back to the kernel, which clears every page of it anew: a tenth of a forward pass on a CPU
    (`train_speed`). Elsewhere, and where the user has set MALLOC_TRIM_THRESHOLD_, nothing changes.
    """
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError, TypeError):  # another C library
            return
        mallopt(_TRIM_THRESHOLD, -1)  # never
        mallopt(_MMAP_THRESHOLD, 1 << 30)


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
