"""The loss is that of one process with the whole batch, whatever the number of ranks, chunks and passes."""

import math

import pytest
import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss

from tests.training.many import run_in
from training.loss import Sides, contrastive, cross_entropy, labels, relations


def batch(n=24, d=8, seed=0, holes=True):
    """Vectors, ids and nodes of a batch in which captions repeat and some pictures are known to family only."""
    draw = torch.Generator().manual_seed(seed)
    image, text = (F.normalize(torch.randn(n, d, generator=draw, dtype=torch.float64), dim=-1) for _ in range(2))  # fmt: skip
    species = torch.randint(0, 6, (n,), generator=draw)
    nodes = torch.zeros(n, 8, dtype=torch.int64)
    nodes[:, 0], nodes[:, 4], nodes[:, 6] = 1, 10 + species // 3, 100 + species
    only_family = torch.rand(n, generator=draw) < (0.3 if holes else 0)
    nodes[only_family, 6] = 0
    ids = torch.where(only_family, 1000 + nodes[:, 4], nodes[:, 6])
    valid = torch.rand(n, generator=draw) > (0.1 if holes else -1)
    return image, text, Sides(ids, nodes, valid)


def plainly(image, text, scale, sides, one_hot=False):
    """The same loss, pair by pair."""
    n, total = len(image), torch.zeros((), dtype=torch.float64)
    path = [[int(v) for v in row if v] for row in sides.nodes]
    for a, b in ((image, text), (text, image)):
        for i in range(n):
            if not sides.valid[i]:
                continue
            same = [j for j in range(n) if sides.valid[j] and (i == j if one_hot else sides.ids[i] == sides.ids[j])]  # fmt: skip
            related = [j for j in range(n) if j not in same and not one_hot
                       and (path[i][-1] in path[j] or path[j][-1] in path[i])]  # fmt: skip
            kept = [j for j in range(n) if sides.valid[j] and j not in related]
            whole = torch.logsumexp(torch.stack([scale * a[i] @ b[j] for j in kept]), 0)
            total = total + whole - torch.stack([scale * a[i] @ b[j] for j in same]).mean()
    return total / (2 * int(sides.valid.sum()))


def gradients(value, *leaves):
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("chunk_mb", [256.0, 0.001])
def test_the_loss_and_its_gradient_are_those_of_its_definition(one_hot, chunk_mb):
    image, text, sides = batch()
    leaves = image.requires_grad_(), text.requires_grad_(), torch.tensor(9.0, dtype=torch.float64, requires_grad=True)  # fmt: skip
    ours = gradients(contrastive(*leaves, sides, one_hot=one_hot, chunk_mb=chunk_mb), *leaves)
    theirs = gradients(plainly(*leaves, sides, one_hot=one_hot), *leaves)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_with_one_hot_targets_it_is_the_loss_of_open_clip():
    image, text, sides = batch(holes=False)
    ours = contrastive(image, text, torch.tensor(20.0), sides, one_hot=True)
    assert torch.isclose(ours, ClipLoss()(image, text, torch.tensor(20.0)))


def test_equal_captions_pull_together_and_relatives_are_left_alone():
    image, text, _ = batch(n=3, holes=False)
    ids, nodes = torch.tensor([1, 1, 2]), torch.zeros(3, 8, dtype=torch.int64)
    nodes[:, 0] = 1
    nodes[:2, 6] = 5  # two of one species, and one known to kingdom only
    positive, dropped = relations(
        Sides(ids, nodes, torch.ones(3, dtype=torch.bool)), slice(0, 3), False
    )
    assert positive.tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert dropped.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    alone = contrastive(
        image, text, torch.tensor(5.0), Sides(ids, nodes, torch.ones(3, dtype=torch.bool))
    )
    assert torch.isfinite(alone)


def test_pairs_that_count_for_nothing_change_nothing():
    image, text, sides = batch(holes=False)
    more = [torch.cat([part, part[:5]]) for part in (image, text, sides.ids, sides.nodes)]
    valid = torch.cat([sides.valid, torch.zeros(5, dtype=torch.bool)])
    scale = torch.tensor(7.0)
    assert torch.isclose(contrastive(image, text, scale, sides), contrastive(more[0], more[1], scale, Sides(more[2], more[3], valid)))  # fmt: skip
    none = Sides(sides.ids, sides.nodes, torch.zeros_like(sides.valid))
    assert contrastive(image, text, scale, none) == 0


def _part(world, kind):
    """This rank's loss and gradients, averaged over ranks as DDP does."""
    image, text, sides = batch()
    n = len(image) // world.size
    mine = slice(world.rank * n, world.rank * n + n)
    leaves = image[mine].clone().requires_grad_(), text[mine].clone().requires_grad_(), torch.tensor(9.0, dtype=torch.float64, requires_grad=True)  # fmt: skip
    own = Sides(*(part[mine] for part in sides))
    if kind == "classes":
        classes = torch.unique(torch.cat([sides.nodes[:, 4], sides.nodes[:, 6]]))
        weights = torch.randn(
            len(classes), 8, generator=torch.Generator().manual_seed(1), requires_grad=True
        )
        value = cross_entropy(
            leaves[0].float(), weights, leaves[2].float(), labels(own.nodes, classes), own.valid
        )
        grads = gradients(value, leaves[0], weights)
        torch.distributed.all_reduce(grads[2])
        return [grads[0], grads[1] / world.size, grads[2] / world.size]
    value = contrastive(*leaves, own, chunk_mb=0.001)
    loss, *grads = gradients(value, *leaves)
    torch.distributed.all_reduce(grads[2])
    return [loss, grads[0] / world.size, grads[1] / world.size, grads[2] / world.size]


@pytest.mark.parametrize("n", [2, 4])
def test_many_ranks_give_the_loss_and_gradient_of_one(n):
    found = run_in(n, _part, "contrast")
    image, text, sides = batch()
    leaves = image.requires_grad_(), text.requires_grad_(), torch.tensor(9.0, dtype=torch.float64, requires_grad=True)  # fmt: skip
    loss, d_image, d_text, d_scale = gradients(plainly(*leaves, sides), *leaves)
    for got in found:
        assert torch.isclose(got[0], loss) and torch.isclose(got[3], d_scale)
    assert torch.allclose(torch.cat([got[1] for got in found]), d_image, atol=1e-12)
    assert torch.allclose(torch.cat([got[2] for got in found]), d_text, atol=1e-12)


def test_classification_is_exact_over_ranks_and_leaves_unknown_taxa_out():
    two = run_in(2, _part, "classes")
    image, _, sides = batch()
    classes = torch.unique(torch.cat([sides.nodes[:, 4], sides.nodes[:, 6]]))
    weights = torch.randn(
        len(classes), 8, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    leaf = image.clone().requires_grad_()
    label, kept = labels(sides.nodes, classes), sides.valid
    logits = 9.0 * leaf.float() @ F.normalize(weights, dim=-1).T
    loss, d_image, d_weights = gradients(F.cross_entropy(logits[kept], label[kept]), leaf, weights)
    assert math.isclose(float(two[0][0]), float(loss), rel_tol=1e-5) and two[0][0] == two[1][0]
    assert torch.allclose(torch.cat([two[0][1], two[1][1]]), d_image, atol=1e-6)
    assert torch.allclose(two[0][2], d_weights, atol=1e-6)
    assert labels(torch.full((1, 8), 3), classes).tolist() == [-1]
