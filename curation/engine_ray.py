"""Units as Ray tasks, or as calls of actors where workers hold something costly.

Ray Core only: a task per unit, receipts back, nothing of the pictures through its object store. The
nodes of a cluster share the build's folder. With `RAY_ADDRESS` set (or inside a Ray job) the cluster
is used; otherwise Ray is started here, on loopback.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from curation.engine import WORKER_ENV, Closing

MAX_RETRIES = 3  # of a unit whose worker died


class RayPool(Closing[Any]):
    """Units as tasks of a Ray cluster."""

    def __init__(
        self, work: Callable[..., Any], workers: int, setup: Callable[[], Any] | None, n_gpus: float,
        alone: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise ValueError(
                "engine 'ray' needs the extra: pip install 'treeoflife[ray]'"
            ) from error
        self._ray, self._alone = ray, alone
        if not ray.is_initialized():
            _start(ray, workers)
        self._open: dict[Any, tuple[int, Any]] = {}
        self._actors: list[Any] = []
        if setup is None:
            self._task = ray.remote(work).options(num_cpus=1, max_retries=MAX_RETRIES)
            return
        n_gpus = n_gpus if ray.cluster_resources().get("GPU") else 0
        n_actors = workers or max(
            1, int(ray.cluster_resources().get("GPU" if n_gpus else "CPU", 1))
        )
        kind = ray.remote(_Holder)
        self._actors = [
            kind.options(num_cpus=1, num_gpus=n_gpus, max_restarts=-1, max_task_retries=MAX_RETRIES)
            .remote(setup, work)
            for _ in range(n_actors)
        ]  # fmt: skip
        self._load = [0] * n_actors

    def submit(self, unit: Any) -> None:
        """Queue the unit; with actors at the one with the least to do."""
        if not self._actors:
            self._open[self._task.remote(unit)] = -1, unit
        else:
            least = self._load.index(min(self._load))
            self._load[least] += 1
            self._open[self._actors[least].run.remote(unit)] = least, unit
        self.n_open = len(self._open)

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts so far."""
        if not self._open:
            return
        timeout = None if wait else 0
        done, _ = self._ray.wait(list(self._open), num_returns=1, timeout=timeout)
        for reference in done:
            actor, unit = self._open.pop(reference)
            if actor >= 0:
                self._load[actor] -= 1
            self.n_open = len(self._open)
            try:
                yield self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from error
            except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError):
                if self._alone is None:
                    raise
                yield self._alone(unit)

    def close(self) -> None:
        """Let the actors go; Ray itself goes on for the next stage, and ends with this process."""
        for actor in self._actors:
            self._ray.kill(actor)


class _Holder:
    """An actor: makes its state once, then runs units with it."""

    def __init__(self, setup: Callable[[], Any], work: Callable[..., Any]) -> None:
        self._state, self._work = setup(), work

    def run(self, unit: Any) -> Any:
        """The receipt of one unit."""
        return self._work(self._state, unit)


def _start(ray: Any, workers: int) -> None:
    """Join the cluster that the environment names, or start Ray on this machine's loopback."""
    env = {"env_vars": {k: v for k, v in WORKER_ENV.items() if k not in os.environ}}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env=env, log_to_driver=False)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=workers or None, include_dashboard=False, log_to_driver=False, runtime_env=env,
             _node_ip_address="127.0.0.1", configure_logging=False)  # fmt: skip
