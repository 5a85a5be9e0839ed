"""Units of work, run here or there: one function, one unit, one receipt.

A unit is a plain record; the function given it does the work, commits its own output by rename and
returns a small receipt. Running a unit twice does no harm, so a lost worker costs one unit, which is
run again. The engine knows nothing else; receipts are counted after every run, whatever the engine:
`serial`, `process` (default), `slurm` (ranks of one job array that share the root), `ray` (tasks; actors where
workers hold something costly, such as a model).
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

ENGINES = ("auto", "serial", "process", "slurm", "ray")
MAX_OPEN = 4096  # units handed out and not yet done: what a cluster can chew, and memory can hold
MAX_DEATHS = 3  # of workers without one unit done between them
WORKER_ENV = {
    "MALLOC_MMAP_THRESHOLD_": "268435456",  # pictures are large and short-lived: giving every one
    "MALLOC_TRIM_THRESHOLD_": "1073741824",  # back to the kernel halves the speed of decoding
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

Unit = TypeVar("Unit")
Receipt = TypeVar("Receipt")
Work = Callable[..., Any]
"""work(unit), or work(state, unit) where there is a setup that makes the state of a worker."""


class Pool(Protocol):
    """Where units go; `finished` yields receipts, at least one when it may wait and units are open."""

    n_open: int

    def submit(self, unit: Any) -> None:
        """Hand a unit out."""

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts that have come in."""


def run_units(
    work: Callable[[Unit], Receipt],
    units: Iterable[Unit],
    *,
    engine: str = "auto",
    workers: int = 0,
    root: Path | None = None,
    max_open: int = MAX_OPEN,
) -> Iterator[Receipt]:
    """Yield the receipt of every unit, in any order; `workers` 0 means one per core.

    `units` may be an iterator that has work of its own to do: units are run while it does it, and it
    waits while `max_open` are not done. `root` is the folder that ranks of a Slurm job share. Raises ValueError for an unknown engine, and
    whatever a unit raised.
    """
    yield from _drained(pool(work, engine=engine, workers=workers, root=root), units, max_open)


def run_with(
    setup: Callable[[], Any],
    work: Callable[[Any, Unit], Receipt],
    units: Iterable[Unit],
    *,
    engine: str = "auto",
    workers: int = 0,
    n_gpus: float = 0,
) -> Iterator[Receipt]:
    """The same for `work(state, unit)`, where every worker makes its `state` once by `setup()`.

    Under Ray a worker is an actor with `n_gpus` GPUs. Slurm ranks are not among the engines here.
    """
    if engine == "slurm":
        raise ValueError("engine 'slurm' cannot hold a worker's state; choose process or ray")
    made = pool(work, engine=engine, workers=workers, setup=setup, n_gpus=n_gpus)
    yield from _drained(made, units, MAX_OPEN)


def _drained(
    made: AbstractContextManager[Pool], units: Iterable[Unit], max_open: int
) -> Iterator[Any]:
    n_units = n_done = 0
    with made as out:
        for unit in units:
            out.submit(unit)
            n_units += 1
            for receipt in out.finished(wait=out.n_open >= max_open):
                n_done += 1
                yield receipt
        while out.n_open:
            for receipt in out.finished(wait=True):
                n_done += 1
                yield receipt
    assert n_done == n_units, f"{n_done} receipts for {n_units} units"


def pool(
    work: Work, *, engine: str = "auto", workers: int = 0, root: Path | None = None,
    setup: Callable[[], Any] | None = None, n_gpus: float = 0,
) -> AbstractContextManager[Pool]:  # fmt: skip
    """The pool of an engine. ValueError for one that is unknown or not at hand."""
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown; choose one of {', '.join(ENGINES)}")
    n_workers = workers or len(os.sched_getaffinity(0))
    if engine == "slurm":
        from curation import engine_slurm

        assert root is not None, "ranks meet in the root"
        return engine_slurm.Leader(work, n_workers, root)
    if engine == "ray":
        from curation import engine_ray

        return engine_ray.RayPool(work, workers, setup, n_gpus)
    if engine == "serial" or (engine == "auto" and n_workers == 1):
        return Serial(work, setup)
    return Processes(work, n_workers, setup)


class Closing(Generic[Unit]):
    """A pool is used as a context."""

    n_open = 0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Let go of the workers."""


class Serial(Closing[Any]):
    """Units run here, when they are handed in."""

    def __init__(self, work: Work, setup: Callable[[], Any] | None = None) -> None:
        self._work, self._done = work, list[Any]()
        self._state = (setup(),) if setup else ()

    def submit(self, unit: Any) -> None:
        """Run the unit."""
        self._done.append(self._work(*self._state, unit))
        self.n_open += 1

    def finished(self, wait: bool) -> Iterator[Any]:
        """Its receipt."""
        while self._done:
            self.n_open -= 1
            yield self._done.pop()


_kept: dict[int, concurrent.futures.ProcessPoolExecutor] = {}
"""Workers without a state, by their number: they serve one stage after another, until `release`."""


def release() -> None:
    """End the workers that were kept for the next stage."""
    while _kept:
        _kept.popitem()[1].shutdown(cancel_futures=True)


class Processes(Closing[Any]):
    """Units run in processes of this machine; a process that dies is replaced, its unit run again."""

    def __init__(self, work: Work, n_workers: int, setup: Callable[[], Any] | None = None) -> None:
        self._work, self._n_workers, self._setup = work, n_workers, setup
        self._open: dict[concurrent.futures.Future[Any], Any] = {}
        self._n_deaths = 0
        self._start()

    def _start(self) -> None:
        if self._setup is None and self._n_workers in _kept:
            self._executor = _kept[self._n_workers]
            return
        os.environ.update({k: v for k, v in WORKER_ENV.items() if k not in os.environ})
        self._executor = concurrent.futures.ProcessPoolExecutor(
            self._n_workers, mp_context=multiprocessing.get_context("spawn"),
            initializer=_set_up, initargs=(self._setup,))  # fmt: skip
        if self._setup is None:
            _kept[self._n_workers] = self._executor

    def submit(self, unit: Any) -> None:
        """Queue the unit."""
        try:
            job = self._executor.submit(_run, self._work, self._setup is not None, unit)
        except BrokenProcessPool:
            self._again([unit])
            return
        self._open[job] = unit
        self.n_open = len(self._open)

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts so far."""
        timeout = None if wait else 0
        done, _ = concurrent.futures.wait(self._open, timeout, concurrent.futures.FIRST_COMPLETED)
        lost = []
        for job in done:
            unit = self._open.pop(job)
            self.n_open = len(self._open)
            try:
                receipt = job.result()
            except BrokenProcessPool:
                lost.append(unit)
                continue
            self._n_deaths = 0
            yield receipt
        if lost:
            self._again(lost)

    def _again(self, lost: list[Any]) -> None:
        """A worker has died: everything not done goes to new ones."""
        self._n_deaths += 1
        if self._n_deaths > MAX_DEATHS:
            raise RuntimeError(
                "workers die again and again, most likely for want of memory: try fewer --workers (or, where a "
                "script of yours calls this, for want of `if __name__ == '__main__':` around the call)"
            )
        lost += [unit for job, unit in self._open.items() if not job.done() or job.exception()]
        kept = {job: unit for job, unit in self._open.items() if job.done() and not job.exception()}
        _kept.pop(self._n_workers, None)
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._start()
        self._open = kept
        for unit in lost:
            self.submit(unit)
        self.n_open = len(self._open)

    def close(self) -> None:
        """Let the workers go, or keep them for the next stage if all is done."""
        if self._open or self._setup is not None:
            _kept.pop(self._n_workers, None)
            self._executor.shutdown(cancel_futures=True)


_state: Any = None


def _set_up(setup: Callable[[], Any] | None) -> None:
    global _state
    _state = setup() if setup else None


def _run(work: Work, with_state: bool, unit: Any) -> Any:
    return work(_state, unit) if with_state else work(unit)
