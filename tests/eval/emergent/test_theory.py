"""Gradient and Hessian are the theorem's, lie where it says, and where it does not hold that is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eval.emergent import theory


def test_gradient_and_hessian_are_those_of_the_theorem():
    mu = torch.tensor(theory.toy(6, 10, 0.3))
    delta, s, k = torch.randn(10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 5, 4.0, 2  # fmt: skip
    p = torch.softmax(s * mu @ (mu[k] + delta), 0)
    gradient = torch.autograd.functional.jacobian(lambda d: theory.loss(mu, k, d[None], s, False)[0], delta)  # fmt: skip
    assert torch.allclose(gradient, s * (p[:, None] * (mu - mu[k])).sum(0))
    hessian = torch.autograd.functional.hessian(lambda d: theory.loss(mu, k, d[None], s, False)[0], delta)  # fmt: skip
    middle = (p[:, None] * mu).sum(0)
    cov = (p[:, None] * (mu - middle)).T @ (mu - middle)
    assert torch.allclose(hessian, s * s * cov, atol=1e-10)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_plain_vectors_cost_nothing_across(scale, overlap):
    made = theory.check("toy", theory.toy(12, 40, overlap), scale, normalised=False)
    assert made.span == 11 and made.cosine == pytest.approx(overlap, abs=1e-9)
    assert made.gradient_outside < 1e-9 and made.hessian_outside < 1e-9
    for cost in made.costs:
        assert cost.across == pytest.approx(0, abs=1e-9)
        assert cost.within >= -1e-9
    assert made.costs[-1].within > 1e-3
    assert made.says == "holds"


def test_unit_vectors_pay_for_what_lies_across_the_more_the_softer_they_are_told_apart():
    share = []
    for scale in (1.0, 10.0, 100.0):
        made = theory.check("toy", theory.toy(12, 40), scale, normalised=True)
        share.append(made.costs[-1].across / made.costs[-1].within)
        assert f"{share[-1]:.2f} of within" in made.says
    assert share[0] > 0.8 > 0.3 > share[1] > share[2]
    assert theory.check("toy", theory.toy(12, 40), 1.0, normalised=True).gradient_outside > 0.1


def test_more_prototypes_than_dimensions_leave_nothing_across():
    crowd = np.random.default_rng(0).standard_normal((30, 8))
    made = theory.check("crowd", crowd, 10.0, normalised=False)
    assert made.span == 8 and np.isnan(made.costs[0].across) and made.says.startswith("says nothing")  # fmt: skip


def test_what_is_said_is_what_was_measured():
    made = theory.check("toy", theory.toy(6, 20), 10.0, normalised=False)
    assert made.says == "holds"
    assert replace(made, gradient_outside=0.1).says == "does not hold"
    same = theory.check("same", np.ones((4, 9)), 10.0, normalised=False)
    assert same.says.startswith("says nothing")
    many = theory.check("many", np.random.default_rng(0).standard_normal((3000, 16)), 10.0, normalised=True)  # fmt: skip
    assert many.n == 3000 and many.span == 16 and many.says == "says nothing: no direction is across"  # fmt: skip
