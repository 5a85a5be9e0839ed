"""Near pairs against brute force, components against union-find."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import near


def words(hashes):
    """Hex hashes as a table of `hash`: id is the position."""
    values = [[int(text[16 * n : 16 * n + 16], 16) for text in hashes] for n in range(4)]
    columns = {f"w{n}": pa.array(column, pa.uint64()) for n, column in enumerate(values)}
    return pa.table({"id": pa.array(range(len(hashes)), pa.int64()), **columns})


def planted(rng, n):
    hashes = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    for k in range(0, n - 1, 2):  # copies at every distance from 0 to 20
        bits = np.unpackbits(hashes[k])
        bits[rng.choice(256, size=k // 2 % 21, replace=False)] ^= 1
        hashes[k + 1] = np.packbits(bits)
    return hashes


def distances(one, other):
    bits = [np.unpackbits(np.array([list(bytes.fromhex(t)) for t in texts], np.uint8), axis=1)
            for texts in (one, other)]  # fmt: skip
    return (bits[0][:, None, :] != bits[1][None, :, :]).sum(axis=2)


def rows(path):
    return {(r["a"], r["b"], r["distance"]) for r in pq.read_table(path).to_pylist()}


@pytest.mark.parametrize("max_bits", [0, 3, 10, 15])
def test_near_pairs_equal_all_pairs_by_brute_force(con, tmp_path, max_bits):
    hashes = planted(np.random.default_rng(max_bits), 240)
    texts = sorted({row.tobytes().hex() for row in hashes})
    distance = distances(texts, texts)
    expected = {(a, b, int(distance[a, b])) for a in range(len(texts))
                for b in range(a + 1, len(texts)) if distance[a, b] <= max_bits}  # fmt: skip
    assert rows(near.among(con, words(texts), max_bits, tmp_path / "o")) == expected
    assert max_bits == 0 or expected


def test_the_worst_pattern_of_15_bits_is_found(con, tmp_path):
    """Two differences in seven bands, and one in the eighth: only that one leads to the pair."""
    rng = np.random.default_rng(4)
    start = rng.integers(0, 256, 32, dtype=np.uint8).tobytes().hex()
    bands = _band_of_each_bit(con)
    assert sorted(np.bincount(bands)) == [32] * 8, "eight bands of 32 bits, and every bit in one"
    for lone in range(8):
        value = int(start, 16)
        for band in range(8):
            for bit in rng.choice(
                np.flatnonzero(bands == band), 1 if band == lone else 2, replace=False
            ):
                value ^= 1 << int(bit)
        found = rows(near.among(con, words([start, f"{value:064x}"]), 15, tmp_path / str(lone)))
        assert found == {(0, 1, 15)}


def test_the_second_arrangement_is_another_one_and_finds_more_of_what_is_far(con, tmp_path):
    first, second = _band_of_each_bit(con, 0), _band_of_each_bit(con, 1)
    assert sorted(np.bincount(second)) == [32] * 8
    shared = [[np.sum((first == a) & (second == b)) for b in range(8)] for a in range(8)]
    assert np.max(shared) <= 4, "two bits of a band are seldom in one band again"
    rng = np.random.default_rng(2)
    texts = []
    for _ in range(400):
        value = int.from_bytes(rng.bytes(32))
        texts += [
            f"{value:064x}",
            f"{value ^ sum(1 << int(b) for b in rng.choice(256, 26, replace=False)):064x}",
        ]
    found = [
        len(rows(near.among(con, words(texts), 31, tmp_path / str(n), n_arrangements=n)))
        for n in (1, 2)
    ]
    assert found[0] < 0.85 * 400 and found[1] > 0.9 * 400


def _band_of_each_bit(con, arrangement=0):
    con.execute(near.MACROS)
    text = """
    select first(band) from (
      select bit, band, band_of(word_of(h, 0), word_of(h, 1), word_of(h, 2), word_of(h, 3), band, $arrangement) as value
      from (select unnest($hashes) as h, unnest(range(256)) as bit), range(8) as r(band)
    ) where value <> 0 group by bit having count(*) = 1 order by bit
    """
    found = con.execute(
        text, {"hashes": [f"{1 << bit:064x}" for bit in range(256)], "arrangement": arrangement}
    ).fetchall()
    return np.array([band for (band,) in found])


def test_pairs_between_two_sets_equal_brute_force_and_leave_a_hash_itself_alone(con, tmp_path):
    rng = np.random.default_rng(9)
    one = [row.tobytes().hex() for row in rng.integers(0, 256, (90, 32), dtype=np.uint8)]
    other = []
    for k, text in enumerate(one[::-1]):
        value = int(text, 16)
        for bit in rng.choice(256, size=k % 18, replace=False):
            value ^= 1 << int(bit)
        other.append(f"{value:064x}")
    distance = distances(other, one)
    expected = {(a, b, int(distance[a, b])) for a in range(90) for b in range(90)
                if a != b and distance[a, b] <= 15}  # fmt: skip
    found = near.between(con, words(other), words(one), 15, tmp_path / "o")
    assert rows(found) == expected and len(expected) > 60


def test_components_equal_union_find_on_random_graphs(con):
    rng = random.Random(3)
    chain = [(k, k + 1) for k in range(500)]
    rng.shuffle(chain)
    graphs = [chain, [(0, k) for k in range(1, 300)]]
    graphs += [
        [(rng.randrange(n), rng.randrange(n)) for _ in range(m)]
        for n, m in ((30, 12), (30, 40), (200, 150))
    ]
    for edges in graphs:
        parent = {node: node for edge in edges for node in edge}

        def root(node, parent=parent):
            while parent[node] != node:
                node = parent[node]
            return node

        for a, b in edges:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
        edge = pa.table({"a": [a for a, _ in edges], "b": [b for _, b in edges]})
        found = {row["id"]: row["label"] for row in near.components(con, edge).to_pylist()}
        assert found == {node: root(node) for node in parent}


def test_no_edges_are_no_components(con):
    edge = pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.int64())})
    assert near.components(con, edge).num_rows == 0
