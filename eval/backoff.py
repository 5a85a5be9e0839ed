"""How deep into the tree can an answer be trusted? Back-off to the deepest rank that is confident enough.

The probabilities of species (softmax of scaled cosines) are summed up the tree; the answer is the deepest taxon whose
probability reaches a threshold. For what the model cannot name, a species that is not among those it is asked about, the
right answer is the deepest taxon that they share, which a fifth of the species is kept out of the list to ask for.

Told: by rank, how often an answer goes so deep (coverage) and is then right (accuracy); over all thresholds, the area
under the curve of accuracy over coverage (R. El-Yaniv, Y. Wiener, 2010); how far up the tree mistakes meet the truth (L.
Bertinetto et al., CVPR 2020); the calibration error in 15 bins (C. Guo et al., ICML 2017); and how well the largest
probability tells known from unknown species (area under the ROC curve).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.ranks import RANKS
from eval import results, zero_shot
from eval.examples import Examples
from eval.features import Features
from eval.metrics import BETWEEN, UNKNOWN
from eval.model import Model
from eval.results import Outcome
from training import text

THRESHOLD = 0.5
HELD_OUT = 0.2  # of the species: not among those asked about
KIND = "taxon_com"
AT_ONCE = 4_000_000  # probabilities that stand at once

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = Mapping[str, Any]


class Tree:
    """The lineages of C species: for each rank, which taxon each species belongs to.

    A taxon is known by its lineage down to its rank; where a rank is not stated, it stands for the rank above. Species
    are put in the order of their lineages, so that those of a taxon lie together.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        found = [path(row) for row in rows]
        self.order = np.array(sorted(range(len(rows)), key=lambda i: found[i]), dtype=np.int64)
        self.paths: list[list[str]] = []  # by rank, of each taxon
        self.is_named: list[
            NDArray[np.bool_]
        ] = []  # by rank, of each taxon: its lineage states this rank
        self.of = np.zeros(
            (len(RANKS), len(rows)), dtype=np.int64
        )  # by rank and species: the taxon
        self._starts: list[Ints] = []  # by rank: where each taxon's species begin in `order`
        for r in range(len(RANKS)):
            heads = [BETWEEN.join(found[i][: r + 1]) for i in self.order]
            starts = [k for k, head in enumerate(heads) if k == 0 or head != heads[k - 1]]
            self._starts.append(np.array(starts, dtype=np.int64))
            self.paths.append([heads[k] for k in starts])
            self.is_named.append(np.array([bool(found[self.order[k]][r]) for k in starts]))
            self.of[r, self.order] = np.repeat(np.arange(len(starts)), np.diff([*starts, len(heads)]))  # fmt: skip

    @cached_property
    def _steps(self) -> list[Ints]:
        """By rank: where each taxon begins among those of the rank below."""
        below = [*self._starts[1:], np.arange(len(self.order))]
        return [np.searchsorted(b, a) for a, b in zip(self._starts, below, strict=True)]

    def sums(self, species: NDArray[Any]) -> list[NDArray[Any]]:
        """Probabilities of species (n, C) summed to the taxa of every rank, from the top: (n, taxa) each."""
        made, below = [], species[:, self.order]
        for starts in reversed(self._steps):
            below = np.add.reduceat(below, starts, axis=1)
            made.append(below)
        return made[::-1]

    def first(self, taxon: int) -> int:
        """The first species of a taxon of the lowest rank."""
        return int(self.order[self._starts[-1][taxon]])


def path(row: Row) -> list[str]:
    """The names of a lineage at all seven ranks; "" where one is not known."""
    return [str(row.get(rank) or "").replace(BETWEEN, " ") for rank in RANKS]


@dataclass(frozen=True)
class Answer:
    """Of each picture (n,): the rank of the answer (place in RANKS, -1: none), its taxon there, its probability."""

    rank: Ints
    taxon: Ints
    probability: Floats


def softmax(scores: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Rows that sum to 1, in the precision of the scores; in `out`, which may be the scores."""
    made = np.subtract(scores, scores.max(1, keepdims=True), out=out)
    np.exp(made, out=made)
    made /= made.sum(1, keepdims=True, dtype=np.float64).astype(made.dtype)
    return np.asarray(made)


def deepest(tree: Tree, sums: Sequence[NDArray[Any]], threshold: float = THRESHOLD) -> Answer:
    """The deepest taxon of each picture whose probability reaches the threshold, of what `Tree.sums` gives.

    At a rank that its lineage does not state a taxon is no answer, only a step to what is below.
    """
    n = len(sums[0])
    rank, taxon, sure = np.full(n, -1), np.full(n, -1), np.zeros(n)
    for r, summed in enumerate(sums):
        best = summed.argmax(1)
        value = summed[np.arange(n), best]
        goes = (value >= threshold) & tree.is_named[r][best]
        rank[goes], taxon[goes], sure[goes] = r, best[goes], value[goes]
    return Answer(rank, taxon, sure)


def kept_out(species: Sequence[str], share: float = HELD_OUT) -> set[str]:
    """Species that are not among those asked about: a share of them, chosen by a hash of their names."""
    ranked = sorted(
        set(species), key=lambda name: hashlib.sha256(f"kept out:{name}".encode()).digest()
    )
    return set(ranked[: round(share * len(ranked))])


def back_off(
    model: Model, examples: Examples, features: Features, threshold: float = THRESHOLD
) -> list[Outcome]:
    """Two outcomes over the same pictures: the deepest confident answer, and the likeliest species whatever its confidence.

    Raises ValueError without a text tower or lineages, and where fewer than two species are left to ask about.
    """
    rows, species = examples.rows(), examples.column("species")
    if not any(row["family"] or row["genus"] for row in rows):
        raise ValueError(f"{examples.name} states no ranks above its labels: there is nothing to back off to")  # fmt: skip
    first: dict[str, Row] = {}
    for row, name in zip(rows, species, strict=True):
        if name:
            first.setdefault(name, {**row, "canonicalName": name, "infraspecificEpithet": None})
    out = kept_out(sorted(first))
    asked = [name for name in sorted(first) if name not in out]
    if len(asked) < 2:
        raise ValueError(f"{examples.name} has {len(asked)} species to ask about; it needs two")
    tree = Tree([first[name] for name in asked])
    words = zero_shot.classifier(model, [text.words(first[name], KIND) for name in asked], [text.PROMPT.format])  # fmt: skip
    keep = np.array([i for i in np.flatnonzero(features.good) if species[i]], dtype=np.int64)
    truth = [("" if species[i] not in out else UNKNOWN) + BETWEEN.join(path(first[species[i]])) for i in keep]  # fmt: skip
    deep, flat = _asked(model, features.unit()[keep], words, tree, threshold)
    names = examples.column("example")
    columns = {"example": [names[i] for i in keep], "truth": truth}
    note: tuple[str, ...] = (f"{len(out)} of {len(first)} species are not among those asked about",)
    if n_without := sum(name is None for name in species):
        note += (f"{n_without} pictures whose species is not known are left out",)
    tables = [results.answers({**columns, "answer": said, "score": sure, "correct": [float(_is_right(a, t)) for a, t in zip(said, truth, strict=True)]})
              for said, sure in (deep, flat)]  # fmt: skip
    by_rank = tuple(f"{rank}: {what}" for rank in RANKS for what in ("coverage", "accuracy"))
    setting = f"{KIND}, {len(asked)} species"
    return [
        Outcome(model.name, examples.name, "back-off", "fixed", f"{setting}, threshold {threshold:g}", "net ranks right", 0.0, tables[0], note, ("right as far as it goes", *by_rank)),
        Outcome(model.name, examples.name, "confidence", "fixed", setting, "accuracy over coverage", (1 - len(out) / len(first)) / len(asked), tables[1], note,
                ("calibration error", "known told from unknown", "ranks to the mistake")),
    ]  # fmt: skip


def _asked(model: Model, images: NDArray[np.float32], words: NDArray[np.float32], tree: Tree, threshold: float) -> tuple[tuple[list[str], list[float]], tuple[list[str], list[float]]]:  # fmt: skip
    """Lineages and probabilities of the deepest answers, and of the likeliest species."""
    deep: tuple[list[str], list[float]] = ([], [])
    flat: tuple[list[str], list[float]] = ([], [])
    n = max(1, AT_ONCE // len(words))
    for start in range(0, len(images), n):
        chances = softmax(model.scale * (images[start : start + n] @ words.T).astype(np.float64))
        found = deepest(tree, tree.sums(chances), threshold)
        deep[0].extend("" if r < 0 else tree.paths[r][t] for r, t in zip(found.rank, found.taxon, strict=True))  # fmt: skip
        deep[1].extend(found.probability.tolist())
        best = chances.argmax(1)
        flat[0].extend(tree.paths[-1][tree.of[-1, b]] for b in best)
        flat[1].extend(chances.max(1).tolist())
    return deep, flat


def _is_right(answer: str, truth: str) -> bool:
    """True where all of the answer's lineage is the truth's; an answer that names nothing is right as far as it goes."""
    true = truth.removeprefix(UNKNOWN)
    return not answer or true == answer or true.startswith(answer + BETWEEN)
