"""One step's gradient: both streams through the towers once, their losses, in one pass or in several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

    `wrapped` is `net` as it is called: copies or shards over ranks. With several `passes` the features are made first
    without gradients, the loss of all of them gives the gradient of each, and a second run of each pass carries it to
    the weights (GradCache, Gao et al. 2021, arXiv 2101.06983): exact at any batch.
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
        if self.passes == 1:
            losses = self._losses(self._forward(parts[0]), batches)
            torch.stack(list(losses.values())).sum().backward()
            return _plain(losses), length
        with torch.no_grad():
            cached = [self._forward(part) for part in self._seeded(parts)]
        sizes = [[len(features) for features in made[:4]] for made in cached]
        leaves = [
            torch.cat(same).requires_grad_()
            for same in zip(*(made[:4] for made in cached), strict=True)
        ]
        shared = [value.requires_grad_() for value in cached[0][4:]]
        losses = self._losses(Features(*leaves, *shared), batches)
        torch.stack(list(losses.values())).sum().backward()
        slopes = [
            torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            for leaf in (*leaves, *shared)
        ]
        at = [0] * 4
        for i, part in enumerate(self._seeded(parts)):
            is_last = i == self.passes - 1
            with distributed.unsynchronised(self.wrapped, not is_last):
                made = self._forward(part)
                mine = [
                    slope[a : a + n] for slope, a, n in zip(slopes[:4], at, sizes[i], strict=True)
                ]
                at = [a + n for a, n in zip(at, sizes[i], strict=True)]
                pairs = list(zip(made[:4], mine, strict=True))
                if is_last:  # what all passes share has its gradient once
                    pairs += list(zip(made[4:], slopes[4:], strict=True))
                used = [(value, slope) for value, slope in pairs if value.requires_grad]
                torch.autograd.backward([value for value, _ in used], [slope for _, slope in used])
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
        seen = [b.images.tensor_split(self.passes) for b in batches]
        parts = [
            (
                [s[i] for s in seen],
                len(seen[1][i]) if len(seen) > 1 else 0,
                torch.cat([w[i] for w in words]),
            )
            for i in range(self.passes)
        ]
        return parts, joined.shape[1]

    def _forward(self, part: Part) -> Features:
        pictures, n_replay, words = part
        image, device = self.run.image, self.net.logit_scale.device
        images = torch.cat([some.to(device, non_blocking=True) for some in pictures])
        with torch.autocast(
            images.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16
        ):
            made: Features = self.wrapped(
                models.normalised(images, image.mean, image.std), n_replay, words
            )
        return made

    def _seeded(self, parts: Sequence[Part]) -> Iterator[Part]:
        """The parts, the random state before each the same whenever: what a pass drops, it drops both times."""
        first = torch.initial_seed()
        for i, part in enumerate(parts):
            torch.manual_seed(first + i)
            yield part
        torch.manual_seed(first)

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
