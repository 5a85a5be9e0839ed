"""Contrastive loss over all ranks, exact, with the global logits never whole in memory.

InfoNCE of CLIP (Radford et al. 2021, arXiv 2103.00020, figure 3), both directions, over the pictures and captions of
the whole step. What the tree of life adds: pictures whose captions are the same are positives of each other (soft
targets, as in UniCL, Yang et al. 2022, arXiv 2204.03610, equation 2), and a picture known to family only is no negative
of the species of that family, nor they of it. `one_hot` switches both off, as the original has it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from training import distributed


class Sides(NamedTuple):
    """What is known of the pairs of a batch beside their vectors."""

    ids: torch.Tensor  # (n,) int64, equal for equal captions
    nodes: torch.Tensor  # (n, 8) int64, the nodes of the tree it stands in, 0 where unknown
    valid: torch.Tensor  # (n,) bool, False for pairs that count for nothing


def contrastive(image: torch.Tensor, caption: torch.Tensor, scale: torch.Tensor, sides: Sides, *,
                one_hot: bool = False, chunk_mb: float = 256.0) -> torch.Tensor:  # fmt: skip
    """The loss of unit vectors (n, D) of pictures and captions, the mean over all pairs of all ranks.

    `scale` () multiplies the cosines. Every rank gets the same loss; gradients are those of the loss times the number
    of ranks, so that averaging them over ranks, as DDP does, gives the gradient of one process with the whole batch.
    Logits are made `chunk_mb` at a time.
    """
    found: torch.Tensor = _Contrastive.apply(image, caption, scale, sides, one_hot, chunk_mb)
    return found


class _Contrastive(torch.autograd.Function):
    """Computes the gradient along with the loss, chunk by chunk, while the chunk's logits exist."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, caption: torch.Tensor, scale: torch.Tensor, sides: Sides,
                one_hot: bool, chunk_mb: float) -> torch.Tensor:  # fmt: skip
        with torch.autocast(image.device.type, enabled=False):
            own = [
                v.detach().to(torch.promote_types(v.dtype, torch.float32)) for v in (image, caption)
            ]
            every = [distributed.gathered(vector) for vector in own]
            known = Sides(*(distributed.gathered(part) for part in sides))
            factor = scale.detach().to(own[0].dtype)
            n, n_all = len(own[0]), len(every[0])
            share = 0.5 / known.valid.sum().clamp(min=1).to(own[0].dtype)
            loss = torch.zeros((), dtype=own[0].dtype, device=own[0].device)
            d_scale = torch.zeros_like(loss)
            d_own = [torch.zeros_like(vector) for vector in own]
            d_every = [torch.zeros_like(vector) for vector in every]
            step = max(1, int(chunk_mb * 2**20 / (n_all * 16)))
            first = distributed.rank() * n
            for start in range(0, n, step):
                rows = slice(start, min(start + step, n))
                positive, dropped = relations(
                    known, slice(first + rows.start, first + rows.stop), one_hot
                )
                target = positive.to(own[0].dtype) / positive.sum(1, keepdim=True).clamp(min=1)
                weight = share * sides.valid[rows, None]
                for a, b in ((0, 1), (1, 0)):
                    cosine = own[a][rows] @ every[b].T
                    logits = (factor * cosine).masked_fill_(dropped, -torch.inf)
                    whole = logits.logsumexp(1, keepdim=True).nan_to_num(neginf=0.0)
                    loss += (
                        weight * (whole - (factor * cosine * target).sum(1, keepdim=True))
                    ).sum()
                    slope = logits.sub_(whole).exp_().sub_(target).mul_(weight)
                    d_scale += (slope * cosine).sum()
                    d_own[a][rows] += factor * (slope @ every[b])
                    d_every[b] += factor * (slope.T @ own[a][rows])
            for mine, everyone in zip(d_own, d_every, strict=True):
                mine += distributed.scattered_sum(everyone)
            distributed.total(loss)
        ctx.dtypes = image.dtype, caption.dtype, scale.dtype
        ctx.save_for_backward(*d_own, d_scale)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:
        up = upstream * distributed.n_ranks()
        grads = (
            (up * grad).to(dtype) for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*grads, None, None, None)


def relations(sides: Sides, rows: slice, one_hot: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Of some rows to all: which are positives (r, n), and which are left out of the negatives (r, n)."""
    ids, nodes, valid = sides
    if one_hot:
        n = torch.arange(len(ids), device=ids.device)
        positive = n[rows, None] == n[None]
        return positive & valid[None], ~valid[None] & ~positive
    positive = (ids[rows, None] == ids[None]) & valid[None]
    lowest = _lowest(nodes)
    key = nodes.gather(1, lowest[:, None])[:, 0]
    mine, my_key, my_nodes = lowest[rows], key[rows], nodes[rows]
    above = (nodes.T[mine] == my_key[:, None]) & (my_key != 0)[
        :, None
    ]  # I am the other's ancestor, or it
    below = (my_nodes[:, lowest] == key[None]) & (key != 0)[None]  # the other is mine, or me
    return positive, ((above | below) & ~positive) | ~valid[None]


def _lowest(nodes: torch.Tensor) -> torch.Tensor:
    """The place of each row's last node that is known (n,); 0 where none is."""
    places = torch.arange(nodes.shape[1], device=nodes.device)
    return (places * (nodes != 0)).amax(1)


def labels(nodes: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The class of each row (n,): the position of its lowest node among the sorted `classes`; -1 where it is none."""
    key = nodes.gather(1, _lowest(nodes)[:, None])[:, 0]
    at = torch.searchsorted(classes, key).clamp(max=len(classes) - 1)
    return torch.where(classes[at] == key, at, -1)


def cross_entropy(image: torch.Tensor, classifier: torch.Tensor, scale: torch.Tensor, label: torch.Tensor,
                  valid: torch.Tensor) -> torch.Tensor:  # fmt: skip
    """Classification instead of contrast, for the ablation: `classifier` (classes, D), its rows as unit vectors.

    The mean over all valid pairs of all ranks, with gradients as `contrastive` gives them.
    """
    kept = valid & (label >= 0)
    logits = scale * image @ F.normalize(classifier.float(), dim=-1).T
    losses = F.cross_entropy(logits, label.clamp(min=0), reduction="none") * kept
    n = distributed.total(kept.sum().float()).clamp(min=1)
    mine = losses.sum() / n
    return mine * distributed.n_ranks() + (distributed.total(mine.detach().clone()) - mine.detach() * distributed.n_ranks())  # fmt: skip
