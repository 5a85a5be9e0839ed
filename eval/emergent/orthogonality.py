"""Does what varies within a species, its sexes or ages, lie across the directions in which species differ?

After the appendix of BioCLIP 2 (arXiv 2505.23883, section 5), whose code was not published: a species is the mean of the
means of its variants; the species' means, centred, span the species' space (SVD, its first r directions); a variant
difference is the difference of a species' two means. Two numbers: rho, the share of the difference that lies in the
species' space, lower where the two are orthogonal; and Fisher's discriminant ratio, the squared difference over the sum of
the two variances, higher where variants stay apart.

Means of few pictures differ by chance, and such noise is shared between a space and a difference found in the same
pictures. So the space comes from one half of the pictures of each variant and the difference from the other, over many
halvings; and from the squares is taken what noise adds to them (the variance of the means). `as published` is without that
last step. A random space of r directions holds r / D of anything, and directions are not alike: what a space of r found
from species' names dealt out anew among the pictures holds is beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST = 4  # pictures of each variant of a species
N_HALVINGS, N_BOOT = 10, 500
MAX_TRIPLES = 300
EXPLAINED = 0.9  # of the variance between species, by the space of all of them


@dataclass(frozen=True)
class Estimate:
    """A figure, and its middle 95 % when species are drawn anew."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class Orthogonality:
    """Of one variant by one model: rho and its kin by the name of the figure, with what each is measured against."""

    space: str  # "three species" at a time, or "all species"
    r: float  # directions of the species' space, the mean over halvings
    dim: int
    n_species: int
    rho: Estimate  # noise taken off; NaN where the variants are not told apart, for then there is no direction
    rho_published: float  # the mean over species of shares, noise left in
    rho_spread: Estimate  # of the variance within variants instead of the difference between them
    rho_shuffled: float  # by a space of species whose names were dealt out anew
    angle: float  # the mean squared cosine of the angles between the species' space and that of the differences
    fdr: Estimate  # noise taken off
    fdr_published: float
    fdr_shuffled: float  # with variants dealt out anew within species

    @property
    def by_chance(self) -> float:
        """What a random space holds of anything: r / D."""
        return self.r / self.dim


@dataclass
class _Sums:
    """Per species (K,): what is in the species' space and what is in all, of the squares and of the variances."""

    inside: Floats  # noise taken off
    whole: Floats
    raw_inside: Floats
    raw_whole: Floats
    spread_inside: Floats
    spread: Floats


Both = tuple[Ints, ...]  # the places of a species' pictures, by variant


def cells(species: Ints, variant: Ints) -> list[Both]:
    """Of every species with enough pictures of both variants (0 and 1; others are left aside), the places of each."""
    found = []
    for s in range(int(species.max(initial=-1)) + 1):
        both: Both = tuple(np.flatnonzero((species == s) & (variant == v)) for v in (0, 1))
        if min(map(len, both)) >= LEAST:
            found.append(both)
    return found


def orthogonality(vectors: Floats, species: Ints, variant: Ints, *, by_three: bool, seed: int = 0) -> Orthogonality:  # fmt: skip
    """Of pictures (n, D), their species (n,) and variants (n,): 0, 1, or -1 for neither.

    With `by_three` the space is of three species at a time, r = 2, as the original shows it, over all triples or many
    of them. Raises ValueError with fewer than three species that have enough pictures of both variants.
    """
    found = cells(species, variant)
    if len(found) < 3:
        raise ValueError(
            f"{len(found)} species have {LEAST} pictures of both variants; it takes three"
        )
    random = np.random.default_rng(seed)
    groups = _triples(len(found), random) if by_three else np.arange(len(found))[None]
    sums, strangers, ranks, angles = list[_Sums](), list[_Sums](), list[int](), list[float]()
    for _ in range(N_HALVINGS):
        halves = [tuple(_halved(part, random) for part in both) for both in found]
        one, other = ([tuple(half[i] for half in both) for both in halves] for i in (0, 1))
        means = _means(vectors, one)
        deltas = _Deltas.of(vectors, other)
        strange = _means(vectors, _renamed(one, random))
        for group in groups:
            basis = _basis(means[group], by_three)
            sums.append(deltas.against(basis, group, len(found)))
            ranks.append(len(basis))
            angles.append(_angle(basis, deltas.delta[group]))
            strangers.append(deltas.against(_basis(strange[group], by_three, len(basis)), group, len(found)))  # fmt: skip
    every = np.tile(groups, (N_HALVINGS, 1))
    fdr, fdr_published = _fdr(vectors, found, random)
    nothing = Estimate(float("nan")) if fdr.low <= 0 else None  # no difference, so no direction
    return Orthogonality(
        "three species" if by_three else "all species", float(np.mean(ranks)), vectors.shape[1], len(found),
        nothing or _ratio([s.inside for s in sums], [s.whole for s in sums], every, random),
        float(np.mean([(s.raw_inside[g] / s.raw_whole[g]).mean() for s, g in zip(sums, itertools.cycle(groups), strict=False)])),
        _ratio([s.spread_inside for s in sums], [s.spread for s in sums], every, random),
        (nothing or _ratio([s.inside for s in strangers], [s.whole for s in strangers], every, random)).value, float(np.mean(angles)), fdr, fdr_published,
        _fdr(vectors, [_dealt(both, random) for both in found], random)[0].value,
    )  # fmt: skip


def _triples(k: int, random: np.random.Generator) -> Ints:
    every = np.array(list(itertools.combinations(range(k), 3))) if k <= 40 else (
        np.stack([random.choice(k, 3, replace=False) for _ in range(MAX_TRIPLES)]))  # fmt: skip
    return every if len(every) <= MAX_TRIPLES else random.permutation(every)[:MAX_TRIPLES]


def _halved(places: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    mixed = random.permutation(places)
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def _means(vectors: Floats, both: list[Both]) -> Floats:
    """Of each species the mean of the means of its variants, (K, D)."""
    return np.stack([np.mean([vectors[part].mean(0) for part in parts], axis=0) for parts in both])


def _renamed(both: list[Both], random: np.random.Generator) -> list[Both]:
    """The same pictures and numbers, dealt out anew among the species, variants apart."""
    made: list[list[Ints]] = [[] for _ in both]
    for v in (0, 1):
        every = random.permutation(np.concatenate([parts[v] for parts in both]))
        for own, part in zip(made, np.split(every, np.cumsum([len(parts[v]) for parts in both])[:-1]), strict=True):  # fmt: skip
            own.append(part)
    return [tuple(parts) for parts in made]


def _dealt(both: Both, random: np.random.Generator) -> Both:
    """A species' pictures dealt out anew to its two variants."""
    mixed = random.permutation(np.concatenate(both))
    return mixed[: len(both[0])], mixed[len(both[0]) :]


def _basis(means: Floats, by_three: bool, r: int | None = None) -> Floats:
    """Orthonormal rows (r, D): the species' directions, as many as explain most of what is between them, or r."""
    _, s, v = np.linalg.svd(means - means.mean(0), full_matrices=False)
    most = int((s > 1e-9 * max(s[0], 1e-300)).sum())
    if r is None:
        share = np.cumsum(s**2) / max((s**2).sum(), 1e-300)
        r = len(means) - 1 if by_three else int(np.searchsorted(share, EXPLAINED)) + 1
    return np.asarray(v[: max(1, min(r, most))])


def _angle(basis: Floats, deltas: Floats) -> float:
    """The mean squared cosine of the principal angles between a space and that of as many differences."""
    _, s, v = np.linalg.svd(deltas, full_matrices=False)
    own = v[: max(1, min(len(basis), int((s > 1e-9 * max(s[0], 1e-300)).sum())))]
    return float((np.linalg.svd(basis @ own.T, compute_uv=False) ** 2).mean())


@dataclass
class _Deltas:
    """Of K species: the differences of their variants (K, D), and the deviations they are measured by."""

    delta: Floats
    spread: list[list[Floats]]  # of each species and variant: deviations (n, D) over sqrt(n - 1)
    n: list[list[int]]

    @classmethod
    def of(cls, vectors: Floats, both: list[Both]) -> _Deltas:
        delta, spread, n = [], [], []
        for parts in both:
            means = [vectors[part].mean(0) for part in parts]
            delta.append(means[0] - means[1])
            spread.append([(vectors[part] - mean) / max(len(part) - 1, 1) ** 0.5 for part, mean in zip(parts, means, strict=True)])  # fmt: skip
            n.append([len(part) for part in parts])
        return cls(np.stack(delta), spread, n)

    def against(self, basis: Floats, group: Ints, k: int) -> _Sums:
        """Sums over a basis of species in `group`; zeros for all others of the k."""
        made = _Sums(*(np.zeros(k) for _ in range(6)))
        for s in group:
            inside = [float(((part @ basis.T) ** 2).sum()) for part in self.spread[s]]
            whole = [float((part**2).sum()) for part in self.spread[s]]
            made.raw_inside[s] = ((basis @ self.delta[s]) ** 2).sum()
            made.raw_whole[s] = (self.delta[s] ** 2).sum()
            made.inside[s] = made.raw_inside[s] - sum(v / n for v, n in zip(inside, self.n[s], strict=True))  # fmt: skip
            made.whole[s] = made.raw_whole[s] - sum(v / n for v, n in zip(whole, self.n[s], strict=True))  # fmt: skip
            made.spread_inside[s], made.spread[s] = sum(inside), sum(whole)
        return made


def _ratio(
    inside: list[Floats], whole: list[Floats], groups: Ints, random: np.random.Generator
) -> Estimate:
    """The ratio of sums over halvings (and triples) and species, and its middle 95 % when species are drawn anew.

    A triple counts in a draw as often as its three species are drawn together. NaN where noise is all there is.
    """
    above, below = np.stack(inside), np.stack(whole)
    sums = above.sum(1), below.sum(1)

    def of(weights: Floats) -> float:
        if groups.shape[1] == len(weights):
            return _share(float(above.sum(0) @ weights), float(below.sum(0) @ weights))
        together = weights[groups].prod(1)
        return _share(float(sums[0] @ together), float(sums[1] @ together))

    k = above.shape[1]
    drawn = [of(np.bincount(random.integers(0, k, k), minlength=k).astype(float)) for _ in range(N_BOOT)]  # fmt: skip
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if np.isfinite(drawn).any() else (np.nan, np.nan)  # fmt: skip
    return Estimate(of(np.ones(k)), float(low), float(high))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _fdr(vectors: Floats, found: list[Both], random: np.random.Generator) -> tuple[Estimate, float]:  # fmt: skip
    """Fisher's ratio of all pictures, the mean over species: noise taken off, and as published."""
    free, plain = [], []
    for parts in found:
        means = [vectors[part].mean(0) for part in parts]
        spread = [float(((vectors[part] - mean) ** 2).sum()) / max(len(part) - 1, 1) for part, mean in zip(parts, means, strict=True)]  # fmt: skip
        square = float(((means[0] - means[1]) ** 2).sum())
        total = max(sum(spread), 1e-300)
        plain.append(square / total)
        free.append((square - sum(v / len(part) for v, part in zip(spread, parts, strict=True))) / total)  # fmt: skip
    values = np.array(free)
    drawn = values[random.integers(0, len(values), (N_BOOT, len(values)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high)), float(np.mean(plain))
