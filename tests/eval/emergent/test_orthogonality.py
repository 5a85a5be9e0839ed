"""Variation that was put across or along species is found there, noise taken off; what is not there has no direction."""

import numpy as np
import pytest

from eval.emergent.orthogonality import LEAST, cells, orthogonality
from tests.eval.emergent import worlds


@pytest.mark.parametrize("inside", [0.0, 0.3, 1.0])
def test_the_share_within_the_species_space_is_what_was_planted(inside):
    for seed in range(3):
        vectors, species, variant = worlds.variants(seed, inside, n_each=30)
        told = orthogonality(vectors, species, variant, by_three=False)
        assert told.r == pytest.approx(6), "all directions in which species differ"
        assert told.rho.value == pytest.approx(inside, abs=0.05)
        assert told.rho.low - 0.03 <= inside <= told.rho.high + 0.03
        by_chance = 6 / 48
        assert told.by_chance == pytest.approx(by_chance)
        assert told.rho_spread.value == pytest.approx(by_chance, abs=0.02), "noise is everywhere"


def test_the_published_figure_takes_noise_for_variation_and_ours_does_not():
    vectors, species, variant = worlds.variants(0, 1.0, n_each=8, noise=0.8)
    told = orthogonality(vectors, species, variant, by_three=False)
    assert told.rho.low <= 1.0 and told.rho.value > 0.85
    assert told.rho_published < 0.7
    true = 2.0**2 / (2 * 0.8**2 * 48)
    assert told.fdr.low <= true <= told.fdr.high and told.fdr_published > 1.5 * true
    assert abs(told.fdr_shuffled) < 0.02


def test_three_species_at_a_time_span_two_of_the_directions():
    vectors, species, variant = worlds.variants(1, 1.0, n_each=30)
    told = orthogonality(vectors, species, variant, by_three=True)
    assert told.r == 2 and told.dim == 48
    assert told.rho.value == pytest.approx(2 / 6, abs=0.06), "two of six, at random"
    across = orthogonality(*worlds.variants(1, 0.0, n_each=30), by_three=True)
    assert across.rho.high < 0.05 and across.angle < 0.05


def test_species_dealt_out_anew_span_what_varies_most():
    vectors, species, variant = worlds.variants(2, 0.0, n_each=30)
    told = orthogonality(vectors, species, variant, by_three=False)
    assert told.rho_shuffled > told.rho.value - 0.02


def test_variants_that_are_not_told_apart_have_no_direction():
    vectors, species, variant = worlds.variants(3, 0.5, size=0.0)
    told = orthogonality(vectors, species, variant, by_three=True)
    assert told.fdr.low <= 0 <= told.fdr.high
    assert np.isnan(told.rho.value) and np.isnan(told.rho_shuffled)
    assert told.rho_published == pytest.approx(told.by_chance, abs=0.02), "which looks orthogonal"


def test_without_noise_it_is_the_plain_formula():
    vectors, species, variant = worlds.variants(4, 0.3, n_each=4, noise=1e-6)
    told = orthogonality(vectors, species, variant, by_three=False)
    m = np.stack([[vectors[(species == s) & (variant == v)].mean(0) for v in (0, 1)] for s in range(20)])  # fmt: skip
    centred = m.mean(1) - m.mean((0, 1))
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    basis = v[: int(np.searchsorted(np.cumsum(s**2) / (s**2).sum(), 0.9)) + 1]
    delta = m[:, 0] - m[:, 1]
    plain = ((delta @ basis.T) ** 2).sum(1) / (delta**2).sum(1)
    assert told.rho_published == pytest.approx(plain.mean(), abs=1e-4)
    assert told.rho.value == pytest.approx(((delta @ basis.T) ** 2).sum() / (delta**2).sum(), abs=1e-4)  # fmt: skip


def test_species_without_enough_of_both_variants_are_left_aside():
    species = np.repeat([0, 1, 2, 3], 8)
    variant = np.array([0, 1] * 4 + [0] * 8 + [0, 1] * 3 + [-1, -1] + [1, 0] * 4)
    assert [len(both) for both in cells(species, variant)] == [2, 2]
    assert LEAST == 4
    with pytest.raises(ValueError, match="2 species have 4 pictures of both variants; it takes three"):  # fmt: skip
        orthogonality(np.zeros((32, 5)), species, variant, by_three=True)
