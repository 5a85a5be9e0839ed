"""The one form of a benchmark: a table of measurements, then targets met, missed or unmeasured."""

from __future__ import annotations

import dataclasses
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START, END = "<!-- results -->", "<!-- /results -->"


@dataclass(frozen=True)
class Row:
    """One measurement: ours, a peer's, and the bare limit of the machine, in one unit."""

    what: str
    unit: str
    ours: float
    peer: float | None = None
    limit: float | None = None

    @property
    def to_peer(self) -> float | None:
        """Ours over the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def to_limit(self) -> float | None:
        """Ours over the limit."""
        return self.ours / self.limit if self.limit else None


@dataclass(frozen=True)
class Target:
    """A promise: `state` is met, missed, unmeasured (no peer or data) or not judged (--quick)."""

    what: str
    state: str
    found: str


@dataclass(frozen=True)
class Result:
    """What one benchmark found."""

    name: str
    peer: str
    limit: str
    rows: tuple[Row, ...]
    targets: tuple[Target, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data for the results file."""
        return dataclasses.asdict(self)


def target(what: str, good: bool | None, found: str, *, judged: bool = True) -> Target:
    """A target from a comparison; None means it could not be measured."""
    if not judged:
        return Target(what, "not judged", found)
    return Target(what, "unmeasured" if good is None else "met" if good else "missed", found)


def printed(result: Result) -> str:
    """The table and the target lines."""
    heads = ("what", "unit", "ours", "peer", "limit", "ours/peer", "ours/limit")
    body = [
        (r.what, r.unit, _number(r.ours), _number(r.peer), _number(r.limit),
         _number(r.to_peer), _number(r.to_limit))
        for r in result.rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in (heads, *body)) for i in range(len(heads))]
    lines = [f"\n{result.name}  (peer: {result.peer}; limit: {result.limit})"]
    lines += [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in (heads, *body)
    ]
    lines += [f"{t.state:<11} {t.what}: {t.found}" for t in result.targets]
    return "\n".join(lines)


def with_table(readme: str, results: dict[str, Any]) -> str:
    """README with the table between its `results` marks made anew from the results file."""
    head, start, rest = readme.partition(START)
    _, end, tail = rest.partition(END)
    lines = [
        "| benchmark | what | unit | ours | peer | ours/peer |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, result in sorted(results.items()):
        for row in result["rows"]:
            if not row["peer"]:
                continue  # the command prints them all
            ratio = row["ours"] / row["peer"] if row["peer"] else None
            cells = (
                name,
                row["what"],
                row["unit"],
                *map(_number, (row["ours"], row["peer"], ratio)),
            )
            lines.append("| " + " | ".join(cells) + " |")
        lines += [
            f"| {name} | {t['what']} | {t['state']} | {t['found']} | | |" for t in result["targets"]
        ]
    return f"{head}{start}\n" + "\n".join(lines) + f"\n{end}{tail}"


def peak_mb() -> float:
    """Largest resident size of this process so far, MB.

    Linux's own count since the program began: `getrusage` also counts what the parent held before.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return float(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.{0 if abs(value) >= 100 else 2 if abs(value) >= 10 else 4}f}"
