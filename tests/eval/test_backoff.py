"""Back-off: the deepest answer that is sure enough, by hand and by brute force; unknown species are asked for."""

import numpy as np
import pytest

from catalog.ranks import RANKS
from eval import backoff, listing, results
from eval.examples import from_rows
from eval.features import features

ROWS = [dict(zip(RANKS, names, strict=True)) for names in (
    ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Puma", "Puma concolor"),
    ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Lynx", "Lynx rufus"),
    ("Animalia", "Chordata", "Mammalia", "Carnivora", "Felidae", "Lynx", "Lynx lynx"),
    ("Plantae", "Tracheophyta", None, None, "Pinaceae", "Pinus", "Pinus sylvestris"))]  # fmt: skip


@pytest.mark.parametrize(("chances", "rank", "name"), [
    ([0.9, 0.1, 0.0, 0.0], "species", "Puma concolor"), ([0.1, 0.4, 0.45, 0.05], "genus", "Lynx"),
    ([0.4, 0.3, 0.2, 0.1], "family", "Felidae"), ([0.1, 0.1, 0.1, 0.7], "species", "Pinus sylvestris")])  # fmt: skip
def test_the_deepest_sure_taxon_by_hand(chances, rank, name):
    tree = backoff.Tree(ROWS)
    found = backoff.deepest(tree, tree.sums(np.array([chances])), 0.6)
    assert RANKS[found.rank[0]] == rank
    assert tree.paths[found.rank[0]][found.taxon[0]].split("|")[-1] == name


def test_a_rank_that_is_not_stated_is_no_answer():
    rows = [
        {"kingdom": "Plantae", "species": "Aus bus"},
        {"kingdom": "Plantae", "species": "Cus dus"},
    ]
    tree = backoff.Tree(rows)
    found = backoff.deepest(tree, tree.sums(np.array([[0.55, 0.45]])), 0.6)
    assert RANKS[found.rank[0]] == "kingdom"
    tree = backoff.Tree([{"species": "Aus bus"}, {"species": "Cus dus"}])
    nothing = backoff.deepest(tree, tree.sums(np.array([[0.55, 0.45]])), 0.6)
    assert nothing.rank.tolist() == [-1]


def test_sums_over_the_tree_are_those_of_a_loop():
    draw = np.random.default_rng(0)
    rows = [
        {rank: f"{rank} {draw.integers(0, 3)}" if draw.random() < 0.8 else None for rank in RANKS}
        for _ in range(60)
    ]
    tree = backoff.Tree(rows)
    chances = backoff.softmax(draw.normal(size=(9, 60)))
    for r, summed in enumerate(tree.sums(chances)):
        by_path = {}
        for i, row in enumerate(rows):
            key = "|".join(backoff.path(row)[: r + 1])
            by_path[key] = by_path.get(key, 0) + chances[:, i]
        assert len(by_path) == len(tree.paths[r])
        for t, path in enumerate(tree.paths[r]):
            assert np.allclose(summed[:, t], by_path[path])
        assert [tree.paths[r][t] for t in tree.of[r]] == [
            "|".join(backoff.path(row)[: r + 1]) for row in rows
        ]


def test_it_asks_for_species_that_are_not_in_the_list(mini, model, tmp_path):
    asked = listing.read("rare-species", mini)
    found = features(model, asked, tmp_path, workers=0)
    deep, flat = backoff.back_off(model, asked, found)
    unknown = {
        t.removeprefix("unknown: ").split("|")[-1]
        for t in deep.answers["truth"].to_pylist()
        if t.startswith("unknown: ")
    }
    assert (
        unknown == backoff.kept_out(sorted(set(asked.column("species")))) and 0 < len(unknown) < 6
    )
    said = {a.split("|")[-1] for a in flat.answers["answer"].to_pylist()}
    assert not said & unknown, "what is not in the list is never the answer"
    for table in (deep.answers, flat.answers):
        truths, answers = (
            [t.removeprefix("unknown: ") for t in table[c].to_pylist()] for c in ("truth", "answer")
        )
        right = [
            t == a or not a or t.startswith(f"{a}|") for t, a in zip(truths, answers, strict=True)
        ]
        assert table["correct"].to_pylist() == [float(r) for r in right]
    assert results.value(deep.answers, "species: coverage") <= results.value(
        deep.answers, "kingdom: coverage"
    )


def test_what_has_no_lineages_cannot_be_asked(mini, model, tmp_path):
    plankton = listing.read("plankton", mini)
    with pytest.raises(ValueError, match="no ranks above"):
        backoff.back_off(model, plankton, features(model, plankton, tmp_path, workers=0))
    rare = listing.read("rare-species", mini)
    first = rare.table.to_pylist()[0]["species"]
    one = from_rows(
        "one",
        mini / "rare-species" / "images",
        [row for row in rare.table.to_pylist() if row["species"] == first],
    )
    with pytest.raises(ValueError, match="needs two"):
        backoff.back_off(model, one, features(model, one, tmp_path, workers=0))
