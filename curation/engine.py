"""Units of work, run here or there: one function, one unit, one receipt.

A unit is a picklable object; the function given it does the work, commits its own output by rename
and returns a small receipt. Running a unit twice does no harm, so a lost worker costs one unit. The
engine knows nothing else; counts are reconciled after every run.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

ENGINES = ("auto", "serial", "process")
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "1073741824"}

Unit = TypeVar("Unit")
Receipt = TypeVar("Receipt")


def run_units(
    work: Callable[[Unit], Receipt],
    units: Sequence[Unit],
    *,
    engine: str = "auto",
    workers: int = 0,
) -> Iterator[Receipt]:
    """Yield the receipt of every unit, in any order; `workers` 0 means one per core.

    Raises ValueError for an unknown engine, and whatever a unit raised.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is unknown; choose one of {', '.join(ENGINES)}")
    workers = min(workers or len(os.sched_getaffinity(0)), len(units))
    if engine == "serial" or (engine == "auto" and workers <= 1):
        yield from map(work, units)
        return
    n_done = 0
    os.environ.update({k: v for k, v in _MALLOC.items() if k not in os.environ})  # for the workers
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max(1, workers), mp_context=context) as pool:
        for job in concurrent.futures.as_completed([pool.submit(work, unit) for unit in units]):
            n_done += 1
            yield job.result()
    assert n_done == len(units), f"{n_done} receipts for {len(units)} units"
