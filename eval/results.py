"""What a judgement is: a table of answers, one per picture asked, and the figures computed from it.

Nothing is scored anywhere else: a figure, its interval, a comparison of two models and a table without some pictures
are all functions of these tables, which are written beside the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eval.metrics import METRICS, Scored

Floats = NDArray[np.float64]
TRACKS = ("compat", "fixed")
ANSWERS = pa.schema([
    ("run", pa.int32()),  # fold of few-shot, seed of a probe
    ("example", pa.string()), ("truth", pa.string()), ("answer", pa.string()),
    ("correct", pa.float32()), ("score", pa.float32()),  # score: what the model gave its answer, by the task's measure
    ("place", pa.int32()),  # of the truth among the answers, from 1; null beyond the fifth, and where there is no order
])  # fmt: skip
N_DRAWS = 1000


@dataclass(frozen=True)
class Outcome:
    """One task on one benchmark by one model under one protocol. `metric` is the figure that others publish of it."""

    model: str
    benchmark: str
    task: str
    track: str
    setting: str  # what of the protocol may vary: "81 templates, taxon_com", "5-shot"
    metric: str
    chance: float | None  # what guessing gives; None where it is unknown
    answers: pa.Table
    notes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()  # other figures of the same answers
    groups: Mapping[str, str] = field(
        default_factory=dict
    )  # by example: pictures that belong together
    published: Mapping[str, float] = field(
        default_factory=dict
    )  # per cent, where it is of the same pictures and protocol
    is_whole: bool = False  # of all pictures of a declared benchmark, asked as it asks them
    provenance: Mapping[str, str] = field(default_factory=dict)  # model, pictures and code, exactly

    def key(self) -> tuple[str, str, str, str]:
        """What is equal between two models' outcomes of the same judgement."""
        return self.benchmark, self.task, self.track, self.setting

    def without(self, examples: set[str], setting: str) -> Outcome:
        """The same judgement less some pictures."""
        keep = pa.array([name not in examples for name in self.answers["example"].to_pylist()])
        return replace(self, answers=self.answers.filter(keep), setting=f"{self.setting}, {setting}", published={}, is_whole=False)  # fmt: skip


def answers(rows: Mapping[str, Any]) -> pa.Table:
    """A table of answers from columns; what is not given is null."""
    n = len(rows["example"])
    columns = [pa.array(rows[f.name], f.type) if f.name in rows else pa.nulls(n, f.type) for f in ANSWERS]  # fmt: skip
    return pa.table(columns, schema=ANSWERS)


def value(table: pa.Table, metric: str) -> float:
    """A figure of a table of answers, the mean over its runs; NaN where nobody was asked."""
    return over_runs(table, metric)[0]


def interval(table: pa.Table, metric: str, groups: Mapping[str, str] | None = None, seed: int = 0) -> tuple[float, float]:  # fmt: skip
    """The middle 95 % of a figure under resampling of pictures (percentile bootstrap; B. Efron, 1979).

    Pictures of one group (of one organism, burst or record; `groups` by example) are drawn together.
    """
    if not table.num_rows:
        return float("nan"), float("nan")
    drawn = _drawn([(table, metric)], groups or {}, seed)[0]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def difference(one: pa.Table, other: pa.Table, metric: str, groups: Mapping[str, str] | None = None, seed: int = 0) -> tuple[float, float, float]:  # fmt: skip
    """A figure of one table less that of another, and the middle 95 % of it, both resampled by the same pictures.

    Raises ValueError when the two were not asked the same pictures.
    """
    if set(one["example"].to_pylist()) != set(other["example"].to_pylist()):
        raise ValueError("two models can be compared only on the same pictures")
    drawn = _drawn([(one, metric), (other, metric)], groups or {}, seed)
    low, high = np.nanquantile(drawn[0] - drawn[1], [0.025, 0.975])
    return value(one, metric) - value(other, metric), float(low), float(high)


def _drawn(tables: Sequence[tuple[pa.Table, str]], groups: Mapping[str, str], seed: int, at_once: int = 50) -> list[Floats]:  # fmt: skip
    """Figures of each table under the same N_DRAWS draws of groups of pictures."""
    runs = [[Scored(part) for part in _runs(table)] for table, _ in tables]
    names = np.unique(np.concatenate([one.examples for one in runs[0]]))
    keys, group_of = np.unique([groups.get(name) or name for name in names], return_inverse=True)
    random = np.random.default_rng(seed)
    made: list[list[Floats]] = [[] for _ in tables]
    for start in range(0, N_DRAWS, at_once):
        n = min(at_once, N_DRAWS - start)
        drawn = random.integers(0, len(keys), (n, len(keys)))
        counts = np.stack([np.bincount(row, minlength=len(keys)) for row in drawn]).astype(np.float64)  # fmt: skip
        for k, (its, (_, metric)) in enumerate(zip(runs, tables, strict=True)):
            at = [group_of[np.searchsorted(names, one.examples)][one.example_of] for one in its]
            with np.errstate(
                invalid="ignore", divide="ignore"
            ):  # a draw without any of a run's pictures
                made[k].append(np.nanmean([METRICS[metric](one, counts[:, where]) for one, where in zip(its, at, strict=True)], axis=0))  # fmt: skip
    return [np.concatenate(parts) for parts in made]


def over_runs(table: pa.Table, metric: str) -> tuple[float, float, int]:
    """Mean and standard deviation (of n, as the original tells it) of a figure over folds or seeds, and their number."""
    found = [float(METRICS[metric](Scored(part), np.ones((1, part.num_rows)))[0]) for part in _runs(table)]  # fmt: skip
    if not found or all(v != v for v in found):
        return float("nan"), float("nan"), len(found)
    return float(np.nanmean(found)), float(np.nanstd(found)), len(found)


def _runs(table: pa.Table) -> list[pa.Table]:
    """The answers of each fold or seed."""
    runs = table["run"].fill_null(0).to_numpy()
    return [table.filter(pa.array(runs == run)) for run in np.unique(runs)]
