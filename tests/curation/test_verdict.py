"""Keep or drop, with the first reason that counts; no row is lost and none is doubled."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema
from curation import verdict

MEDIA = {"archive": "a", "source_table": "t", "media_index": 0, "source": "gbif", "lineage": "L",
         "license": "CC-BY-4.0", "license_status": "open", "license_verbatim": "CC BY 4.0", "creator": "Ann", "image_type": "camera_trap"}  # fmt: skip
LABEL = {"lineage": "L", "family": "Apodidae", "genus": "Apus", "match_rule": "exact"}
FETCH = {"status": "ok", "md5": "m"}
PHASH = {"md5": "m", "original_width": 300, "original_height": 400}
REFUSALS = {  # in the order that counts: what each table says, and the verdict
    "source": ({"media": {"reject_reason": "absent"}}, "absent"),
    "removal": ({"removed": True}, "removed_on_request"),
    "label": ({"label": {"family": None}}, "above_min_rank"),
    "licence": ({"media": {"license": None, "license_status": "nd"}}, "licence_nd"),
    "type": ({"media": {"image_type": "map"}}, "type_map"),
    "fetch": ({"fetch": {"status": "gone", "error": "http_404", "md5": None}}, "http_404"),
    "pixels": ({"phash": {"original_width": 99}}, "too_small"),
    "museum": ({"score": {"museum_nearest": "text", "museum_score": 0.1}}, "museum_text"),
    "camera_trap": ({"score": {"animal_score": 0.19}}, "empty_frame"),
    "faces": ({"score": {"face_score": 0.5, "face_boxes": "[[0, 0, 1, 1, 0.5]]"}}, "face"),
    "quality": ({"score": {"sharpness": 0.2}}, "blurred"),
    "benchmark": ({"dedup": {"benchmark": "newt", "distance": 3}}, "near_newt"),
    "dedup": ({"dedup": {"duplicate_of": "u9", "duplicate_rule": "md5", "distance": 0}}, "duplicate_md5"),
}  # fmt: skip
KEPT = (None, None, None)
SCORES = {"pixels": 99.0, "museum": 0.1, "camera_trap": 0.19, "faces": 0.5, "quality": 0.2, "benchmark": 3.0, "dedup": 0.0}  # fmt: skip
LIMITS = {"drop_types": ("map", "text"), "drop_museum": ("text",), "min_museum_score": 0.05, "min_animal_score": 0.2,
          "max_face_score": 0.5, "on_face": "drop", "min_sharpness": 0.3, "min_subject_contrast": 20.0,
          "max_clipped_share": 0.6}  # fmt: skip


def judged(con, tmp_path, *pictures, removals=(), allow_nc=False, **limits):
    """Verdicts of pictures; each says what differs from a good one, by table; None: no row."""
    made = {name: [] for name in ("media", "label", "fetch", "phash", "score", "dedup")}
    removals = list(removals)
    for i, say in enumerate(pictures):
        made["media"].append({**MEDIA, "source_row": i, "uuid": f"u{i}", "url": f"http://x/{i}",
                              "lineage": f"L{i}", **say.get("media", {})})  # fmt: skip
        rows = {"label": {**LABEL, "lineage": f"L{i}"}, "fetch": {**FETCH, "url": f"http://x/{i}", "md5": f"m{i}"},
                "phash": {**PHASH, "md5": f"m{i}"}, "dedup": {"uuid": f"u{i}", "group_id": f"u{i}"}}  # fmt: skip
        for name, row in rows.items():
            if say.get(name, {}) is not None:
                made[name].append({**row, **say.get(name, {})})
        made["score"] += [{"md5": f"m{i}", **say["score"]}] if "score" in say else []
        removals += [("uuid", f"u{i}")] if say.get("removed") else []
    paths = {name: tmp_path / f"{name}.parquet" for name in made}
    for name, rows in made.items():
        table = pa.Table.from_pylist(rows, schema=schema.TABLES[name].schema)
        pq.write_table(table, paths[name])
    found = verdict.verdict(con, **paths, limits=verdict.Limits(**LIMITS | limits), allow_nc=allow_nc,
                            removals=removals).table()  # fmt: skip
    assert found.schema.equals(schema.VERDICT.schema)
    assert found.column("source_row").to_pylist() == list(range(len(pictures))), (
        "a row each, in order"
    )
    for row in found.to_pylist():
        assert row["keep"] == (row["reject_stage"] is None) == (row["reject_reason"] is None)
        assert row["redistributable"] or not row["keep"]
    return [
        (row["reject_stage"], row["reject_reason"], row["reject_score"])
        for row in found.to_pylist()
    ]


def test_a_good_picture_is_kept(con, tmp_path):
    assert judged(con, tmp_path, {}) == [KEPT]


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        *((say, (stage, reason, SCORES.get(stage)))
          for stage, (say, reason) in REFUSALS.items()),
        ({"media": {"reject_reason": "duplicate_row"}}, ("media", "duplicate_row", None)),
        ({"media": {"reject_reason": "no_record_id", "uuid": None}}, ("media", "no_record_id", None)),
        ({"label": None}, ("label", "unresolved", None)),
        ({"score": {"museum_nearest": "text", "museum_score": 0.049}}, KEPT),  # unsure
        ({"score": {"museum_nearest": "specimen", "museum_score": 0.9}}, KEPT),
        ({"score": {"animal_score": 0.2}}, KEPT),
        ({"score": {"animal_score": 0.0}, "media": {"image_type": "specimen"}}, KEPT),
        ({"score": {"animal_score": 0.0}, "media": {"image_type": None}}, KEPT),
        ({"score": {"face_score": 0.49}}, KEPT), ({"score": {"sharpness": 0.3}}, KEPT), ({"score": {}}, KEPT),
        ({"score": {"subject_contrast": 19.0}}, ("quality", "no_subject", 19.0)),
        ({"score": {"clipped_share": 0.7}}, ("quality", "clipped", 0.7)),
        ({"score": {"sharpness": 0.1, "clipped_share": 0.7}}, ("quality", "blurred", 0.1)),
        ({"media": {"animal_score": 0.1}}, ("camera_trap", "empty_frame", 0.1)),  # as a catalogue published it
        ({"media": {"animal_score": 0.1}, "score": {"animal_score": 0.9}}, KEPT),  # looked at again
        ({"media": {"museum_nearest": "text", "museum_score": 0.4}}, ("museum", "museum_text", 0.4)),
        ({"media": {"museum_nearest": "text", "museum_score": 0.4}, "score": {"museum_nearest": "specimen", "museum_score": 0.01}}, KEPT),
        ({"media": {"image_type": "text"}, "fetch": None}, ("type", "type_text", None)),
        ({"label": {"family": None, "match_rule": None, "match_reason": "homonym"}}, ("label", "homonym", None)),
        ({"media": {"license": None, "license_status": "unknown"}}, ("licence", "licence_unknown", None)),
        ({"media": {"license": None, "license_status": "reserved"}}, ("licence", "licence_reserved", None)),
        ({"media": {"license": "CC-BY-NC-4.0", "license_status": "nc"}}, ("licence", "licence_nc", None)),
        ({"media": {"license": None, "license_verbatim": "GNU Free Documentation License"}},
         ("licence", "licence_not_redistributable", None)),
        ({"media": {"creator": None}}, ("licence", "attribution_missing", None)),
        ({"media": {"creator": None, "rightsHolder": "Museum"}}, KEPT),
        ({"media": {"creator": None, "license": "CC0-1.0", "license_verbatim": "CC0"}}, KEPT),
        ({"media": {"creator": None, "license": None, "license_verbatim": "Public Domain"}}, KEPT),
        ({"media": {"creator": None, "license_verbatim": "CC BY 4.0, public domain before"}},
         ("licence", "attribution_missing", None)),
        ({"fetch": None}, ("fetch", "not_fetched", None)),
        ({"fetch": {"status": "transient", "error": "http_500", "md5": None}}, ("fetch", "http_500", None)),
        ({"phash": None}, ("pixels", "not_hashed", None)),
        ({"phash": {"error": "truncated", "original_width": None, "original_height": None}}, ("pixels", "truncated", None)),
        ({"phash": {"original_width": 224, "original_height": 224}}, KEPT),
        ({"media": {"crop": "1,1,9,9"}}, ("pixels", "not_hashed", None)),
        ({"media": {"crop": "1,1,9,9"}, "phash": {"crop": "1,1,9,9"}}, KEPT),
    ],
)  # fmt: skip
def test_every_refusal_has_its_stage_reason_and_score(con, tmp_path, say, expected):
    assert judged(con, tmp_path, say) == [expected]


def _all_of(stages):
    say = {}
    for stage in stages:
        for table, change in REFUSALS[stage][0].items():
            say[table] = {**say[table], **change} if isinstance(say.get(table), dict) else change
    return say


def test_the_first_reason_wins_and_no_row_is_lost_in_random_tables(con, tmp_path):
    rng, order = random.Random(5), list(REFUSALS)
    for n in (1, 60, 300):
        picks = [
            sorted(rng.sample(order, rng.choice([0, 1, 1, 2, 3, 8])), key=order.index)
            for _ in range(n)
        ]
        found = judged(con, tmp_path, *map(_all_of, picks))
        assert [(stage, reason) for stage, reason, _ in found] == [
            (pick[0], REFUSALS[pick[0]][1]) if pick else (None, None) for pick in picks]  # fmt: skip


def test_a_picture_without_address_licence_text_or_lineage_still_has_one_verdict(con, tmp_path):
    empty = {"url": None, "lineage": None, "license": None, "license_status": "unknown",
             "license_verbatim": None, "creator": None, "reject_reason": "no_identifier"}  # fmt: skip
    found = judged(con, tmp_path, {}, {"media": empty}, {"media": empty})
    assert found == [KEPT, *[("source", "no_identifier", None)] * 2]


@pytest.mark.parametrize(
    ("removal", "hit"),
    [
        (("uuid", "u1"), [1]), (("uuid", " U1 "), [1]), (("uuid", "u"), []), (("url", "http://x/1"), [1]),
        (("url", "HTTPS://X:443/1#top"), [1]), (("url", "http://x/"), []), (("creator", "bob B."), [1, 2]),
        (("creator", "Bob"), []), (("creator", ""), []), (("uuid", ""), []),
    ],
)  # fmt: skip
def test_removals_hit_what_they_name_and_nothing_else(con, tmp_path, removal, hit):
    pictures = [{}, {"media": {"creator": "Bob B."}}, {"media": {"rightsHolder": "BOB B."}}, {}]
    found = judged(con, tmp_path, *pictures, removals=[removal, ("uuid", "nobody"), removal])
    assert [
        i for i, row in enumerate(found) if row == ("removal", "removed_on_request", None)
    ] == hit
    assert sum(row == KEPT for row in found) == 4 - len(hit)


def test_non_commercial_pictures_are_kept_by_opt_in_and_no_derivatives_never(con, tmp_path):
    pictures = [
        {"media": {"license_status": status, "license": None}}
        for status in ("nc", "nd", "open", "reserved")
    ]
    stages = [row[0] for row in judged(con, tmp_path, *pictures, allow_nc=True)]
    assert stages == [None, "licence", None, "licence"]
    assert judged(con, tmp_path, *pictures)[0][0] == "licence"


@pytest.mark.parametrize(
    ("min_rank", "stages"),
    [("any", [None] * 3), ("kingdom", ["label", "label", None]), ("family", ["label", None, None]), ("genus", ["label", "label", None])],
)  # fmt: skip
def test_labels_must_reach_the_rank_asked_for(con, tmp_path, min_rank, stages):
    pictures = [{"label": None}, {"label": {"genus": None}}, {"label": {"kingdom": "Animalia"}}]
    assert [row[0] for row in judged(con, tmp_path, *pictures, min_rank=min_rank)] == stages


def test_an_unknown_rank_or_removal_is_the_users_error(con, tmp_path):
    with pytest.raises(ValueError, match="min_rank 'clan' is no rank; choose one of kingdom"):
        judged(con, tmp_path, {}, min_rank="clan")
    with pytest.raises(ValueError, match="a removal names 'email'; choose uuid, url or creator"):
        judged(con, tmp_path, {}, removals=[("email", "x")])


BOXES = "[[0, 0, 1, 1, 0.9]]"


@pytest.mark.parametrize(
    ("on_face", "boxes", "stage"),
    [
        ("drop", BOXES, "faces"),
        ("keep", BOXES, None),
        ("blur", BOXES, None),
        ("blur", None, "faces"),
    ],
)
def test_a_face_is_dropped_kept_or_blurred_and_dropped_where_nobody_knows_where_it_is(con, tmp_path, on_face, boxes, stage):  # fmt: skip
    say = {"score": {"face_score": 0.9, "face_boxes": boxes}}
    assert judged(con, tmp_path, say, on_face=on_face)[0][0] == stage


def test_without_scores_no_limit_drops_anything(con, tmp_path):
    strict = {"min_museum_score": 0.0, "min_animal_score": 1.0, "max_face_score": 0.0, "min_sharpness": 9.0,
              "min_subject_contrast": 255.0, "max_clipped_share": 0.0}  # fmt: skip
    assert judged(con, tmp_path, {}, **strict) == [KEPT]
