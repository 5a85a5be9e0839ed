"""Figures of a table of answers (`results.ANSWERS`): each a function of weights per row, so that resampling is a product."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.ranks import RANKS

Floats = NDArray[np.float64]
N_BINS = 15  # of confidence (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)
BETWEEN = "|"  # of the names of a lineage
UNKNOWN = "unknown: "  # before the truth of a picture whose species was not among those asked about


class Scored:
    """A table of answers as arrays, for metrics: each is a function of weights per picture (draws, n)."""

    def __init__(self, table: pa.Table) -> None:
        self.correct = table["correct"].to_numpy(zero_copy_only=False).astype(np.float64)
        self._table = table
        names = table["example"].to_numpy(zero_copy_only=False)
        self.examples, self.example_of = np.unique(names.astype(str), return_inverse=True)

    def truths(self) -> NDArray[np.int64]:
        """The number of each answer's class."""
        return np.asarray(np.unique(self._table["truth"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1])  # fmt: skip

    def within(self, k: int) -> Floats:
        """1 where the truth is among the first k answers."""
        place = self._table["place"].fill_null(1_000_000).to_numpy()
        return np.asarray(place <= k, dtype=np.float64)

    def scores(self) -> Floats:
        """What the model gave each answer."""
        return np.asarray(self._table["score"].to_numpy(zero_copy_only=False), dtype=np.float64)

    def is_known(self) -> NDArray[np.bool_]:
        """False where the truth was not among what was asked about."""
        return np.array(
            [not truth.startswith(UNKNOWN) for truth in self._table["truth"].to_pylist()]
        )

    @cached_property
    def lineages(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """By row and rank (n, 7): the truth names it, the answer names it, the answer's lineage is right down to there."""
        true, said = (np.array([_ranks(text) for text in self._table[name].to_pylist()]).reshape(-1, len(RANKS)) for name in ("truth", "answer"))  # fmt: skip
        named = said != ""
        right = np.logical_and.accumulate((said == true) | ~named & (true == ""), axis=1) & named
        return true != "", named, right

    def bits(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Truths and answers of several yes-or-no questions at once, (n, questions), from texts of 0 and 1."""
        made = []
        for name in ("truth", "answer"):
            said = self._table[name].to_pylist()
            made.append(np.frombuffer("".join(said).encode(), dtype=np.uint8).reshape(len(said), -1) == ord("1"))  # fmt: skip
        return made[0], made[1]


Metric = Callable[[Scored, Floats], Floats]


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray((weights @ values) / weights.sum(1))


def _macro(scored: Scored, weights: Floats) -> Floats:
    """The mean over classes of the share that is right; a class that no draw holds does not count in it."""
    truths = scored.truths()
    order = np.argsort(truths, kind="stable")
    starts = np.searchsorted(truths[order], np.arange(truths.max() + 1))
    w = weights[:, order]
    total = np.add.reduceat(w, starts, axis=1)
    right = np.add.reduceat(w * scored.correct[order], starts, axis=1)
    share = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
    return np.asarray(share.sum(1) / (total > 0).sum(1))


def _f1(columns: int | None) -> Metric:
    """The mean over questions of F1, for all or for the first few; 0 for one that is never answered yes, as scikit-learn."""

    def metric(scored: Scored, weights: Floats) -> Floats:
        truth, answer = (part[:, :columns].astype(np.float64) for part in scored.bits())
        both, either = weights @ (truth * answer), weights @ (truth + answer)
        return np.asarray(np.divide(2 * both, either, out=np.zeros_like(both), where=either > 0).mean(1))  # fmt: skip

    return metric


def _ranks(lineage: str | None) -> list[str]:
    """The seven names of a lineage; "" where one is not stated, and below where it ends."""
    names = (lineage or "").removeprefix(UNKNOWN).split(BETWEEN)
    return [*names, *[""] * len(RANKS)][: len(RANKS)]


def _coverage(rank: int) -> Metric:
    """The share of answers that name a rank."""
    return lambda scored, weights: _mean(scored.lineages[1][:, rank].astype(np.float64), weights)


def _accuracy_at(rank: int) -> Metric:
    """Of the answers that name a rank, the share that is right there; NaN of none."""

    def metric(scored: Scored, weights: Floats) -> Floats:
        _, named, right = scored.lineages
        return _share(weights @ right[:, rank], weights @ named[:, rank], np.nan)

    return metric


def _share(part: Floats, whole: Floats, otherwise: float) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), otherwise), where=whole > 0))


def _net_ranks(scored: Scored, weights: Floats) -> Floats:
    """Ranks that the answer names rightly less those it names wrongly, of those the truth names: silence is 0."""
    true, named, right = (part.sum(1) for part in scored.lineages)
    return _mean((2.0 * right - named) / np.maximum(true, 1), weights)


def _mistake(scored: Scored, weights: Floats) -> Floats:
    """How many ranks the wrong answers name wrongly, on average; 0 where none is wrong."""
    _, named, right = (part.sum(1) for part in scored.lineages)
    return _share(weights @ (named - right), weights @ (named > right), 0.0)


def _calibration(scored: Scored, weights: Floats) -> Floats:
    """Expected calibration error: by bins of confidence, how far accuracy is from it."""
    scores = scored.scores()
    bins = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)
    made = np.zeros(len(weights))
    for b in np.unique(bins):
        its = bins == b
        made += np.abs(weights[:, its] @ (scored.correct - scores)[its])
    return np.asarray(made / weights.sum(1))


def _selective(scored: Scored, weights: Floats) -> Floats:
    """The mean accuracy of the surest answers over all shares of them (area under accuracy over coverage)."""
    order = np.argsort(-scored.scores(), kind="stable")
    w = weights[:, order]
    accuracy = (w * scored.correct[order]).cumsum(1) / np.maximum(w.cumsum(1), 1e-12)
    return np.asarray((accuracy * w).sum(1) / w.sum(1))


def _told_apart(scored: Scored, weights: Floats) -> Floats:
    """How often a picture of a known species has a larger score than one of an unknown (area under the ROC curve); NaN of one kind only."""
    known = scored.is_known()
    levels = np.unique(scored.scores(), return_inverse=True)[1]
    made = []
    for row in weights:
        k = np.bincount(levels, weights=row * known, minlength=levels.max() + 1)
        u = np.bincount(levels, weights=row * ~known, minlength=levels.max() + 1)
        pairs = k.sum() * u.sum()
        made.append((k * (u.cumsum() - u / 2)).sum() / pairs if pairs else np.nan)
    return np.array(made)


METRICS: dict[str, Metric] = {
    "accuracy": lambda scored, weights: _mean(scored.correct, weights),
    "macro accuracy": _macro,
    "top-3": lambda scored, weights: _mean(scored.within(3), weights),
    "top-5": lambda scored, weights: _mean(scored.within(5), weights),
    "exact match": lambda scored, weights: _mean(scored.correct, weights),
    "macro-F1": _f1(None),
    "macro-F1 of two attributes": _f1(2),
    "cluster accuracy": lambda scored, weights: _mean(scored.correct, weights),
    "net ranks right": _net_ranks,
    "right as far as it goes": lambda scored, weights: _mean(scored.correct, weights),
    "calibration error": _calibration,
    "accuracy over coverage": _selective,
    "known told from unknown": _told_apart,
    "ranks to the mistake": _mistake,
    **{f"{rank}: coverage": _coverage(r) for r, rank in enumerate(RANKS)},
    **{f"{rank}: accuracy": _accuracy_at(r) for r, rank in enumerate(RANKS)},
}
