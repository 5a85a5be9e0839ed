"""Units of work, run here or there: one function, one unit, one receipt.

A unit is a plain record; the function given it does the work, commits its own output by rename and
returns a small receipt. Running a unit twice does no harm, so a lost worker costs one unit, which is
run again. The engine knows nothing else; receipts are counted after every run, whatever the engine:
`serial`, `process` (default), `slurm` (ranks of one job array that share the root), `ray` (tasks; actors where
workers hold something costly, such as a model).
"""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from catalog import pixels
from catalog.processes import Spawning

ENGINES = ("auto", "serial", "process", "slurm", "ray")
MAX_OPEN = 4096  # units handed out and not yet done: what a cluster can chew, and memory can hold
MAX_DEATHS = 3  # of workers without one unit done between them
WITHOUT_GUARD = " (or, where a script of yours calls this, for want of `if __name__ == '__main__':` around the call)"
WORKER_ENV = {**pixels.MALLOC_ENV, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

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
    alone: Callable[[Unit], Receipt] | None = None,
) -> Iterator[Receipt]:
    """Yield the receipt of every unit, in any order; `workers` 0 means one per core.

    A unit that takes its worker down, also as the only one of a new worker, is given to `alone`, which
    runs here and must not fall with it; without it the run ends with advice.

    `units` may be an iterator that has work of its own to do: units are run while it does it, and it
    waits while `max_open` are not done. `root` is the folder that ranks of a Slurm job share. Raises ValueError for an unknown engine, and
    whatever a unit raised.
    """
    made = pool(work, engine=engine, workers=workers, root=root, alone=alone)
    yield from _drained(made, units, max_open)


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
    setup: Callable[[], Any] | None = None, n_gpus: float = 0, alone: Callable[[Any], Any] | None = None,
) -> AbstractContextManager[Pool]:  # fmt: skip
    """The pool of an engine. ValueError for one that is unknown or not at hand."""
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown; choose one of {', '.join(ENGINES)}")
    n_workers = workers or len(os.sched_getaffinity(0))
    if engine == "slurm":
        from curation import engine_slurm

        assert root is not None, "ranks meet in the root"
        return engine_slurm.Leader(work, n_workers, root, alone)
    if engine == "ray":
        from curation import engine_ray

        return engine_ray.RayPool(work, workers, setup, n_gpus, alone)
    if engine == "serial" or (engine == "auto" and n_workers == 1):
        return Serial(work, setup)
    return Processes(work, n_workers, setup, alone)


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
    """Units run in processes of this machine; a process that dies is replaced, its unit run again.

    With `alone` (see `run_units`) the units that a dead worker may have had are first run one by one, each
    in a new process, so that the one that kills is known.
    """

    def __init__(
        self, work: Work, n_workers: int, setup: Callable[[], Any] | None = None,
        alone: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self._work, self._n_workers, self._setup, self._alone = work, n_workers, setup, alone
        self._open: dict[concurrent.futures.Future[Any], tuple[int, Any]] = {}
        self._ready: list[Any] = []  # receipts of units that ran alone
        self._n_deaths = self._n_given = 0
        self._start()

    def _start(self) -> None:
        if self._setup is None and self._n_workers in _kept:
            self._executor = _kept[self._n_workers]
            return
        self._executor = self._new_executor(self._n_workers)
        if self._setup is None:
            _kept[self._n_workers] = self._executor

    def _new_executor(self, n_workers: int) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent.futures.ProcessPoolExecutor(
            n_workers, mp_context=Spawning(WORKER_ENV),
            initializer=_set_up, initargs=(self._setup,))  # fmt: skip

    def submit(self, unit: Any) -> None:
        """Queue the unit."""
        self._n_given += 1
        self._hand_in(self._n_given, unit)
        self._count()

    def _hand_in(self, number: int, unit: Any) -> None:
        try:
            job = self._executor.submit(_run, self._work, self._setup is not None, unit)
        except BrokenProcessPool:
            self._again([(number, unit)])
            return
        self._open[job] = number, unit

    def _count(self) -> None:
        self.n_open = len(self._open) + len(self._ready)

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts so far."""
        timeout = None if wait and not self._ready else 0
        done, _ = concurrent.futures.wait(self._open, timeout, concurrent.futures.FIRST_COMPLETED)
        lost = []
        for job in done:
            number, unit = self._open.pop(job)
            self._count()
            try:
                receipt = job.result()
            except BrokenProcessPool:
                lost.append((number, unit))
                continue
            self._n_deaths = 0
            yield receipt
        if lost:
            self._again(lost)
        while self._ready:
            receipt = self._ready.pop()
            self._count()
            yield receipt

    def _again(self, lost: list[tuple[int, Any]]) -> None:
        """A worker has died: everything not done goes to new ones."""
        lost += [unit for job, unit in self._open.items() if not job.done() or job.exception()]
        kept = {job: unit for job, unit in self._open.items() if job.done() and not job.exception()}
        lost.sort(key=lambda one: one[0])
        _kept.pop(self._n_workers, None)
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._start()
        self._open = kept
        if self._alone is None:
            self._n_deaths += 1
            if self._n_deaths > MAX_DEATHS:
                raise RuntimeError(
                    "workers die again and again, most likely for want of memory: try fewer --workers"
                    + WITHOUT_GUARD
                )
        else:  # workers take units in order, and one more than they are may have left the queue
            suspects, lost = lost[: self._n_workers + 1], lost[self._n_workers + 1 :]
            self._ready += [self._by_itself(unit) for _, unit in suspects]
        for number, unit in lost:
            self._hand_in(number, unit)
        self._count()

    def _by_itself(self, unit: Any) -> Any:
        """The receipt of a unit that may kill its process."""
        assert self._alone is not None
        with self._new_executor(1) as executor:
            try:
                return executor.submit(_run, self._work, self._setup is not None, unit).result()
            except BrokenProcessPool:
                return self._alone(unit)

    def close(self) -> None:
        """Let the workers go, or keep them for the next stage if all is done."""
        if self.n_open or self._setup is not None:
            _kept.pop(self._n_workers, None)
            self._executor.shutdown(cancel_futures=True)


_state: Any = None


def _set_up(setup: Callable[[], Any] | None) -> None:
    global _state
    _state = setup() if setup else None


def _run(work: Work, with_state: bool, unit: Any) -> Any:
    return work(_state, unit) if with_state else work(unit)
