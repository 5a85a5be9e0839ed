"""Every picture comes once an epoch, at any number of ranks and workers, and a run can stop anywhere."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config import Data
from training.order import Order, part, sampling, weights


def rows(order, start, stop, most=7):
    """(group, row) from position to position."""
    return [
        pair
        for part in order.stretches(start, stop, most)
        for pair in zip(part.groups.tolist(), part.rows.tolist(), strict=True)
    ]


def order_of(sizes, n_files=3, **how):
    files = np.sort(np.arange(len(sizes)) % n_files)
    return Order(np.array(sizes), files, **how)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_nothing_is_lost_or_doubled_at_any_number_of_ranks(sizes, mix, world, seed):
    made, total = order_of(sizes, mix=mix, seed=seed), sum(sizes)
    everything = collections.Counter((g, r) for g, n in enumerate(sizes) for r in range(n))
    batch = 2 * world
    n_steps = -(-3 * total // batch)
    dealt = [[rows(order_of(sizes, mix=mix, seed=seed), s * batch + r * 2, s * batch + r * 2 + 2) for r in range(world)] for s in range(n_steps)]  # fmt: skip
    whole = [pair for step in dealt for part in step for pair in part]
    assert whole == rows(made, 0, n_steps * batch), "the sequence does not depend on who reads it"
    for epoch in range(3):
        assert collections.Counter(whole[epoch * total : (epoch + 1) * total]) == everything


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(1, 60))
def test_a_run_can_go_on_from_any_position(start, n):
    sizes = [5, 3, 8, 1, 6, 4]
    whole = rows(order_of(sizes, mix=2), 0, 300)
    assert rows(order_of(sizes, mix=2), start, start + n, most=4) == whole[start : start + n]


def test_epochs_and_seeds_differ_and_files_stay_together():
    sizes = [20] * 12
    made = order_of(sizes, n_files=3)
    one, two = rows(made, 0, 240), rows(made, 240, 480)
    assert one != two and one != rows(order_of(sizes, seed=1), 0, 240)
    files = [made.files[g] for g, _ in one]
    assert sum(a != b for a, b in itertools.pairwise(files)) == 2, "a file is read to its end"
    assert made.epoch_of(0) == 0 and made.epoch_of(240) == 1 and made.epoch_of(300) == 1.25


def test_mixed_groups_share_their_batches():
    sizes = [50] * 4
    apart, together = (rows(order_of(sizes, n_files=1, mix=mix), 0, 50) for mix in (1, 4))
    assert len({g for g, _ in apart}) == 1 and len({g for g, _ in together}) == 4


def test_the_originals_sampling_with_replacement_misses_groups():
    sizes = [10] * 200
    seen = {g for g, _ in rows(order_of(sizes, replacement=True), 0, 2000, most=100)}
    assert 0.55 < len(seen) / 200 < 0.72, "about 1 - 1/e of them come in an epoch"


def test_a_cap_holds_in_every_epoch_on_average_and_brings_other_pictures():
    taxa = np.array([0] * 1000 + [1] * 10)
    made = Order(
        np.array([100] * 10 + [10]), np.zeros(11, dtype=np.int64), weights=sampling(taxa, cap=50)
    )
    n = [0, 0]
    first = None
    for epoch in range(20):
        start = sum(made._epochs[epoch : epoch + 1]) if epoch < len(made._epochs) else 0
        made._epoch_of(start)
        stop = made._epochs[epoch + 1]
        seen = rows(made, start, stop, most=1000)
        assert len(set(seen)) == len(seen)
        kinds = [int(g == 10) for g, _ in seen]
        n[0] += kinds.count(0)
        n[1] += kinds.count(1)
        first = first or set(seen)
    assert 45 < n[0] / 20 < 55 and n[1] / 20 == 10
    assert set(seen) != first


def test_temperature_draws_taxa_by_a_power_of_their_number():
    taxa = np.repeat([0, 1, 2], [900, 90, 10])
    for temperature, share in (
        (1.0, [0.9, 0.09, 0.01]),
        (0.5, [30.0, 9.49, 3.16]),
        (0.0, [1, 1, 1]),
    ):
        weight = sampling(taxa, temperature=temperature, max_repeats=1e6)
        found = [weight[taxa == t].sum() / weight.sum() for t in range(3)]
        assert np.allclose(found, np.array(share) / sum(share), atol=1e-3)
        assert np.isclose(weight.sum(), 1000)
    assert sampling(taxa, temperature=0, max_repeats=4).max() == 4


def test_repeated_pictures_come_as_often_as_their_weight_says():
    weights = np.array([0.0, 2.5, 1.0, 0.5])
    made = Order(np.array([4]), np.array([0]), weights=weights)
    seen = collections.Counter(r for _, r in rows(made, 0, 4000, most=50))
    assert seen[0] == 0
    for row in (1, 2, 3):
        assert abs(seen[row] / 4000 - weights[row] / 4) < 0.03


def test_an_order_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no row"):
        Order(np.array([], dtype=np.int64), np.array([], dtype=np.int64))


@pytest.mark.parametrize("of_taxa", [False, True])
def test_smaller_shares_are_part_of_larger_ones(of_taxa):
    taxa = np.random.default_rng(0).integers(0, 40, 1000) if of_taxa else None
    found = [part(1000, share, seed=3, taxa=taxa) for share in (0.05, 0.25, 1.0)]
    for small, large in itertools.pairwise(found):
        assert not (small & ~large).any()
    if taxa is None:
        assert [int(rows.sum()) for rows in found] == [50, 250, 1000]
    else:
        assert [len(set(taxa[rows])) for rows in found] == [2, 10, 40]
        assert not set(taxa[found[1]]) & set(taxa[~found[1]])  # whole taxa
    assert (part(1000, 0.25, seed=4, taxa=taxa) != found[1]).any()
    assert part(1000, 1e-9, seed=3, taxa=taxa).any()


def test_rows_outside_the_share_never_come_and_the_others_by_their_taxa():
    taxa = np.repeat(np.arange(20), np.arange(1, 21))
    how = Data(share=0.5, share_of="taxa", temperature=0.0, max_repeats=1e6)
    found = weights(how, 3, len(taxa), lambda: taxa)
    chosen = part(len(taxa), 0.5, 3, taxa)
    assert not found[~chosen].any() and found.sum() == pytest.approx(chosen.sum(), rel=1e-5)
    by_taxon = [found[taxa == t].sum() for t in np.unique(taxa[chosen])]
    assert by_taxon == pytest.approx([by_taxon[0]] * len(by_taxon)), "all taxa alike"
    plain = weights(Data(share=0.5), 3, len(taxa), lambda: pytest.fail("it reads no taxa"))
    assert set(plain.tolist()) == {0.0, 1.0}
