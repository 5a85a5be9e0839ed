"""How much relatives share is found again where it is known, and traits dealt out anew keep it and their values."""

import collections
import itertools

import numpy as np
import pytest

from eval.emergent import ancestry
from eval.emergent.ancestry import Lineages, Shares, evolved, shares
from tests.eval.emergent import worlds


def test_likeness_is_that_of_a_plain_loop_over_pairs():
    tree = worlds.lineages(4, 2, 2, 2)
    values = np.random.default_rng(0).standard_normal((tree.n_species, 1))
    by_level = collections.defaultdict(list)
    for i, j in itertools.combinations(range(tree.n_species), 2):
        level = sum(tree.nodes[r, i] == tree.nodes[r, j] for r in range(6))
        by_level[level].append(values[i, 0] * values[j, 0])
    likeness = [np.mean(by_level[level]) for level in sorted(by_level)]
    weights = [len(by_level[level]) for level in sorted(by_level)]
    pooled = ancestry._rising(np.array(likeness), np.array(weights, dtype=float))
    assert (np.diff(pooled) >= 0).all()
    assert pooled @ weights == pytest.approx(np.dot(likeness, weights)), "pooling keeps the sum"
    found = shares(tree, values)
    scale = float((values**2).mean()) - pooled[0]
    assert found.by_rank.sum() == pytest.approx(min(0.98, (pooled[-1] - pooled[0]) / scale))
    assert not found.by_rank[:3].any(), "all species share the first three ranks"


def test_what_relatives_share_is_found_again():
    tree = worlds.lineages(14, 4, 3, 2)
    found = np.mean([shares(tree, evolved(tree, worlds.SHARES, 1, np.random.default_rng(s))).by_rank for s in range(40)], axis=0)  # fmt: skip
    assert found == pytest.approx(worlds.SHARES.by_rank, abs=0.08)
    alone = evolved(tree, Shares(np.zeros(6)), 1, np.random.default_rng(0))
    assert shares(tree, alone).own > 0.7


def test_a_rank_that_is_not_stated_is_no_common_ancestor():
    tree = Lineages.of([["A", "", "", "", "", "g1"], ["A", "", "", "", "", "g2"], ["A", "", "", "", "", "g1"]])  # fmt: skip
    shared = tree.shared()
    assert shared[0, 2] == 6 and shared[0, 1] == 1
    aside = Lineages.of([["A", "P", "C", "O", "F", ""], ["A", "P", "C", "O", "F", ""]]).shared()
    assert aside[0, 1] == 5, "two genera that nobody named are not one"
    assert tree.splits.tolist() == [False, True, True, True, True, True]
    even = Shares(np.array([0.5, 0.1, 0, 0, 0, 0.2])).evenly(tree)
    assert even.by_rank == pytest.approx([0, *[0.16] * 5])


def test_numbers_and_classes_are_dealt_out_whole_and_as_alike_among_relatives():
    tree, random = worlds.lineages(12, 3, 3, 2), np.random.default_rng(3)
    trait = np.exp(evolved(tree, worlds.SHARES, 1, random)[:, 0])  # skewed, as masses are
    for drawn in ancestry.numbers(tree, trait, 60, random):
        assert (np.sort(drawn, axis=0) == np.sort(trait)[:, None]).all()
        got = np.mean([shares(tree, ancestry.normal_scores(d)[:, None]).by_rank.sum() for d in drawn.T])  # fmt: skip
        want = shares(tree, ancestry.normal_scores(trait)[:, None]).by_rank.sum()
        assert got == pytest.approx(want, abs=0.12)
    labels = evolved(tree, worlds.SHARES, 3, random).argmax(1)
    wanted = shares(tree, ancestry.one_hot(labels)).by_rank.sum()
    for dealt in ancestry.classes(tree, labels, 60, random):
        assert (np.sort(dealt, axis=0) == np.sort(labels)[:, None]).all()
        got = np.mean([shares(tree, ancestry.one_hot(d)).by_rank.sum() for d in dealt.T])
        assert got == pytest.approx(wanted, abs=0.12)
        plain = np.mean([shares(tree, ancestry.one_hot(random.permutation(labels))).by_rank.sum() for _ in range(60)])  # fmt: skip
        assert got > plain + 0.2, "labels dealt out at random are less alike among relatives"
