"""The theorem behind it, checked by numbers: what contrastive training sees of a picture's deviation from its species.

BioCLIP 2 (arXiv 2505.23883, theorem 5.1): with species' prototypes mu_j and a picture of species k at mu_k + delta, the
loss L(delta) = log sum_j exp(s (mu_j - mu_k) . (mu_k + delta)) has the gradient s sum_j p_j (mu_j - mu_k) and the Hessian
s^2 Cov_p(mu). Both lie in the span of the differences of prototypes: what of delta lies across that span costs nothing,
what lies within it costs s^2/2 delta' Cov_p(mu) delta.

Where it does not hold is told beside: with unit vectors, as CLIP has them, the picture is (mu_k + delta) / |mu_k + delta|,
and a deviation across the span shrinks the margin, which costs as the table says; and where there are as many independent prototypes as dimensions, nothing
lies across their span, and the theorem says nothing. Then the question is how the prototypes fill it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SIZES = (0.1, 0.3, 0.5, 0.7, 1.0)  # of a deviation, as shares of a prototype's length
N_SPECIES, N_HESSIANS, N_DIRECTIONS = 8, 4, 64
TOLERANCE = 1e-6  # of what is to be nothing
N_COSINES = 2_000  # prototypes whose cosines are looked at
RELATIVE = 1e-9  # a direction with a smaller singular value than this share of the largest is none


@dataclass(frozen=True)
class Cost:
    """What a deviation of some size adds to the loss, the mean over species and directions."""

    size: float
    within: float  # in the span of differences of prototypes
    across: float  # orthogonal to it; NaN where there is no such direction
    anywhere: float  # in a random direction of all D


@dataclass(frozen=True)
class Check:
    """Of some prototypes at one scale: whether gradient and Hessian stay in the span, and what deviations cost."""

    name: str
    n: int
    dim: int
    span: int  # dimensions of the span of differences
    filled: float  # effective dimensions of it (participation ratio of the squared singular values)
    cosine: (
        float  # the mean absolute cosine between prototypes, 0 where they are orthogonal as assumed
    )
    scale: float
    normalised: bool
    gradient_outside: float  # share of the gradient's length that lies outside the span, the largest over a few species
    hessian_outside: float
    costs: tuple[Cost, ...]

    @property
    def says(self) -> str:
        """What of the theorem is left, by what was measured."""
        most = self.costs[-1]
        if self.span >= self.dim:
            return "says nothing: no direction is across"
        if not most.within > 0:
            return "says nothing: a deviation within costs nothing, too"
        if self.normalised:
            return f"across costs {most.across / most.within:.2f} of within"
        is_kept = max(self.gradient_outside, self.hessian_outside) < TOLERANCE and abs(most.across) < TOLERANCE * most.within  # fmt: skip
        return "holds" if is_kept else "does not hold"


def check(name: str, prototypes: Floats, scale: float, *, normalised: bool, seed: int = 0) -> Check:
    """Prototypes (N, D) at a scale (the inverse temperature), for some of the species; `normalised` as CLIP has pictures."""
    random = np.random.default_rng(seed)
    mu = torch.as_tensor(np.asarray(prototypes, dtype=np.float64))
    n, dim = mu.shape
    _, s, v = np.linalg.svd((mu - mu[0]).numpy(), full_matrices=False)
    span = torch.as_tensor(v[: int((s > RELATIVE * max(s[0], 1e-300)).sum())])
    centred = np.linalg.svd((mu - mu.mean(0)).numpy(), compute_uv=False) ** 2
    some = mu[random.permutation(n)[:N_COSINES]]
    unit = some / some.norm(dim=1, keepdim=True).clamp(min=1e-300)
    cosines = (unit @ unit.T).abs()
    species = random.permutation(n)[:N_SPECIES]
    outside = [_outside(mu, int(k), scale, span, normalised) for k in species[:N_HESSIANS]]
    costs = tuple(_cost(mu, species, scale, span, size, random, normalised) for size in SIZES)
    return Check(
        name, n, dim, len(span), float(centred.sum() ** 2 / max((centred**2).sum(), 1e-300)),
        float((cosines.sum() - cosines.diagonal().sum()) / (len(some) * (len(some) - 1))), scale, normalised,
        max(gradient for gradient, _ in outside), max(hessian for _, hessian in outside), costs,
    )  # fmt: skip


def toy(n: int, dim: int, overlap: float = 0.0, seed: int = 0) -> Floats:
    """n unit vectors in D dimensions with a cosine of `overlap` between any two, turned at random; n must be below D."""
    random = np.random.default_rng(seed)
    turned = np.linalg.qr(random.standard_normal((dim, n + 1)))[0].T
    return np.asarray(np.sqrt(1 - overlap) * turned[:n] + np.sqrt(overlap) * turned[n])


def loss(mu: torch.Tensor, k: int, delta: torch.Tensor, scale: float, normalised: bool) -> torch.Tensor:  # fmt: skip
    """The contrastive loss of pictures of species k that deviate by delta (m, D), (m,)."""
    picture = mu[k] + delta
    if normalised:
        picture = picture / picture.norm(dim=-1, keepdim=True)
    logits = scale * (picture @ mu.T)
    return torch.logsumexp(logits, -1) - logits[..., k]


def _outside(mu: torch.Tensor, k: int, scale: float, span: torch.Tensor, normalised: bool) -> tuple[float, float]:  # fmt: skip
    """Shares of the gradient and of the Hessian that lie outside the span, half way to the nearest other prototype.

    At the prototype itself a large scale leaves nothing of either but rounding.
    """

    def one(delta: torch.Tensor) -> torch.Tensor:
        return loss(mu, k, delta[None], scale, normalised)[0]

    far = (mu - mu[k]).norm(dim=1)
    far[k] = torch.inf
    at = (mu[far.argmin()] - mu[k]) / 2
    gradient = torch.autograd.functional.jacobian(one, at)
    hessian = torch.autograd.functional.hessian(one, at)
    return _share(gradient[None], span), _share(hessian, span)


def _share(rows: torch.Tensor, span: torch.Tensor) -> float:
    left = rows - rows @ span.T @ span
    return float(left.norm() / rows.norm().clamp(min=1e-300))


def _cost(mu: torch.Tensor, species: NDArray[np.int64], scale: float, span: torch.Tensor, size: float,
          random: np.random.Generator, normalised: bool) -> Cost:  # fmt: skip
    """The mean rise of the loss over species and directions of three kinds."""
    dim = mu.shape[1]
    rises: dict[str, list[float]] = {"within": [], "across": [], "anywhere": []}
    for k in species:
        far = size * float(mu[k].norm())
        free = torch.as_tensor(random.standard_normal((N_DIRECTIONS, dim)))
        within = free @ span.T @ span
        kinds = {"within": within, "anywhere": free}
        if len(span) < dim:
            kinds["across"] = free - within
        base = loss(mu, int(k), torch.zeros(1, dim, dtype=mu.dtype), scale, normalised)
        for kind, directions in kinds.items():
            delta = far * directions / directions.norm(dim=1, keepdim=True)
            delta = torch.cat([delta, -delta])  # so that slopes cancel
            rises[kind].append(float((loss(mu, int(k), delta, scale, normalised) - base).mean()))
    return Cost(size, *(float(np.mean(rises[kind])) if rises[kind] else float("nan") for kind in ("within", "across", "anywhere")))  # fmt: skip


def toys() -> list[Check]:
    """Prototypes that meet the theorem's assumptions, and some that do not: overlapping, and more than dimensions."""
    crowd = np.random.default_rng(0).standard_normal((200, 64))
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    ways = (("orthogonal", toy(20, 128)), ("overlapping", toy(20, 128, 0.5)), ("more than dimensions", crowd))  # fmt: skip
    return [
        check(name, made, scale, normalised=normalised)
        for name, made in ways
        for scale in (1.0, 10.0, 100.0)
        for normalised in (False, True)
    ]
