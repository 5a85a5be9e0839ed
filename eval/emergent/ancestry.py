"""How much of a trait is ancestry? Traits of the same ancestry, dealt out by chance: what alignment has to beat.

Relatives are alike in looks and in traits, so the two go together even where neither causes the other (J. Felsenstein,
"Phylogenies and the comparative method", 1985). Against that, a trait is drawn anew many times as it might have evolved
on the same tree by itself, with as much of it shared at every rank, and with the very values that were observed (after
F.-J. Lapointe and T. Garland, "A generalized permutation model for the analysis of cross-species data", 2001). Branches
have no lengths here: what species share at each rank is estimated from the trait (moments of pairs; J. K. Haseman and R.
C. Elston, 1972), made to rise with relatedness. That estimate is rough, so every question is put twice, to draws by it and
to draws with as much shared in all but evenly by rank, and the answer is the more cautious one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MAX_SHARED = 0.98  # of a trait's variance above the species, for the draw to be one
N_TRIALS, N_TRIED = 7, 40  # of how much thresholds weaken a likeness


@dataclass(frozen=True)
class Lineages:
    """The ranks above the species of K species: `nodes` (R, K), which taxon each belongs to, from the top.

    `stated` (K,) bool: whether one of the two ranks above the lowest, family or order, is; a genus alone is in every name.
    """

    nodes: Ints
    stated: NDArray[np.bool_]

    @classmethod
    def of(cls, paths: Sequence[Sequence[str]]) -> Lineages:
        """From names of each species from the top; a rank that is not stated ("") is shared with nobody, but by what is below."""
        filled = []
        for number, path in enumerate(paths):
            named, lowest = list(path), f"?{number}"
            for r in range(len(named) - 1, -1, -1):
                lowest = named[r] or f"?{lowest}"
                named[r] = lowest
            filled.append(named)
        depth = len(filled[0])
        heads = [["|".join(named[: r + 1]) for named in filled] for r in range(depth)]
        stated = np.array([any(path[-3:-1]) for path in paths])
        return cls(np.stack([np.unique(names, return_inverse=True)[1] for names in heads]), stated)

    def only(self, keep: NDArray[np.bool_]) -> Lineages:
        """Those of some of the species."""
        return Lineages(self.nodes[:, keep], self.stated[keep])

    @property
    def is_tree(self) -> bool:
        """True where ranks tell some species apart and some together, and most species state more than their genus."""
        return bool(self.splits.any()) and bool(self.stated.mean() > 0.5)

    @property
    def n_species(self) -> int:
        """K."""
        return int(self.nodes.shape[1])

    @cached_property
    def splits(self) -> NDArray[np.bool_]:
        """Which ranks tell some species apart and some together, (R,)."""
        n = np.array([len(np.unique(row)) for row in self.nodes])
        return np.asarray((n > 1) & (n < self.n_species))

    @cached_property
    def pairs(self) -> tuple[tuple[Ints, Ints], Ints]:
        """Every two species, and how many ranks they share."""
        upper = np.triu_indices(self.n_species, 1)
        return upper, self.shared()[upper]

    def shared(self) -> Ints:
        """How many ranks each two species share, (K, K), 0 to R."""
        return np.asarray(np.sum([row[:, None] == row[None] for row in self.nodes], axis=0))

    def blocks(self, least: int = 8) -> tuple[int, Ints]:
        """The highest rank with at least so many taxa, the lowest where none has: its place and the species' taxa."""
        n = [int(row.max()) + 1 for row in self.nodes]
        rank = next((r for r, found in enumerate(n) if found >= least), len(n) - 1)
        return rank, self.nodes[rank]


@dataclass(frozen=True)
class Shares:
    """Of a trait's variance: what its species share at each rank (R,), from the top; the rest is the species' own."""

    by_rank: Floats

    @property
    def own(self) -> float:
        """The share that relatives do not have in common."""
        return float(1 - self.by_rank.sum())

    def evenly(self, lineages: Lineages) -> Shares:
        """As much in all, every rank alike that tells species apart."""
        if not lineages.splits.any():
            return self
        return Shares(np.where(lineages.splits, self.by_rank.sum() / lineages.splits.sum(), 0.0))


def shares(lineages: Lineages, traits: Floats) -> Shares:
    """Of traits (K, T), each centred; all T together are one trait of T parts, such as which of T classes it is.

    The mean product of two species' values, by how many ranks they share, made to rise with it by pooling (weights:
    pairs): its increments over the variance.
    """
    upper, level = lineages.pairs
    products = (traits @ traits.T)[upper]
    depth = len(lineages.nodes)
    n = np.bincount(level, minlength=depth + 1).astype(np.float64)
    total = np.bincount(level, weights=products, minlength=depth + 1)
    likeness = _rising(np.divide(total, n, out=np.zeros_like(total), where=n > 0), n)
    scale = float((traits**2).sum(1).mean()) - likeness[0]
    if scale <= 0:
        return Shares(np.zeros(depth))
    found = np.clip(np.diff(likeness) / scale, 0, None)
    return Shares(found * min(1.0, MAX_SHARED / max(found.sum(), 1e-12)))


def _rising(values: Floats, weights: Floats) -> Floats:
    """The nearest values that never fall, by pooling neighbours that do (R. E. Barlow et al., 1972); weight 0: as before it."""
    pools: list[list[float]] = []  # value, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and (pools[-1][1] == 0 or pools[-2][0] >= pools[-1][0]):
            v, w, n = pools.pop()
            before = pools[-1]
            both = before[1] + w
            before[0] = (before[0] * before[1] + v * w) / both if both else before[0]
            before[1], before[2] = both, before[2] + n
    return np.concatenate([np.full(int(n), value) for value, _, n in pools])


def evolved(lineages: Lineages, share: Shares, n: int, random: np.random.Generator) -> Floats:
    """Values (K, n) as n traits would have come down the tree by themselves, of mean 0 and variance 1."""
    made = np.sqrt(share.own) * random.standard_normal((lineages.n_species, n))
    for row, part in zip(lineages.nodes, share.by_rank, strict=True):
        if part:
            made += np.sqrt(part) * random.standard_normal((int(row.max()) + 1, n))[row]
    return np.asarray(made)


def numbers(lineages: Lineages, values: Floats, n: int, random: np.random.Generator) -> list[Floats]:  # fmt: skip
    """The observed values (K,) dealt out n times (K, n), as they might have evolved apart from the looks; in two ways."""
    share = shares(lineages, normal_scores(values)[:, None])
    drawn = (evolved(lineages, way, n, random) for way in (share, share.evenly(lineages)))
    return [np.asarray(np.sort(values)[one.argsort(0).argsort(0)]) for one in drawn]


def normal_scores(values: Floats) -> Floats:
    """What a normal variable has at the ranks of values (K,), centred, of variance 1; of equal ones their mean rank."""
    from scipy.stats import norm, rankdata

    made = norm.ppf(rankdata(values) / (len(values) + 1))
    made -= made.mean()
    return np.asarray(made / max(made.std(), 1e-12))


def classes(lineages: Lineages, labels: Ints, n: int, random: np.random.Generator) -> list[Ints]:
    """The observed classes (K,) dealt out n times (K, n), each as often as it is there, as they might have evolved; in two ways.

    Every class is a liability that comes down the tree, and goes to the species where it is largest. Classes are less
    alike among relatives than liabilities, so that these are made more alike until the classes are as observed.
    """
    wanted, sizes = shares(lineages, one_hot(labels)), np.bincount(labels)
    made = []
    for way in (wanted, wanted.evenly(lineages)):
        total = float(way.by_rank.sum())
        low, high, factor = 1.0, 1.0 / max(total, 1e-3), 1.0
        for _ in range(N_TRIALS if total else 0):
            factor = (low * high) ** 0.5
            tried = _dealt(lineages, _more(way, factor), sizes, N_TRIED, random)
            got = np.mean([shares(lineages, one_hot(tried[:, i])).by_rank.sum() for i in range(N_TRIED)])  # fmt: skip
            low, high = (factor, high) if got < total else (low, factor)
        made.append(_dealt(lineages, _more(way, factor), sizes, n, random))
    return made


def one_hot(labels: Ints) -> Floats:
    """Classes (K,) as columns (K, C) of 0 and 1, centred."""
    made = np.eye(int(labels.max()) + 1)[labels]
    return np.asarray(made - made.mean(0))


def _more(share: Shares, factor: float) -> Shares:
    found = share.by_rank * factor
    return Shares(found * min(1.0, MAX_SHARED / max(found.sum(), 1e-12)))


def _dealt(lineages: Lineages, share: Shares, sizes: Ints, n: int, random: np.random.Generator) -> Ints:  # fmt: skip
    """Classes (K, n): the largest liability first, each class as often as `sizes` says."""
    k, n_classes = lineages.n_species, len(sizes)
    liabilities = np.stack([evolved(lineages, share, n, random) for _ in range(n_classes)], 1)
    made = np.full((k, n), -1)
    for i in range(n):
        left, free = sizes.copy(), k
        for at in np.argsort(-liabilities[:, :, i], axis=None):
            species, which = divmod(int(at), n_classes)
            if made[species, i] < 0 and left[which]:
                made[species, i] = which
                left[which] -= 1
                free -= 1
                if not free:
                    break
    return made
