"""One step's gradient: both streams through the towers once, their losses, in one pass or in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from training import distributed, loss
from training import model as models
from training.model import Features, TwoHeads

if TYPE_CHECKING:
    from training.config import Run
    from training.data import Batch


Part = tuple[
    list[torch.Tensor], int, torch.Tensor
]  # pictures by stream, how many are replay, captions


@dataclass(frozen=True)
class Step:
    """How a run turns batches into gradients.

    `wrapped` is `net` as it is called: copies or shards over ranks. With several `passes` the features are made first,
    those of all passes but the last without gradients; the loss of all of them gives the gradient of each, and a second
    run of those passes carries it to the weights (GradCache, Gao et al. 2021, arXiv 2101.06983, whose last pass also runs
    twice): exact at any batch.
    """

    run: Run
    net: TwoHeads
    wrapped: Any
    passes: int

    @property
    def dtype(self) -> torch.dtype:
        """In which the towers compute."""
        return torch.bfloat16 if self.run.compute.precision == "bf16" else torch.float32

    def backward(self, batches: Sequence[Batch]) -> tuple[dict[str, torch.Tensor], int]:
        """Add the gradients of a step (biology, and replay) to the weights'; its losses by stream, the captions' length."""
        parts, length = self._parts(batches)
        n_again = self.passes - 1
        with torch.no_grad():
            cached = [self._forward(parts, i) for i in range(n_again)]
        with distributed.unsynchronised(self.wrapped, n_again > 0):
            made = self._forward(parts, n_again)
            leaves = [
                torch.cat(same).requires_grad_() for same in list(zip(*cached, strict=True))[:4]
            ]
            pairs = list(zip(leaves, made[:4], strict=False))  # none, where one pass is all
            joined = zip(Features._fields, map(torch.cat, pairs), strict=False)
            losses = self._losses(made._replace(**dict(joined)), batches)
            torch.stack(list(losses.values())).sum().backward()
        slopes = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        for i, before in enumerate(cached):
            sizes = [len(value) for value in before[:4]]
            mine = [slope[:n] for slope, n in zip(slopes, sizes, strict=True)]
            slopes = [slope[n:] for slope, n in zip(slopes, sizes, strict=True)]
            with distributed.unsynchronised(self.wrapped, i < n_again - 1):
                made = self._forward(parts, i)
                # what all passes share has its gradient by now, but copies wait for one of every weight
                mine += [torch.zeros_like(value) for value in made[4:]]
                used = [n for n, value in enumerate(made) if value.requires_grad]
                torch.autograd.backward([made[n] for n in used], [mine[n] for n in used])
        return _plain(losses), length

    def _parts(self, batches: Sequence[Batch]) -> tuple[list[Part], int]:
        """Pictures, how many of them are replay, and captions of each pass; and the captions' length."""
        tokens = [b.tokens for b in batches]
        if self.net.classifier is not None:
            tokens[0] = tokens[0][:0]
        n_tokens = [len(t) for t in tokens]
        joined = torch.cat(tokens)
        if len(joined) and self.run.compute.trim and self.net.trims:
            joined = models.trimmed(joined)
        words = [part.tensor_split(self.passes) for part in joined.split(n_tokens)]
        each = [len(b.uuids) // self.passes for b in batches]
        parts = [
            (
                [b.images[i * n : i * n + n] for b, n in zip(batches, each, strict=True)],
                each[1] if len(each) > 1 else 0,
                torch.cat([w[i] for w in words]),
            )
            for i in range(self.passes)
        ]
        return parts, joined.shape[1]

    def _forward(self, parts: Sequence[Part], i: int) -> Features:
        """The features of a pass; what it drops by chance, it drops each time."""
        pictures, n_replay, words = parts[i]
        seed = torch.initial_seed()
        torch.manual_seed(seed + i)
        image, device = self.run.image, self.net.logit_scale.device
        images = torch.cat([some.to(device, non_blocking=True) for some in pictures])
        with torch.autocast(
            images.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16
        ):
            made: Features = self.wrapped(
                models.normalised(images, image.mean, image.std), n_replay, words
            )
        torch.manual_seed(seed)
        return made

    def _losses(self, made: Features, batches: Sequence[Batch]) -> dict[str, torch.Tensor]:
        how, biology = self.run.loss, batches[0]
        if self.net.classes is not None:
            label = loss.labels(biology.nodes, self.net.classes)
            found = {
                "loss_biology": loss.cross_entropy(
                    made.biology, made.classifier, made.scale, label, biology.valid
                )
            }
        else:
            found = {"loss_biology": loss.contrastive(made.biology, made.biology_text, made.scale, _sides(biology),
                                                      one_hot=how.one_hot, chunk_mb=how.chunk_mb)}  # fmt: skip
        if len(batches) > 1:
            theirs = loss.contrastive(made.replay, made.replay_text, made.scale, _sides(batches[1]),
                                      one_hot=how.one_hot, chunk_mb=how.chunk_mb)  # fmt: skip
            found["loss_replay"] = self.run.replay.weight * theirs
        return found


def _sides(batch: Batch) -> loss.Sides:
    return loss.Sides(batch.ids, batch.nodes, batch.valid)


def _plain(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in losses.items()}
