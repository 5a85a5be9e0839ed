"""Test sets by name or place, and the tasks that are measured on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.benchmarks import ANY_SET, BENCHMARKS, BY_NAME, TASKS, Benchmark
from catalog.toml_tree import nearest
from eval import examples as test_sets
from eval.examples import Examples
from eval.tasks import awa2, fishnet, herbarium19, newt, plantdoc

READERS = {"newt": newt.examples, "fishnet": fishnet.examples, "awa2": awa2.examples,
           "herbarium19": herbarium19.examples, "plantdoc": plantdoc.examples}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A test set, the tasks that are measured on it, and the benchmark it is, if any."""

    examples: Examples
    tasks: tuple[str, ...]
    benchmark: Benchmark | None = None


def planned(on: Sequence[str], tasks: Sequence[str], data: Path) -> list[Planned]:
    """The test sets that are asked for, or every benchmark that is there, with the tasks that apply to each.

    Raises ValueError for unknown tasks, for test sets that are not there, and when nothing is left to do.
    """
    for task in tasks:
        if task not in TASKS:
            raise ValueError(f"--tasks {task!r} is unknown{nearest(task, list(TASKS))}")
    names = list(dict.fromkeys(on)) or [b.name for b in BENCHMARKS if not b.missing(data)]
    if not names:
        raise ValueError(f"no benchmark is under {data}: name pictures of your own with --on, say where benchmarks lie with --data, "
                         "or see what they need with --list")  # fmt: skip
    found = []
    for name in names:
        benchmark = BY_NAME.get(name)
        own = benchmark.tasks if benchmark else ANY_SET
        chosen = tuple(task for task in own if not tasks or task in tasks)
        if chosen:
            found.append(Planned(read(name, data), chosen, benchmark))
    if not found:
        raise ValueError(f"none of {', '.join(names)} has the task {', '.join(tasks)}")
    distinct([plan.examples for plan in found])
    return found


def distinct(sets: Sequence[Examples]) -> None:
    """Raises ValueError where two test sets have one name."""
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        raise ValueError(f"two test sets are called {max(names, key=names.count)}: judge them one after another, with two --out")  # fmt: skip


def read(name: str, data: Path) -> Examples:
    """A test set by the name of a benchmark, or by its place. Raises ValueError where it is not there."""
    benchmark = BY_NAME.get(name)
    if benchmark is None:
        if "/" not in name and not Path(name.partition("#")[0]).exists():
            raise ValueError(f"--on {name!r} is neither a file or folder nor a benchmark{nearest(name, list(BY_NAME))}")  # fmt: skip
        return test_sets.found(name)
    if benchmark.missing(data):
        raise ValueError(benchmark.told(data))
    folder = data / name
    if name in READERS:
        return replace(READERS[name](folder), name=name)
    path = next(p for p in (folder / "metadata.csv", folder / "metadata.csv.gz") if p.is_file())
    found = test_sets.from_table(path, images=folder / "images", name=name)
    return replace(found, kind=benchmark.kind, cleaning=benchmark.cleaning)
