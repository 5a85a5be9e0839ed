"""Variation that was put across or along species is found there, noise taken off; what is not there has no direction."""

import numpy as np
import pytest

from eval.emergent.orthogonality import LEAST, cells, orthogonality, units
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


@pytest.mark.parametrize("inside", [0.0, 1.0])
def test_a_space_of_noise_holds_what_a_random_one_does_where_noise_is_everywhere(inside):
    """Were species left in what is dealt out anew, its space would be theirs, and hold all of what lies within it."""
    told = orthogonality(*worlds.variants(2, inside, n_each=30), by_three=False)
    assert told.rho_noise == pytest.approx(told.by_chance, abs=0.08)


def test_pictures_of_one_individual_count_as_one():
    """No difference between the sexes was put there; each individual has its own looks, and four pictures."""
    random = np.random.default_rng(0)
    rows, species, variant, groups = [], [], [], []
    for s in range(20):
        mean = 3 * random.standard_normal(24)
        for v in (0, 1):
            for i in range(6):
                own = mean + random.standard_normal(24)
                for _ in range(4):
                    rows.append(own + 0.1 * random.standard_normal(24))
                    species.append(s)
                    variant.append(v)
                    groups.append(f"{s}-{v}-{i}")
    vectors, species, variant = np.array(rows), np.array(species), np.array(variant)
    taken_for_many = orthogonality(vectors, species, variant, by_three=True)
    assert taken_for_many.fdr.low > 0, "individuals are taken for sexes"
    told = orthogonality(*units(vectors, species, variant, groups), by_three=True)
    assert told.fdr.low <= 0 <= told.fdr.high and np.isnan(told.rho.value)
    alone = units(vectors, species, np.where(species == 3, -1, variant), [None] * len(rows))
    assert len(alone[0]) == len(rows) - 48 and 3 not in alone[1]


def test_intervals_hold_what_is_true_as_often_as_they_say():
    n = 30
    covers = sum(
        (told := orthogonality(*worlds.variants(s, 0.3, size=1.0, n_species=8, n_each=8), by_three=True)).fdr.low
        <= 1.0 / (2 * 0.4**2 * 48) <= told.fdr.high for s in range(n))  # fmt: skip
    assert covers >= 26


def test_variants_that_are_not_told_apart_have_no_direction():
    vectors, species, variant = worlds.variants(3, 0.5, size=0.0)
    told = orthogonality(vectors, species, variant, by_three=True)
    assert told.fdr.low <= 0 <= told.fdr.high
    assert np.isnan(told.rho.value) and np.isnan(told.rho_noise)
    assert told.rho_published == pytest.approx(told.by_chance, abs=0.02), "which looks orthogonal"


def test_without_noise_it_is_the_plain_formula():
    vectors, species, variant = worlds.variants(4, 0.3, n_each=6, noise=1e-6)
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
    species = np.repeat([0, 1, 2, 3], 12)
    variant = np.array([0, 1] * 6 + [0] * 12 + [0, 1] * 5 + [-1, -1] + [1, 0] * 6)
    assert [len(both) for both in cells(species, variant)] == [2, 2] and LEAST == 6
    with pytest.raises(ValueError, match=r"2 species have 6 pictures .* of both variants; it takes three"):  # fmt: skip
        orthogonality(np.zeros((48, 5)), species, variant, by_three=True)
    assert not cells(np.array([-1]), np.array([-1]))
