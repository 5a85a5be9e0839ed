"""A trait in the pictures is found, one that came down the same tree apart from them is not, and every figure has its twin."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score, silhouette_score

from eval.emergent import alignment
from eval.emergent.alignment import Space
from eval.emergent.ancestry import Lineages, evolved
from tests.eval.emergent import worlds

N = 199  # draws


@pytest.fixture(scope="module")
def tree():
    return worlds.lineages()


def kin(tree, seed, n=1):
    return evolved(tree, worlds.SHARES, n, np.random.default_rng(seed + 10_000))


def test_a_planted_number_is_beyond_ancestry_and_its_figures_are_what_was_planted(tree):
    means, trait = worlds.looks(tree, 0), kin(tree, 0)[:, 0]
    random = np.random.default_rng(1)
    seen = 0.8 * trait + 0.6 * random.standard_normal(len(trait))  # what pictures show of it
    means[:, 0] = 6 * seen
    true = spearmanr(seen, trait).statistic
    told = {one.figure: one for one in alignment.of_number(Space.of(means, tree), trait, n=N)}
    for name in ("first axis", "axis read on other species", "axis read on other clades"):
        one = told[name]
        assert one.low <= true <= one.high and one.value == pytest.approx(true, abs=0.08), name
        assert one.verdict == "beyond ancestry", name
    assert told["distances, ancestry held constant"].verdict == "beyond ancestry"


def test_planted_classes_are_beyond_ancestry(tree):
    means, labels = worlds.looks(tree, 0), kin(tree, 0, 3).argmax(1)
    means[:, :3] += 5 * np.eye(3)[labels]
    told = alignment.of_classes(Space.of(means, tree), labels, n=N)
    assert {one.verdict for one in told} == {"beyond ancestry"}
    assert next(o for o in told if o.figure == "nearest outside its family").value > 0.95
    assert next(o for o in told if o.figure == "axis read on other clades, area").value > 0.99


def test_ancestry_alone_is_not_alignment(tree):
    """Over 16 traits that came down the same tree apart from the looks, at most one is taken for more, as one in twenty may."""
    wrong, by_chance = 0, 0
    for seed in range(8):
        space = Space.of(worlds.looks(tree, seed), tree)
        for told in (alignment.of_number(space, kin(tree, seed)[:, 0], n=N, seed=seed),
                     alignment.of_classes(space, kin(tree, seed, 3).argmax(1), n=N, seed=seed)):  # fmt: skip
            wrong += any(one.verdict == "beyond ancestry" for one in told)
            by_chance += any(one.p_random < 0.05 for one in told)
    assert wrong <= 1
    assert by_chance >= 13, "against traits dealt out at random, ancestry looks like alignment"


def test_no_trait_is_nothing_and_zero_lies_in_the_interval(tree):
    random, inside = np.random.default_rng(5), 0
    for seed in range(8):
        space = Space.of(worlds.looks(tree, seed), tree)
        told = alignment.of_number(space, random.standard_normal(tree.n_species), n=N)
        assert "beyond ancestry" not in {one.verdict for one in told}
        inside += sum(one.low <= 0 <= one.high for one in told if one.figure != "first axis")
    assert inside >= 21, "of 24"


def test_the_reader_is_ridge_regression_with_whole_clades_kept_out(tree):
    space = Space.of(worlds.looks(tree, 2), tree)
    trait = kin(tree, 2)[:, 0]
    ours = space.reader(space.clade_folds) @ trait
    for fold in np.unique(space.clade_folds):
        test, taught = space.clade_folds == fold, space.clade_folds != fold
        assert not set(space.clades[test]) & set(space.clades[taught])
        x = space.means[taught]
        alpha = ((x - x.mean(0)) ** 2).sum() / taught.sum()
        twin = Ridge(alpha).fit(x, trait[taught])
        assert ours[test] == pytest.approx(space.means[test] @ twin.coef_, abs=1e-8)


def test_figures_of_pairs_are_those_of_a_plain_loop(tree):
    space = Space.of(worlds.looks(tree, 3), tree)
    random = np.random.default_rng(0)
    trait = np.round(kin(tree, 3)[:, 0], 1)  # with ties
    every = np.stack([trait, random.permutation(trait)], 1)
    found = alignment._mantel(space, every)
    pairs = list(itertools.combinations(range(len(trait)), 2))
    far = [np.linalg.norm(space.means[i] - space.means[j]) for i, j in pairs]
    apart = [-(tree.nodes[:, i] == tree.nodes[:, j]).sum() for i, j in pairs]
    for column, ours in zip(every.T, found, strict=True):
        differ = [abs(column[i] - column[j]) for i, j in pairs]
        y, d, t = (rankdata(v) for v in (differ, far, apart))
        left = [v - np.polyval(np.polyfit(t, v, 1), t) for v in (y, d)]
        assert ours == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)


def test_figures_of_classes_are_those_of_scikit_learn_and_a_plain_loop(tree):
    means, labels = worlds.looks(tree, 4), kin(tree, 4, 3).argmax(1)
    space = Space.of(means, tree)
    unit = space.means / np.linalg.norm(space.means, axis=1, keepdims=True)
    assert alignment._silhouettes(space, labels[:, None])[0] == pytest.approx(silhouette_score(1 - np.clip(unit @ unit.T, None, 1) * (1 - np.eye(len(unit))) - np.eye(len(unit)), labels, metric="precomputed"), abs=1e-6)  # fmt: skip
    scores = space.reader(space.folds) @ (np.eye(3)[labels] - np.eye(3)[labels].mean(0))
    assert alignment._areas(space.reader(space.folds), labels[:, None])[0] == pytest.approx(
        np.mean([roc_auc_score(labels == c, scores[:, c]) for c in range(3)])
    )
    shares = []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if space.families[j] != space.families[i]]
        near = sorted(others, key=lambda j: -(unit[i] @ unit[j]))[:5]
        shares.append(np.mean([labels[j] == labels[i] for j in near]))
    assert alignment._purity(space, labels[:, None], space.families)[0] == pytest.approx(
        np.mean(shares)
    )


def test_what_cannot_be_asked_of_one_family_is_nothing_found():
    tree = Lineages.of([["A", "P", "C", "O", "F", f"G{i % 5}"] for i in range(24)])
    random = np.random.default_rng(0)
    told = alignment.of_classes(Space.of(random.standard_normal((24, 6)), tree), random.integers(0, 2, 24), n=N)  # fmt: skip
    outside = next(one for one in told if one.figure == "nearest outside its family")
    assert np.isnan(outside.value) and outside.verdict == "cannot be asked"
    assert "beyond ancestry" not in {one.verdict for one in told}


def test_without_lineages_nothing_is_beyond_ancestry(tree):
    """Looks and traits came down one tree apart from one another, and nobody says which tree."""
    bare = Lineages.of([[""] * 6 for _ in range(tree.n_species)])
    assert len(set(bare.nodes[0].tolist())) == tree.n_species, "nobody is kin of anybody"
    for seed in range(3):
        told = alignment.of_number(Space.of(worlds.looks(tree, seed), bare), kin(tree, seed)[:, 0], n=19)  # fmt: skip
        said = {one.verdict for one in told}
        assert "beyond ancestry" not in said
        genera = Lineages.of(
            [["", "", "", "", "", f"G{g}"] for g in tree.nodes[-1]]
        )  # a binomial says no more
        assert genera.splits.all() and not genera.is_tree
        told = alignment.of_number(Space.of(worlds.looks(tree, seed), genera), kin(tree, seed)[:, 0], n=19)  # fmt: skip
        said |= {one.verdict for one in told}
        assert said <= {"not told from chance", "more than chance, ancestry unknown"}


def test_intervals_need_clades_and_stay_where_figures_can_be(tree):
    few = tree.only(np.arange(tree.n_species) < 3 * 18)  # three orders
    trait = kin(tree, 1)[: 3 * 18, 0]
    space = Space.of(worlds.looks(tree, 1)[: 3 * 18], few)
    for one in alignment.of_classes(space, (trait > np.median(trait)).astype(int), n=19):
        assert np.isnan(one.low) or one.low >= (-1 if one.figure == "silhouette" else 0)
    pair = replace(space, clades=np.arange(54) % 2)
    assert np.isnan(alignment.of_number(pair, trait, n=19)[0].low), "two clades tell no interval"


def test_too_few_species_are_refused(tree):
    with pytest.raises(ValueError, match="it takes 12"):
        Space.of(np.zeros((5, 3)), worlds.lineages(1, 1, 5, 1))


def test_equal_seeds_give_equal_figures(tree):
    space, trait = Space.of(worlds.looks(tree, 6), tree), kin(tree, 6)[:, 0]
    assert alignment.of_number(space, trait, n=19) == alignment.of_number(space, trait, n=19)
