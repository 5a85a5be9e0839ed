"""Units shared by the ranks of one Slurm job through the build's folder: no service, no port.

Every rank runs the same command. Rank 0 leads: it makes the tables and writes each unit to
`<root>/units/<job>/<number>.unit.json`, where rank `number mod world` finds it; the receipt comes
back as `<number>.receipt.json`. A rank that was preempted or died costs time only: what has brought
no receipt while everything else was done is run by the leader.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import artifact
from curation.engine import Closing, Processes

POLL_S = 0.2
LEASE_S = float(
    os.environ.get("CURATION_LEASE_S", "300")
)  # without any receipt: then the leader does the rest
BEAT_S = 20.0  # between two signs of the leader
LEADER_LOST_S = 1800.0  # without a sign of the leader: then a rank ends


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

    def __init__(self, work: Callable[..., Any], n_workers: int, root: Path) -> None:
        self._place = place()
        self._work = f"{work.__module__}:{work.__qualname__}"
        self._dir = _folder(root, self._place)
        self._dir.mkdir(parents=True, exist_ok=True)
        self._local = Processes(work, n_workers)
        self._away: dict[int, Any] = {}
        self._number = _next_number(self._dir)
        self._heard = time.monotonic()

    def submit(self, unit: Any) -> None:
        """Give the unit to its rank."""
        rank = self._number % self._place.world
        if rank == 0:
            self._local.submit(unit)
        else:
            text = json.dumps({"work": self._work, "unit": encoded(unit)})
            artifact.write_atomically(self._dir / f"{self._number:08d}.unit.json", text.encode())
            self._away[self._number] = unit
        self._number += 1
        self.n_open = self._local.n_open + len(self._away)

    def finished(self, wait: bool) -> Iterator[Any]:
        """Receipts of this rank and of the others."""
        while True:
            found = [*self._local.finished(False), *self._from_others()]
            if not found and self._away and not self._local.n_open and self._silent():
                for number in sorted(self._away):  # nobody answers: do it here
                    self._local.submit(self._away.pop(number))
            self.n_open = self._local.n_open + len(self._away)
            if found:
                self._heard = time.monotonic()
            yield from found
            if found or not wait or not self.n_open:
                return
            time.sleep(POLL_S)

    def _from_others(self) -> list[Any]:
        found = []
        for number in list(self._away):
            path = self._dir / f"{number:08d}.receipt.json"
            if path.exists():
                answer = json.loads(path.read_text())
                if "error" in answer:
                    raise ValueError(f"rank {number % self._place.world}: {answer['error']}")
                found.append(answer["receipt"])
                del self._away[number]
        return found

    def _silent(self) -> bool:
        return time.monotonic() - self._heard > LEASE_S

    def close(self) -> None:
        """Let go of this rank's own workers."""
        self._local.close()


@contextmanager
def leading(root: Path) -> Iterator[None]:
    """While the leader builds: the ranks hear of it, and end when it ends, however it ends."""
    folder, over = _folder(root, place()), threading.Event()
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run of the same job
    folder.mkdir(parents=True)

    def beat() -> None:
        while not over.wait(BEAT_S):
            (folder / "leader").touch()

    (folder / "leader").touch()
    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
        (folder / "finished").touch()


def serve(root: Path, n_workers: int) -> int:
    """A rank other than 0: run the units that are this rank's until the leader ends; return how many."""
    here = place()
    folder, n_done, taken = _folder(root, here), 0, set[int]()
    pools: dict[str, Processes] = {}
    n_workers = n_workers or len(os.sched_getaffinity(0))
    seen = time.time()
    try:
        while not (folder / "finished").exists():
            for path in sorted(folder.glob("*.unit.json")):
                number = int(path.name.partition(".")[0])
                if number % here.world != here.rank or number in taken:
                    continue
                taken.add(number)
                if path.with_name(f"{number:08d}.receipt.json").exists():
                    continue  # done before this rank was preempted
                task = json.loads(path.read_text())
                if task["work"] not in pools:
                    pools[task["work"]] = Processes(_numbered, n_workers)
                pools[task["work"]].submit((number, task["work"], json.dumps(task["unit"])))
            for pool in pools.values():
                for number, answer in pool.finished(False):
                    text = json.dumps(answer).encode()
                    artifact.write_atomically(folder / f"{number:08d}.receipt.json", text)
                    n_done += 1
            seen = max(seen, _touched(folder / "leader"))
            if time.time() - seen > LEADER_LOST_S:
                raise ValueError("the leading rank has not been heard of; run the job again")
            time.sleep(POLL_S)
    finally:
        for pool in pools.values():
            pool.close()
    return n_done


def _numbered(task: tuple[int, str, str]) -> tuple[int, dict[str, Any]]:
    """Run one unit of another rank; an error is its answer."""
    number, name, text = task
    try:
        return number, {"receipt": _named(name)(decoded(json.loads(text)))}
    except Exception as error:  # the leader says it
        return number, {"error": f"{type(error).__name__}: {error}"}


def encoded(value: Any) -> Any:
    """A unit as plain JSON: records carry the name of their class, which must be one of curation's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: encoded(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": _name_of(type(value)), "fields": inner}
    if hasattr(value, "_asdict"):
        inner = {key: encoded(item) for key, item in value._asdict().items()}
        return {"class": _name_of(type(value)), "fields": inner}
    if isinstance(value, tuple):
        return [encoded(item) for item in value]
    if isinstance(value, Path):
        return {"path": str(value)}
    assert value is None or isinstance(value, (str, int, float, bool)), f"{value!r} in a unit"
    return value


def decoded(value: Any) -> Any:
    """What `encoded` made, as it was."""
    if isinstance(value, list):
        return tuple(decoded(item) for item in value)
    if isinstance(value, dict) and "path" in value:
        return Path(value["path"])
    if isinstance(value, dict):
        kind = _named(value["class"])
        return kind(**{key: decoded(item) for key, item in value["fields"].items()})
    return value


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _named(name: str) -> Any:
    """A function or class of curation by `module:name`; nothing else can be named in a unit."""
    module, _, thing = name.partition(":")
    if not module.startswith("curation."):
        raise ValueError(f"{name} is not one of curation's")
    return getattr(importlib.import_module(module), thing)


def _folder(root: Path, here: Place) -> Path:
    return root / "units" / here.job


def _next_number(folder: Path) -> int:
    taken = [int(p.name.partition(".")[0]) for p in folder.glob("*.unit.json")]
    return max(taken, default=-1) + 1


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
