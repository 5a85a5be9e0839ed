"""Units shared by the ranks of one Slurm job through the build's folder: no service, no port.

Every rank runs the same command. Rank 0 leads: it names its run in `<root>/units/<job>/leader`, a file it
touches while it lives, makes the tables and writes each unit to `<run>/<rank>/<number>.unit.json`, where
rank `number mod world` finds it; the receipt comes back as `<number>.receipt.json`, and both files go once
they have been read. A leader that is requeued names another run, and ranks forget the one before. A rank
that was preempted or died costs time only: what has brought no receipt while everything else was done,
for CURATION_LEASE_S seconds (300), is run by the leader.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import artifact
from curation import wire
from curation.engine import Closing, Processes

POLL_S, IDLE_S = (
    0.1,
    2.0,
)  # between two looks at the folder, while there is work and while there is none
LEASE_S = float(os.environ.get("CURATION_LEASE_S", "300"))
BEAT_S = 20.0  # between two signs of the leader
LEADER_LOST_S = 1800.0  # without a sign of the leader: then a rank ends
GRACE_S = 60.0  # that a rank which finds a finished run waits for a requeued leader


@dataclass(frozen=True)
class Place:
    """Which rank this process is."""

    job: str
    rank: int
    world: int


def place(env: Mapping[str, str] = os.environ) -> Place:
    """The rank from Slurm's environment, of an array (`--array`) or of a step (`srun -n`).

    Raises ValueError outside Slurm.
    """
    if "SLURM_ARRAY_TASK_ID" in env:
        first = int(env.get("SLURM_ARRAY_TASK_MIN", "0"))
        rank, world = int(env["SLURM_ARRAY_TASK_ID"]) - first, int(env["SLURM_ARRAY_TASK_COUNT"])
        return Place(env["SLURM_ARRAY_JOB_ID"], rank, world)
    if "SLURM_PROCID" in env:
        return Place(env["SLURM_JOB_ID"], int(env["SLURM_PROCID"]), int(env["SLURM_NTASKS"]))
    raise ValueError("engine 'slurm' runs inside a Slurm job: start it by sbatch --array or srun")


class Leader(Closing[Any]):
    """Rank 0: hands units to the ranks, does its own share, and what others leave undone."""

    def __init__(
        self, work: Callable[..., Any], n_workers: int, root: Path,
        alone: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        self._place, self._alone = place(), alone
        self._work = f"{work.__module__}:{work.__qualname__}"
        job = _folder(root, self._place)
        self._dir = job / (_run_of(job) or _announced(job))
        for rank in range(1, self._place.world):
            (self._dir / str(rank)).mkdir(parents=True, exist_ok=True)
        self._local = Processes(work, n_workers, alone=alone)
        self._away: dict[int, Any] = {}
        self._heard = time.monotonic()

    def submit(self, unit: Any) -> None:
        """Give the unit to its rank."""
        number = next(_numbers)
        if number % self._place.world == 0:
            self._local.submit(unit)
        else:
            text = json.dumps({"work": self._work, "unit": wire.encoded(unit)})
            artifact.write_atomically(self._path(number, "unit"), text.encode())
            self._away[number] = unit
        self._count()

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts of this rank and of the others."""
        while True:
            found = [*self._local.finished(False), *self._from_others()]
            if not found and self._away and not self._local.n_open and self._silent():
                for number in sorted(self._away):  # nobody answers: do it here
                    self._path(number, "unit").unlink(missing_ok=True)
                    self._local.submit(self._away.pop(number))
            self._count()
            if found:
                self._heard = time.monotonic()
            yield from found
            if found or not wait or not self.n_open:
                return
            time.sleep(POLL_S)

    def _from_others(self) -> Iterator[Any]:
        for rank in range(1, self._place.world):
            for path in sorted((self._dir / str(rank)).glob("[0-9]*.receipt.json")):
                unit = self._away.pop(_number_of(path), None)
                answer = json.loads(path.read_text())
                path.unlink()
                if unit is None:
                    continue  # it was done here meanwhile
                if "error" in answer:
                    raise ValueError(f"rank {rank}: {answer['error']}")
                if "receipt" in answer:
                    yield answer["receipt"]
                elif self._alone is None:
                    raise RuntimeError(f"rank {rank}: workers die of one unit, again and again")
                else:
                    yield self._alone(unit)

    def _path(self, number: int, kind: str) -> Path:
        return self._dir / str(number % self._place.world) / f"{number:08d}.{kind}.json"

    def _count(self) -> None:
        self.n_open = self._local.n_open + len(self._away)

    def _silent(self) -> bool:
        return time.monotonic() - self._heard > LEASE_S

    def close(self) -> None:
        """Let go of this rank's own workers."""
        self._local.close()


_numbers = itertools.count()
"""Numbers of units, over all stages of a run."""


@contextmanager
def leading(root: Path) -> Iterator[None]:
    """While the leader builds: the ranks hear of it, and end when it ends, however it ends."""
    job, over = _folder(root, place()), threading.Event()
    run = _announced(job)

    def beat() -> None:
        while not over.wait(BEAT_S):
            (job / "leader").touch()

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
        (job / run / "finished").touch()


def _announced(job: Path) -> str:
    """A new run, in place of an earlier one of the same job."""
    run = secrets.token_hex(8)
    (job / run).mkdir(parents=True)
    artifact.write_atomically(job / "leader", run.encode())
    for old in job.iterdir():
        if old.is_dir() and old.name != run:
            shutil.rmtree(old, ignore_errors=True)
    return run


def _run_of(job: Path) -> str | None:
    try:
        return (job / "leader").read_text()
    except FileNotFoundError:
        return None


def serve(root: Path, n_workers: int) -> int:
    """A rank other than 0: run the units that are this rank's until the leader ends; return how many."""
    here, job, seen = place(), _folder(root, place()), time.time()
    n_done, was_here, since = 0, False, time.monotonic()
    n_workers = n_workers or len(os.sched_getaffinity(0))
    crew: _Crew | None = None
    try:
        while True:
            run = _run_of(job)
            if run is not None and (crew is None or crew.run != run):
                if crew is not None:
                    crew.close()
                crew = _Crew(run, job / run / str(here.rank), n_workers)
            n_moved, n_here = crew.turn() if crew else (0, 0)
            n_done += n_here
            if crew is not None and (job / crew.run / "finished").exists():
                if was_here or time.monotonic() - since > GRACE_S:
                    return n_done
            else:
                was_here = was_here or crew is not None
            seen = max(seen, _touched(job / "leader"))
            if time.time() - seen > LEADER_LOST_S:
                raise ValueError("the leading rank has not been heard of; run the job again")
            time.sleep(POLL_S if n_moved or (crew and crew.n_open) else min(IDLE_S, LEASE_S / 4))
    finally:
        if crew is not None:
            crew.close()


class _Crew:
    """What a rank does in one run: units taken, workers by function."""

    def __init__(self, run: str, folder: Path, n_workers: int) -> None:
        self.run, self._dir, self._n_workers = run, folder, n_workers
        self._taken = set[int]()
        self._pools: dict[str, Processes] = {}

    @property
    def n_open(self) -> int:
        return sum(pool.n_open for pool in self._pools.values())

    def turn(self) -> tuple[int, int]:
        """Take the units that have come, hand in the receipts that are there; how many moved, and receipts."""
        n_taken = n_done = 0
        for path in sorted(self._dir.glob("[0-9]*.unit.json")):
            number = _number_of(path)
            if number in self._taken:
                continue
            try:
                task = json.loads(path.read_text())
            except FileNotFoundError:  # the leader has done it meanwhile
                continue
            self._taken.add(number)
            n_taken += 1
            if task["work"] not in self._pools:
                self._pools[task["work"]] = Processes(_numbered, self._n_workers, alone=_lost)
            self._pools[task["work"]].submit((number, task["work"], json.dumps(task["unit"])))
        for pool in self._pools.values():
            for number, answer in pool.finished(False):
                name = self._dir / f"{number:08d}.receipt.json"
                with suppress(FileNotFoundError):  # the run is over
                    artifact.write_atomically(name, json.dumps(answer).encode())
                    (self._dir / f"{number:08d}.unit.json").unlink(missing_ok=True)
                self._taken.discard(number)
                n_done += 1
        return n_taken + n_done, n_done

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def _numbered(task: tuple[int, str, str]) -> tuple[int, dict[str, Any]]:
    """Run one unit of another rank; an error is its answer."""
    number, name, text = task
    try:
        return number, {"receipt": wire.named(name)(wire.decoded(json.loads(text)))}
    except Exception as error:  # the leader says it
        return number, {"error": f"{type(error).__name__}: {error}"}


def _lost(task: tuple[int, str, str]) -> tuple[int, dict[str, Any]]:
    """The answer for a unit that takes its worker down: the leader decides."""
    return task[0], {}


def _folder(root: Path, here: Place) -> Path:
    return root / "units" / here.job


def _number_of(path: Path) -> int:
    return int(path.name.partition(".")[0])


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
