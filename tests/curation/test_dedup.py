"""Near pairs against brute force, components against union-find, and who is kept."""

import random

import numpy as np
import pyarrow as pa
import pytest

from catalog import sql
from curation import dedup


@pytest.fixture
def con():
    return sql.connect()


def _planted(rng, n):
    hashes = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    for k in range(0, n - 1, 2):  # copies at every distance from 0 to 20
        bits = np.unpackbits(hashes[k])
        bits[rng.choice(256, size=k // 2 % 21, replace=False)] ^= 1
        hashes[k + 1] = np.packbits(bits)
    return hashes


@pytest.mark.parametrize("max_bits", [0, 3, 10, 15])
def test_near_pairs_equal_all_pairs_by_brute_force(con, max_bits):
    hashes = _planted(np.random.default_rng(max_bits), 240)
    texts = sorted({row.tobytes().hex() for row in hashes})
    bits = np.unpackbits(np.array([list(bytes.fromhex(t)) for t in texts], dtype=np.uint8), axis=1)
    distance = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    expected = {
        (a, b, int(distance[a, b]))
        for a in range(len(texts)) for b in range(a + 1, len(texts)) if distance[a, b] <= max_bits
    }  # fmt: skip
    found = dedup.near_pairs(con, texts, max_bits).to_pylist()
    assert {(row["a"], row["b"], row["distance"]) for row in found} == expected
    assert max_bits == 0 or expected


def test_components_equal_union_find_on_random_graphs(con):
    rng = random.Random(3)
    for n_nodes, n_edges in ((30, 12), (30, 40), (200, 150)):
        edges = [
            (f"{rng.randrange(n_nodes):04}", f"{rng.randrange(n_nodes):04}") for _ in range(n_edges)
        ]
        parent = {node: node for edge in edges for node in edge}

        def root(node, parent=parent):
            while parent[node] != node:
                node = parent[node]
            return node

        for a, b in edges:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
        link = pa.table({"a": [a for a, _ in edges], "b": [b for _, b in edges]})
        found = {row["uuid"]: row["label"] for row in dedup.components(con, link).to_pylist()}
        assert found == {node: root(node) for node in parent}


def test_a_threshold_the_search_is_not_exact_for_is_refused(con):
    with pytest.raises(ValueError, match="exact from 0 to 15"):
        dedup.dedup(con, picture=pa.table({"phash": ["00"]}), benchmark=pa.table({"phash": ["00"]}),
                    near_max_bits=31, burst_s=10)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "kept"),
    [
        (
            {"preference": 0},
            {"preference": 1, "n_pixels": 900},
            "a",
        ),  # the better label, though smaller
        ({"n_pixels": 400}, {"n_pixels": 900}, "b"),
        ({"strictness": 1}, {"strictness": 0}, "b"),  # CC0 before CC BY
        ({"n_bytes": 90}, {"n_bytes": 80}, "a"),
        ({"n_bytes": 80}, {"n_bytes": 90}, "b"),  # the same size in px: the less compressed copy
        ({}, {}, "a"),
    ],
)
def test_of_equal_pictures_the_stated_order_decides_who_stays(con, one, other, kept):
    plain = {"source": "gbif", "record_key": "", "url": "", "provider_key": None, "crop": None, "md5": "",
             "pixel_md5": "same", "phash": None, "organismID": None, "datasetKey": None, "catalogNumber": None,
             "eventID": None, "deploymentID": None, "recordedBy": None, "eventDate": None,
             "decimalLatitude": None, "decimalLongitude": None, "preference": 0, "n_pixels": 100,
             "n_bytes": 50, "strictness": 1}  # fmt: skip
    rows = [{**plain, "uuid": key, "record_key": key, "url": key, "md5": key, **more}
            for key, more in (("a", one), ("b", other))]  # fmt: skip
    texts = {k: pa.string() for k, v in plain.items() if v is None or isinstance(v, str)}
    fields = [("uuid", pa.string()), *((k, texts.get(k, pa.int64())) for k in plain)]
    picture = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    none = pa.schema([("benchmark", pa.string()), ("phash", pa.string())]).empty_table()
    found = (
        dedup.dedup(con, picture=picture, benchmark=none, near_max_bits=10, burst_s=10)
        .table()
        .to_pylist()
    )
    assert {r["uuid"]: r["duplicate_of"] for r in found} == {
        "a": None if kept == "a" else "b", "b": None if kept == "b" else "a"
    }  # fmt: skip
    assert {r["duplicate_rule"] for r in found} == {None, "pixels"}
