"""How a model does on held-out pictures while it trains: zero-shot classification among their own captions."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from training import data, distributed, loss
from training import model as models
from training.config import Run
from training.distributed import World
from training.labels import Words
from training.model import TwoHeads
from training.reading import Published
from training.view import View

BATCH = 256


def caption_type(run: Run) -> str:
    """The caption type that labels are asked with: the fullest that the run trains on."""
    return "taxon_com" if "taxon_com" in run.text.types else run.text.types[0]


def validate(net: TwoHeads, run: Run, world: World, place: Published, view: View, words: Words) -> dict[str, float]:  # fmt: skip
    """Shares of pictures whose own label comes first, or among the first five, and the cross-entropy over all labels.

    Labels are the distinct captions of the pictures (of a run that classifies, its taxa). The pictures are dealt out
    over ranks, in the same number of calls on each. Calls the plain module's methods, whose blocks may be compiled.
    """
    started = time.perf_counter()
    bf16 = run.compute.precision == "bf16"
    net.eval()
    with torch.no_grad(), torch.autocast(world.device.type, dtype=torch.bfloat16, enabled=bf16):
        features, captions, nodes = [], dict[str, torch.Tensor](), []
        mine: list[str] = []
        for batch in data.pictures(place, view, words, caption_type(run), batch=BATCH, most=run.validation.n_pictures,
                                   rank=world.rank, world=world.size):  # fmt: skip
            batch.to(world.device)
            images = models.normalised(batch.images, run.image.mean, run.image.std)
            features.append(net.encode_image(images, normalize=True).float()[batch.valid])
            nodes.append(batch.nodes[batch.valid])
            for i in batch.valid.nonzero()[:, 0].tolist():
                mine.append(batch.captions[i])
                captions[batch.captions[i]] = batch.tokens[i].cpu()
        image = torch.cat(features)
        if net.classes is not None:
            assert net.classifier is not None
            answers = F.normalize(net.classifier.float(), dim=-1)
            label = loss.labels(torch.cat(nodes), net.classes)
        else:
            known = distributed.union(captions)
            names = sorted(known)
            answers = torch.cat([net.encode_text(torch.stack([known[name] for name in names[i : i + BATCH]]).to(world.device), normalize=True)
                                 for i in range(0, len(names), BATCH)]).float()  # fmt: skip
            at = {name: i for i, name in enumerate(names)}
            label = torch.tensor(
                [at[caption] for caption in mine], dtype=torch.long, device=world.device
            )
    with torch.no_grad():  # in fp32: ties of rounded scores would count as right
        scores = net.logit_scale.exp() * image @ answers.T
        own = scores.gather(1, label.clamp(min=0)[:, None])
        n_better = (~(scores < own)).sum(
            1
        ) - 1  # as good counts as better, and so does what is no number
        n_better += len(answers) * (label < 0)  # a taxon without a class is never right
        cross = F.cross_entropy(scores, label.clamp(min=0), reduction="none")
        sums = torch.stack(
            [torch.ones_like(cross).sum(), (n_better < 1).sum(), (n_better < 5).sum(), cross.sum()]
        )
        n, right, among_five, total = distributed.total(sums.double()).tolist()
    n = max(n, 1.0)
    net.train()
    return {"validation_loss": total / n, "validation_top1": right / n, "validation_top5": among_five / n,
            "n_validated": n, "n_labels": float(len(answers)), "validation_s": time.perf_counter() - started}  # fmt: skip
