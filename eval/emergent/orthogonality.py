"""Does what varies within a species, its sexes or ages, lie across the directions in which species differ?

After the appendix of BioCLIP 2 (arXiv 2505.23883, section 5), whose code was not published: a species is the mean of the
means of its variants; the species' means, centred, span the species' space (SVD, its first r directions); a variant
difference is the difference of a species' two means. Two numbers: rho, the share of the difference that lies in the
species' space, lower where the two are orthogonal; and Fisher's discriminant ratio, the squared difference over the sum of
the two variances, higher where variants stay apart.

Means of few pictures differ by chance, and such noise is shared between a space and a difference found in the same
pictures. So the space comes from one half of the pictures of each variant and the difference from the other, over many
halvings; and from the squares is taken what noise adds to them (the variance of the means). `as published` is without that
last step. Pictures of one group (an organism, a burst, a record) count as one, their mean. The space itself is still found
on few pictures, which makes it a little too large and rho a little too small: compare models on the same pictures.

A random space of r directions holds r / D of anything; but directions are not alike, so beside it is told what a space of r
holds that was found from what is left of the pictures without species and variant, dealt out anew: directions of noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST = 6  # pictures (or groups of them) of each variant of a species
N_HALVINGS, N_TRIPLES = 10, 300
EXPLAINED = 0.9  # of the variance between species, by the space of all of them


@dataclass(frozen=True)
class Estimate:
    """A figure, and 95 % of it by the jackknife over species (Student's t)."""

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
    rho_noise: float  # by a space of what varies within species and variants, dealt out anew
    angle: float  # the mean squared cosine of the angles between the species' space and that of the differences
    fdr: Estimate  # noise taken off
    fdr_published: float
    fdr_shuffled: float  # with variants dealt out anew within species

    @property
    def by_chance(self) -> float:
        """What a random space holds of anything: r / D."""
        return self.r / self.dim


Both = tuple[Ints, ...]  # the places of a species' pictures, by variant


def cells(species: Ints, variant: Ints) -> list[Both]:
    """Of every species with enough pictures of both variants (0 and 1; others are left aside), the places of each."""
    found = []
    for s in range(int(species.max(initial=-1)) + 1):
        both: Both = tuple(np.flatnonzero((species == s) & (variant == v)) for v in (0, 1))
        if min(map(len, both)) >= LEAST:
            found.append(both)
    return found


def units(
    vectors: Floats, species: Ints, variant: Ints, groups: Sequence[str | None]
) -> tuple[Floats, Ints, Ints]:
    """One row per picture, or per group of pictures of a species and variant, their mean; those of neither are left out."""
    keep = np.flatnonzero((species >= 0) & (variant >= 0))
    keys = [(int(species[i]), int(variant[i]), groups[int(i)] or int(i)) for i in keep]
    places: dict[tuple[int, int, str | int], list[int]] = {}
    for i, key in zip(keep, keys, strict=True):
        places.setdefault(key, []).append(int(i))
    means = [vectors[its].mean(0) for its in places.values()]
    made = np.stack(means) if means else np.zeros((0, vectors.shape[1]))
    return made, np.array([k[0] for k in places], dtype=np.int64), np.array([k[1] for k in places], dtype=np.int64)  # fmt: skip


def orthogonality(vectors: Floats, species: Ints, variant: Ints, *, by_three: bool, seed: int = 0) -> Orthogonality:  # fmt: skip
    """Of pictures (n, D), their species (n,) and variants (n,): 0, 1, or -1 for neither; `units` makes them independent.

    With `by_three` the space is of three species at a time, r = 2, as the original shows it, over many triples in which
    every species comes as often. Raises ValueError with fewer than three species that have enough pictures of both variants.
    """
    found = cells(species, variant)
    if len(found) < 3:
        raise ValueError(f"{len(found)} species have {LEAST} pictures (or groups) of both variants; it takes three")  # fmt: skip
    random = np.random.default_rng(seed)
    groups = _triples(len(found), random) if by_three else np.arange(len(found))[None]
    own, strange = _Sums(len(found)), _Sums(len(found))
    ranks, angles = list[int](), list[float]()
    for _ in range(N_HALVINGS):
        halves = [tuple(_halved(part, random) for part in both) for both in found]
        one, other = ([tuple(half[i] for half in both) for both in halves] for i in (0, 1))
        means = _means(vectors, one)
        deltas = _Deltas.of(vectors, other)
        noise = _means(_residuals(vectors, one), _renamed(one, random))
        for group in groups:
            basis = _basis(means[group], by_three)
            own.add(deltas, basis, group)
            ranks.append(len(basis))
            angles.append(_angle(basis, deltas.delta[group]))
            strange.add(deltas, _basis(noise[group], by_three, len(basis)), group)
    fdr, fdr_published = _fdr(vectors, found)
    is_apart = fdr.low > 0  # else there is no difference, so no direction
    nothing = Estimate(float("nan"))
    return Orthogonality(
        "three species" if by_three else "all species", float(np.mean(ranks)), vectors.shape[1], len(found),
        _ratio(own.inside, own.whole) if is_apart else nothing, float((own.shares / own.n).mean()),
        _ratio(own.spread_inside, own.spread), (_ratio(strange.inside, strange.whole) if is_apart else nothing).value,
        float(np.mean(angles)), fdr, fdr_published, _fdr(vectors, [_dealt(both, random) for both in found])[0].value,
    )  # fmt: skip


class _Sums:
    """Per species (K,), over halvings and triples: what is in the space and in all, of squares and of variances."""

    def __init__(self, k: int) -> None:
        self.inside, self.whole = np.zeros(k), np.zeros(k)  # of differences, noise taken off
        self.shares = np.zeros(k)  # of differences, noise left in
        self.spread_inside, self.spread = np.zeros(k), np.zeros(k)
        self.n = np.zeros(k)

    def add(self, deltas: _Deltas, basis: Floats, group: Ints) -> None:
        """What the species of a group have in a space (r, D)."""
        for s in group:
            inside = [float(((part @ basis.T) ** 2).sum()) for part in deltas.spread[s]]
            whole = [float((part**2).sum()) for part in deltas.spread[s]]
            square_inside = float(((basis @ deltas.delta[s]) ** 2).sum())
            square = float((deltas.delta[s] ** 2).sum())
            self.inside[s] += square_inside - sum(v / n for v, n in zip(inside, deltas.n[s], strict=True))  # fmt: skip
            self.whole[s] += square - sum(v / n for v, n in zip(whole, deltas.n[s], strict=True))
            self.shares[s] += square_inside / max(square, 1e-300)
            self.spread_inside[s] += sum(inside)
            self.spread[s] += sum(whole)
            self.n[s] += 1


def _triples(k: int, random: np.random.Generator) -> Ints:
    """Groups of three, drawn so that every species comes as often, or once less."""
    rounds = -(-N_TRIPLES // (k // 3))
    return np.concatenate([random.permutation(k)[: k // 3 * 3].reshape(-1, 3) for _ in range(rounds)])  # fmt: skip


def _residuals(vectors: Floats, both: list[Both]) -> Floats:
    """The vectors less the mean of their species and variant; of pictures that are not in any, as they are."""
    made = vectors.copy()
    for part in itertools.chain.from_iterable(both):
        made[part] -= vectors[part].mean(0)
    return made


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


def _ratio(inside: Floats, whole: Floats) -> Estimate:
    """The ratio of sums over species (K,), and 95 % of it; NaN where noise is all there is."""
    if whole.sum() <= 0:
        return Estimate(float("nan"))
    own = float(inside.sum() / whole.sum())
    left = (inside.sum() - inside) / (whole.sum() - whole)
    return _told(own, left)


def _told(own: float, left: Floats) -> Estimate:
    """A figure with its interval, from its values without each of the species (B. Efron and C. Stein, 1981)."""
    from scipy.stats import t

    n = len(left)
    far = float(t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))
    return Estimate(own, own - far, own + far)


def _fdr(vectors: Floats, found: list[Both]) -> tuple[Estimate, float]:
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
    return _told(float(values.mean()), (values.sum() - values) / (len(values) - 1)), float(np.mean(plain))  # fmt: skip
