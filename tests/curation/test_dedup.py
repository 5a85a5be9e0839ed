"""Who is a duplicate of whom, by which class, who is kept, and what is left alone."""

import numpy as np
import pyarrow as pa
import pytest

from catalog import sql
from catalog.phash import PROBES
from curation import dedup

FIELDS = {
    "uuid": pa.string(), "source": pa.string(), "record_key": pa.string(), "url": pa.string(), "host": pa.string(),
    "provider_key": pa.string(), "crop": pa.string(), "lineage": pa.string(), "md5": pa.string(),
    "pixel_xxh3": pa.string(), "phash": pa.string(), "probes": pa.binary(), "organismID": pa.string(),
    "datasetKey": pa.string(), "catalogNumber": pa.string(), "deploymentID": pa.string(), "recordedBy": pa.string(),
    "eventDate": pa.string(), "original_width": pa.int32(), "original_height": pa.int32(),
    "preference": pa.int32(), "n_pixels": pa.int64(), "n_bytes": pa.int64(), "strictness": pa.int32(),
    "source_order": pa.int32(), "n_known": pa.int32(),
}  # fmt: skip
HELD = pa.schema([("benchmark", pa.string()), ("pixel_xxh3", pa.string()), ("phash", pa.string()),
                  ("probes", pa.binary())])  # fmt: skip
RNG = np.random.default_rng(1)


def random_hash():
    return RNG.integers(0, 256, 32, dtype=np.uint8).tobytes().hex()


def flipped(text, n_bits):
    value = int(text, 16)
    for bit in range(n_bits):
        value ^= 1 << (bit * 17 % 256)
    return f"{value:064x}"


def probes(**kinds):
    """The blob of probes of a picture, random but for those given."""
    return b"".join(bytes.fromhex(kinds.get(kind, random_hash())) for kind in PROBES)


def run(con, tmp_path, rows, held=(), scores=None, **how):
    """dedup over rows given by what differs; outcome by uuid. `scores` says what pixels say of a pair."""
    plain = {"source": "gbif", "host": "h", "original_width": 100, "original_height": 80, "preference": 0,
             "n_pixels": 8000, "n_bytes": 50, "strictness": 1, "source_order": 1, "n_known": 0}  # fmt: skip
    full = [{**plain, "record_key": key, "url": key, "md5": key, "pixel_xxh3": key, "lineage": key, "uuid": key,
             "phash": random_hash(), "probes": probes(), **more} for key, more in sorted(rows.items())]  # fmt: skip
    picture = pa.Table.from_pylist(full, schema=pa.schema(FIELDS.items()))
    picture = picture.add_column(0, "id", pa.array(range(len(full)), pa.int64()))
    held = pa.Table.from_pylist(
        [{"probes": probes(), **row} for row in held], schema=HELD)  # fmt: skip
    asked = []
    tmp_path.mkdir(exist_ok=True)

    def confirm(candidate, hash_):
        text = "select c.number, c.rule, c.kind, p.phash, q.phash from candidate c join hash p on p.id = c.a join hash q on q.id = c.b order by 1"
        found = sql.query(con, text, candidate=candidate, hash=hash_).rows()
        asked.extend(found)
        given = [(scores or {}).get(rule, 1.0) for _, rule, *_ in found]
        yield pa.table({"number": pa.array([n for n, *_ in found], pa.int64()),
                        "score": pa.array(given, pa.float64())})  # fmt: skip

    how = {"classes": dedup.CLASSES, "near_max_bits": 10, "burst_s": 10.0, "placeholder_urls": 4, "min_score": 0.7,
           **how}  # fmt: skip
    found = (
        dedup.dedup(con, picture=picture, held=held, folder=tmp_path, confirm=confirm, **how)
        .table()
        .to_pylist()
    )
    assert [row["uuid"] for row in found] == sorted(rows)
    return {row["uuid"]: row for row in found}, asked


def fate(found):
    return {
        key: (row["duplicate_of"], row["duplicate_rule"])
        for key, row in found.items()
        if row["duplicate_of"]
    }


def test_a_threshold_the_search_is_not_exact_for_is_refused(con, tmp_path):
    with pytest.raises(ValueError, match="exact from 0 to 15"):
        run(con, tmp_path, {}, near_max_bits=31)


@pytest.mark.parametrize(
    ("one", "other", "kept"),
    [
        (
            {"preference": 0},
            {"preference": 1, "n_pixels": 9000},
            "a",
        ),  # the better label, though smaller
        ({"n_pixels": 4000}, {"n_pixels": 9000}, "b"),
        ({"strictness": 1}, {"strictness": 0}, "b"),  # CC0 before CC BY
        ({"source_order": 2}, {"source_order": 1}, "b"),
        ({"n_known": 2}, {"n_known": 3}, "b"),
        ({"n_bytes": 90}, {"n_bytes": 80}, "a"),
        ({"n_bytes": 80}, {"n_bytes": 90}, "b"),  # the same size in px: the less compressed copy
        ({}, {}, "a"),
    ],
)
def test_of_equal_pictures_the_stated_order_decides_who_stays(con, tmp_path, one, other, kept):
    both = {"pixel_xxh3": "same", "phash": random_hash()}
    found, _ = run(con, tmp_path, {"a": {**both, **one}, "b": {**both, **other}})
    left = "b" if kept == "a" else "a"
    assert fate(found) == {left: (kept, "pixels")}


def test_each_class_says_its_name_and_the_first_of_the_ladder_counts(con, tmp_path):
    near, far = random_hash(), random_hash()
    rows = {
        "a": {}, "a2": {"url": "a"}, "b": {"provider_key": "k"}, "b2": {"provider_key": "k"},
        "c": {}, "c2": {"md5": "c", "pixel_xxh3": "c"}, "d": {"pixel_xxh3": "d"}, "d2": {"pixel_xxh3": "d"},
        "e": {"phash": near}, "e2": {"phash": flipped(near, 10)}, "f": {"phash": far},
        "f2": {"phash": flipped(far, 13)},
    }  # fmt: skip
    found, asked = run(con, tmp_path, rows)
    assert fate(found) == {
        "a2": ("a", "url"), "b2": ("b", "provider_key"), "c2": ("c", "md5"), "d2": ("d", "pixels"),
        "e2": ("e", "near"), "f2": ("f", "wide"),
    }  # fmt: skip
    assert (
        found["e2"]["distance"] == 10
        and found["f2"]["distance"] == 13
        and found["a2"]["distance"] is None
    )
    assert [rule for _, rule, *_ in asked] == ["wide"], "only what hashes leave open is looked at"


def _altered():
    whole, cut, inner = random_hash(), random_hash(), random_hash()
    return {
        "a": {"phash": whole, "probes": probes(mirror=flipped(cut, 3))}, "a2": {"phash": cut},
        "b": {"probes": probes(crop_020=flipped(inner, 9))}, "b2": {"phash": inner},
        "c": {"probes": probes(border=flipped(whole[::-1], 2))}, "c2": {"probes": probes(border=whole[::-1])},
    }  # fmt: skip


def test_mirrored_cropped_and_captioned_copies_count_once_their_pixels_agree(con, tmp_path):
    rows = _altered()
    found, asked = run(con, tmp_path / "yes", rows)
    assert fate(found) == {"a2": ("a", "mirror"), "b2": ("b", "crop"), "c2": ("c", "border")}
    assert {kind for _, _, kind, *_ in asked} == {"mirror", "crop_020", "border"}
    assert next(a for a in asked if a[1] == "mirror")[3] == rows["a"]["phash"], (
        "the first is the original"
    )
    found, _ = run(con, tmp_path / "no", rows, scores={"mirror": 0.2, "crop": 0.69, "border": 0.0})
    assert fate(found) == {}


@pytest.mark.parametrize("off", dedup.CLASSES)
def test_every_class_can_be_switched_off(con, tmp_path, off):
    near, far = random_hash(), random_hash()
    rows = {
        "p": {}, "p2": {"url": "p"}, "q": {"provider_key": "k"}, "q2": {"provider_key": "k"}, "r": {},
        "r2": {"md5": "r"}, "s": {}, "s2": {"pixel_xxh3": "s"}, "t": {"phash": near},
        "t2": {"phash": flipped(near, 4)}, "u": {"phash": far}, "u2": {"phash": flipped(far, 14)}, **_altered(),
    }  # fmt: skip
    before, _ = run(con, tmp_path / "all", rows)
    after, _ = run(
        con, tmp_path / "less", rows, classes=tuple(c for c in dedup.CLASSES if c != off)
    )
    gone = {key: how for key, how in fate(before).items() if key not in fate(after)}
    assert [how[1] for how in gone.values()] == [off]


def test_frames_of_a_burst_stay_and_a_copy_of_one_elsewhere_goes(con, tmp_path):
    base = random_hash()
    frames = {
        f"f{k}": {
            "phash": flipped(base, k),
            "deploymentID": "cam",
            "eventDate": f"2020-05-01T10:00:0{k}",
        }
        for k in range(4)
    }
    found, _ = run(con, tmp_path, {**frames, "z": {"phash": flipped(base, 2)}})
    assert fate(found) == {"z": ("f0", "near")}
    assert len({row["group_id"] for row in found.values()}) == 1, "they are one group"


def test_records_of_one_day_without_a_time_are_no_burst(con, tmp_path):
    base = random_hash()
    day = {"recordedBy": "A. Person", "eventDate": "2020-05-01T00:00:00"}
    found, _ = run(con, tmp_path, {f"f{k}": {"phash": flipped(base, k), **day} for k in range(2)})
    assert fate(found) == {"f1": ("f0", "near")}


def test_an_observer_of_another_dataset_is_another_observer(con, tmp_path):
    base = random_hash()
    shot = {"recordedBy": "Anonymous", "eventDate": "2020-05-01T10:00:01"}
    rows = {f"f{k}": {"phash": flipped(base, k), "datasetKey": f"d{k}", **shot} for k in range(2)}
    found, _ = run(con, tmp_path, rows)
    assert fate(found) == {"f1": ("f0", "near")}


def test_without_what_tells_a_burst_its_frames_merge(con, tmp_path):
    base = random_hash()
    found, _ = run(con, tmp_path, {f"f{k}": {"phash": flipped(base, k)} for k in range(3)})
    assert fate(found) == {"f1": ("f0", "near"), "f2": ("f0", "near")}


def test_pictures_of_one_record_are_a_burst_unless_their_size_tells_a_copy(con, tmp_path):
    base = random_hash()
    rows = {
        "a": {"phash": base, "record_key": "r", "n_pixels": 9000}, "b": {"phash": flipped(base, 4), "record_key": "r"},
        "c": {"phash": flipped(base, 1), "record_key": "r", "original_width": 50, "original_height": 40, "n_pixels": 2000},
        "d": {"record_key": "r", "md5": "a", "phash": base},
    }  # fmt: skip
    found, _ = run(con, tmp_path, rows)
    assert fate(found) == {"c": ("a", "near"), "d": ("a", "md5")}


def test_the_twin_of_a_burst_frame_is_kept_by_its_frame(con, tmp_path):
    base = random_hash()
    frames = {f"f{k}": {"phash": flipped(base, k), "record_key": "r"} for k in range(2)}
    found, _ = run(
        con,
        tmp_path,
        {**frames, "g": {"md5": "f1", "pixel_xxh3": "f1", "phash": flipped(base, 1)}},
    )
    assert fate(found) == {"g": ("f1", "md5")}


def test_one_picture_under_many_names_at_one_server_is_a_placeholder_and_nobodys_duplicate(
    con, tmp_path
):
    lost = {"pixel_xxh3": "lost", "phash": random_hash()}
    rows = {f"p{k}": {**lost, "lineage": f"taxon {k % 3}"} for k in range(4)}
    rows["q"] = {**lost, "host": "elsewhere"}
    found, _ = run(con, tmp_path / "many", rows)
    assert all(row["placeholder"] for row in found.values()) and not fate(found)
    fewer = {key: row for key, row in rows.items() if key in ("p0", "p1", "p2")}
    found, _ = run(con, tmp_path / "few", fewer)
    assert not any(row["placeholder"] for row in found.values()) and len(fate(found)) == 2
    found, _ = run(
        con, tmp_path / "one", {k: {**r, "lineage": "one taxon"} for k, r in rows.items()}
    )
    assert not any(row["placeholder"] for row in found.values()), (
        "one species may have many addresses"
    )


def test_what_is_near_a_held_out_picture_says_which_and_is_never_the_one_kept(con, tmp_path):
    held_hash, turned = random_hash(), random_hash()
    held = [{"benchmark": "rare", "phash": held_hash, "probes": probes(mirror=turned)}]
    rows = {"a": {"phash": flipped(held_hash, 8), "pixel_xxh3": "same", "n_pixels": 9000},
            "b": {"pixel_xxh3": "same"}, "c": {"phash": turned}, "d": {}}  # fmt: skip
    found, _ = run(con, tmp_path, rows, held)
    assert {key: row["benchmark"] for key, row in found.items()} == {
        "a": "rare",
        "b": None,
        "c": "rare",
        "d": None,
    }
    assert found["a"]["distance"] == 8 and fate(found) == {"a": ("b", "pixels")}


def test_a_leak_is_found_also_where_near_pictures_are_no_duplicates(con, tmp_path):
    held_hash, near = random_hash(), random_hash()
    held = [{"benchmark": "rare", "phash": held_hash}]
    rows = {
        "a": {"phash": flipped(held_hash, 5)},
        "b": {"phash": near},
        "c": {"phash": flipped(near, 5)},
    }
    classes = tuple(c for c in dedup.CLASSES if c != "near")
    found, _ = run(con, tmp_path, rows, held, classes=classes)
    assert found["a"]["benchmark"] == "rare" and not fate(found)


def test_a_flat_picture_that_is_held_out_is_known_by_its_pixels(con, tmp_path):
    held = [{"benchmark": "rare", "pixel_xxh3": "white", "probes": None}]
    rows = {"a": {"phash": None, "probes": None, "pixel_xxh3": "white"},
            "b": {"phash": None, "probes": None}}  # fmt: skip
    found, _ = run(con, tmp_path, rows, held)
    assert {k: (r["benchmark"], r["distance"]) for k, r in found.items()} == {
        "a": ("rare", 0), "b": (None, None)}  # fmt: skip


def test_a_probe_of_nothing_meets_nobody(con, tmp_path):
    empty = "0" * 64
    rows = {k: {"probes": probes(border=empty)} for k in "ab"}
    found, asked = run(con, tmp_path, rows)
    assert not fate(found) and not asked


def test_pictures_without_a_hash_meet_nobody_by_their_looks(con, tmp_path):
    found, asked = run(con, tmp_path, {k: {"phash": None, "probes": None} for k in "abc"})
    assert not fate(found) and not asked
