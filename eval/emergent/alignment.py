"""Does the space of pictures follow a trait of the species: a beak's depth, a habitat, a diet?

A species is the mean of its pictures' unit vectors. For a number: its rank correlation with the first axis of the species
(what the original showed, in two dimensions), with an axis found by ridge regression on other species, and on species of
other clades only; and of distances with differences of the trait, tree distances held constant (partial Mantel test; P.
Smouse et al., 1986, over ranks). For classes: how many of a species' nearest are of its class, in all and outside its own
family; the silhouette; and how well an axis for each class tells it from the others, on other species and other clades.

Every figure has two chances behind it: the trait dealt out among the species at random, and dealt out as it might have
come down the same tree apart from the looks (`ancestry`). Only what beats the second says more than that relatives are
alike; a Mantel test against the first alone takes ancestry for more than it is (G. Guillot, F. Rousset, 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.emergent import ancestry
from eval.emergent.ancestry import Floats, Ints, Lineages

N_DRAWS, N_FOLDS, N_NEAR = 999, 5, 5
LEVEL = 0.05
BEYOND = "beyond ancestry"  # the verdict that says most
HARDEST = "axis read on other clades"  # the figure that asks most
SIGNED = ("axis read on other species", HARDEST, "distances, ancestry held constant", "silhouette")  # from -1  # fmt: skip
LEAST_SPECIES, LEAST_OF_CLASS, LEAST_CLADES = 12, 4, 6


@dataclass(frozen=True)
class Alignment:
    """One figure of one trait (NaN: it cannot be asked): its value, 95 % (by leaving out clades), what chance gives, and how rarely as much."""

    figure: str
    value: float
    low: float  # NaN where there are too few clades to leave one out
    high: float
    chance: float  # the mean over traits dealt out at random
    p_random: float
    kin: float  # the mean over traits that came down the tree by themselves
    p_kin: float
    p_together: float  # the same, for all figures of the trait asked at once
    has_tree: bool = True  # False where ancestry is not stated: `Lineages.is_tree`

    @property
    def verdict(self) -> str:
        """What the two chances leave of it."""
        if self.value != self.value:
            return "cannot be asked"
        if not self.p_random < LEVEL:
            return "not told from chance"
        if not self.has_tree:
            return "more than chance, ancestry unknown"
        return BEYOND if self.p_together < LEVEL else "no more than ancestry"


Figure = Callable[
    ["Space", NDArray[Any]], Floats
]  # of traits (K, T), the first of which is the one; (T,)


@dataclass(frozen=True)
class Space:
    """K species in the space of a model: `means` (K, D), their lineages, clades (K,) that folds keep together, and folds."""

    means: Floats
    lineages: Lineages
    families: Ints  # (K,) of the lowest rank but the genus
    clades: Ints
    folds: Ints  # at random
    clade_folds: Ints

    @classmethod
    def of(cls, means: Floats, lineages: Lineages, seed: int = 0) -> Space:
        """Raises ValueError where there are too few species to say anything."""
        k = len(means)
        if k < LEAST_SPECIES:
            raise ValueError(f"{k} species have the trait and enough pictures; it takes {LEAST_SPECIES}")  # fmt: skip
        random = np.random.default_rng(seed)
        _, clades = lineages.blocks()
        sizes = np.bincount(clades)
        clade_folds, load = np.zeros(len(sizes), dtype=np.int64), np.zeros(N_FOLDS)
        for clade in np.argsort(-sizes, kind="stable"):
            clade_folds[clade] = load.argmin()
            load[load.argmin()] += sizes[clade]
        return cls(means - means.mean(0), lineages, lineages.nodes[-2 if len(lineages.nodes) > 1 else -1], clades,
                   random.permutation(k) % N_FOLDS, clade_folds[clades])  # fmt: skip

    def axis(self) -> Floats:
        """Where the species lie on the first principal axis, (K,)."""
        u, s, _ = np.linalg.svd(self.means, full_matrices=False)
        return np.asarray(u[:, 0] * s[0])

    def cosines(self, own: float = -np.inf) -> Floats:
        """Of each two species, as seen from the mean of all, (K, K); `own` with itself."""
        unit = self.means / np.maximum(np.linalg.norm(self.means, axis=1, keepdims=True), 1e-12)
        made = np.asarray(unit @ unit.T)
        np.fill_diagonal(made, own)
        return made

    def only(self, keep: NDArray[np.bool_]) -> Space:
        """Some of the species, as if there were no others; folds as they are."""
        return replace(self, means=self.means[keep] - self.means[keep].mean(0), lineages=self.lineages.only(keep),
                       families=self.families[keep], clades=self.clades[keep], folds=self.folds[keep], clade_folds=self.clade_folds[keep])  # fmt: skip

    def reader(self, folds: Ints) -> Floats:
        """The matrix (K, K) that takes a trait to what ridge regressions on the other folds read in each species.

        Penalty: the mean eigenvalue of what is learned from. Each fold's scores count from the mean of all species, and
        the trait from that of those it is learned from.
        """
        gram = self.means @ self.means.T
        made = np.zeros_like(gram)
        for fold in np.unique(folds):
            test, taught = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            if not len(taught):
                continue
            middle = np.eye(len(taught)) - 1 / len(taught)
            inner = middle @ gram[np.ix_(taught, taught)] @ middle
            inner[np.diag_indices_from(inner)] += max(np.trace(inner) / len(taught), 1e-12)
            made[np.ix_(test, taught)] = gram[np.ix_(test, taught)] @ middle @ np.linalg.solve(inner, middle)  # fmt: skip
        return made


def of_number(space: Space, trait: Floats, *, seed: int = 0, n: int = N_DRAWS) -> list[Alignment]:
    """Figures of a trait that is a number, (K,)."""
    random = np.random.default_rng(seed)
    drawn = np.stack([random.permutation(trait) for _ in range(n)], 1)
    every = np.concatenate([trait[:, None], drawn, *ancestry.numbers(space.lineages, trait, n, random)], 1)  # fmt: skip
    figures: dict[str, Figure] = {
        "first axis": _first_axis,
        "axis read on other species": lambda space, every: _correlations(space.reader(space.folds) @ every, every),
        HARDEST: lambda space, every: _correlations(space.reader(space.clade_folds) @ every, every),
        "distances, ancestry held constant": _mantel,
    }  # fmt: skip
    return _together([_told(name, figure, space, every, n) for name, figure in figures.items()])


def on_other_clades(space: Space, trait: Floats, *, is_number: bool) -> float:
    """The figure that asks most, alone: how well the trait is read in species whose clade was kept out."""
    if is_number:
        return float(_correlations(space.reader(space.clade_folds) @ trait[:, None], trait[:, None])[0])  # fmt: skip
    return float(_areas(space.reader(space.clade_folds), trait.astype(np.int64)[:, None])[0])


def of_classes(space: Space, labels: Ints, *, seed: int = 0, n: int = N_DRAWS) -> list[Alignment]:
    """Figures of a trait that is one of C classes, (K,) from 0, each there at least once."""
    random = np.random.default_rng(seed)
    drawn = np.stack([random.permutation(labels) for _ in range(n)], 1)
    every = np.concatenate([labels[:, None], drawn, *ancestry.classes(space.lineages, labels, n, random)], 1)  # fmt: skip
    figures: dict[str, Figure] = {
        "nearest of its class": lambda space, every: _purity(space, every, None),
        "nearest outside its family": lambda space, every: _purity(space, every, space.families),
        "silhouette": _silhouettes,
        "axis read on other species, area": lambda space, every: _areas(space.reader(space.folds), every),
        f"{HARDEST}, area": lambda space, every: _areas(space.reader(space.clade_folds), every),
    }  # fmt: skip
    return _together([_told(name, figure, space, every, n) for name, figure in figures.items()])


def _told(name: str, figure: Figure, space: Space, every: NDArray[Any], n: int) -> Alignment:
    """A figure of a trait (first column), of n dealt out by chance and of twice n by ancestry; its interval by the jackknife.

    The jackknife leaves out one clade after another, and what is learned is learned anew (B. Efron and C. Stein, 1981).
    """
    values = figure(space, every)
    own, (random, *kins) = float(values[0]), np.split(values[1:], 3)
    has_tree = space.lineages.is_tree
    if own != own:
        return Alignment(name, own, own, own, own, 1.0, own, 1.0, 1.0, has_tree)
    low, high = _interval(figure, space, every, own)
    least = -1.0 if name in SIGNED else 0.0
    p = [(1 + int((part >= own - 1e-12).sum())) / (1 + n) for part in (random, *kins)]
    return Alignment(name, own, max(low, least) if low == low else low, min(high, 1.0) if high == high else high, float(random.mean()), p[0],
                     float(max(kin.mean() for kin in kins)), max(p[1:]), 1.0, has_tree)  # fmt: skip


def _interval(figure: Figure, space: Space, every: NDArray[Any], own: float) -> tuple[float, float]:
    """95 % of a figure by the jackknife over clades; NaN of too few."""
    from scipy.stats import t

    without = []
    for c in np.unique(space.clades):
        keep = space.clades != c
        if keep.sum() >= LEAST_SPECIES and len(np.unique(every[keep, 0])) > 1:
            without.append(float(figure(space.only(keep), _relabelled(every[keep, :1]))[0]))
    left = np.array([value for value in without if value == value])
    n = len(left)
    if n < LEAST_CLADES:
        return float("nan"), float("nan")
    far = float(t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))
    return own - far, own + far


def _together(told: list[Alignment]) -> list[Alignment]:
    """With what the rarest of several figures means (S. Holm, 1979); those that cannot be asked are not counted."""
    asked = [i for i, one in enumerate(told) if one.value == one.value]
    most, made = 0.0, list(told)
    for place, at in enumerate(sorted(asked, key=lambda i: told[i].p_kin)):
        most = max(most, min(1.0, (len(asked) - place) * told[at].p_kin))
        made[at] = replace(told[at], p_together=most)
    return made


def _relabelled(every: NDArray[Any]) -> NDArray[Any]:
    """Classes numbered from 0 again where some are gone; numbers as they are."""
    return every if every.dtype.kind == "f" else np.unique(every, return_inverse=True)[1].reshape(every.shape)  # fmt: skip


def _first_axis(space: Space, every: Floats) -> Floats:
    return np.abs(_correlations(np.broadcast_to(space.axis()[:, None], every.shape), every))


def _purity(space: Space, every: Ints, barred: Ints | None) -> Floats:
    """The share of the nearest species, outside those it shares `barred` with, that are of its class, over species that have any."""
    near = space.cosines()
    if barred is not None:
        near = np.where(barred[:, None] == barred, -np.inf, near)
    order = np.argsort(-near, axis=1, kind="stable")[:, : min(N_NEAR, len(near) - 1)]
    is_there = np.isfinite(np.take_along_axis(near, order, 1))
    same = (every[order] == every[:, None]) & is_there[..., None]  # (K, near, draws)
    has = is_there.any(1)
    if not has.any():
        return np.full(every.shape[1], np.nan)
    return np.asarray((same.sum(1)[has] / is_there.sum(1)[has, None]).mean(0))


def _ranks(values: Floats) -> Floats:
    """Ranks down each column, centred, of length 1; a column without differences is 0."""
    from scipy.stats import rankdata

    made = rankdata(values, axis=0)
    made = made - made.mean(0)
    return np.asarray(made / np.maximum(np.sqrt((made**2).sum(0)), 1e-12))


def _correlations(one: Floats, other: Floats) -> Floats:
    """Spearman's, column by column."""
    return np.asarray((_ranks(one) * _ranks(other)).sum(0))


def _mantel(space: Space, traits: Floats) -> Floats:
    """Of each trait (K, T), the first dealt out anew in all others: the rank correlation of its differences with distances,
    that with tree distances taken out of both."""
    upper, shared = space.lineages.pairs
    squares = (space.means**2).sum(1)
    far = np.sqrt(np.maximum(squares[:, None] + squares - 2 * space.means @ space.means.T, 0))[upper]  # fmt: skip
    apart = -shared.astype(np.float64)
    d, t = _ranks(far[:, None])[:, 0], _ranks(apart[:, None])[:, 0]
    dt = float(d @ t)
    known, code = np.unique(traits[:, 0], return_inverse=True)
    differences = np.abs(known[:, None] - known)
    own = differences[code[upper[0]], code[upper[1]]]
    values, first = np.unique(own, return_index=True)
    rank_of = _ranks(own[:, None])[first, 0][np.searchsorted(values, differences).clip(0, len(values) - 1)]  # fmt: skip
    made = []
    for column in np.searchsorted(known, traits).T:
        y = rank_of[column[upper[0]], column[upper[1]]]
        yt = float(y @ t)
        made.append((float(y @ d) - yt * dt) / max(np.sqrt((1 - yt**2) * (1 - dt**2)), 1e-12))
    return np.array(made)


def _silhouettes(space: Space, every: Ints) -> Floats:
    """P. J. Rousseeuw, 1987, over 1 - cosine, of each column of classes; a species alone in its class counts 0."""
    far = 1 - space.cosines(1.0)
    made = []
    for labels in every.T:
        one = np.eye(int(labels.max()) + 1)[labels]
        sizes = one.sum(0)
        to = far @ one
        mine = one.astype(bool)
        own = to[mine] / np.maximum(sizes[labels] - 1, 1)
        other = np.where(mine, np.inf, to / np.maximum(sizes, 1)).min(1)
        made.append(np.where(sizes[labels] > 1, (other - own) / np.maximum(np.maximum(own, other), 1e-12), 0).mean())  # fmt: skip
    return np.array(made)


def _areas(reader: Floats, every: Ints) -> Floats:
    return np.array([_mean_area(reader @ ancestry.one_hot(labels), labels) for labels in every.T])


def _mean_area(scores: Floats, labels: Ints) -> float:
    """How often a species of a class scores higher for it than one of another: the mean over classes; NaN of one class."""
    from scipy.stats import rankdata

    made = []
    for c in np.unique(labels):
        its = labels == c
        n, m = int(its.sum()), int((~its).sum())
        if n and m:
            made.append((rankdata(scores[:, c])[its].sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(made)) if made else float("nan")
