"""FathomNet JSON and COCO exports: one row per box, whatever stands in it."""

import json

import pytest

from catalog import schema, sql
from curation.sources.fathomnet import fathomnet
from tests.archives import reasons, rows

IMAGE = {"uuid": "i1", "url": "http://x/a.png", "width": 100, "height": 50, "valid": True}
BOX = {"uuid": "b1", "concept": "Bathochordaeus", "x": 10, "y": 20, "width": 30, "height": 10}


def read(tmp_path, data, **how):
    path = tmp_path / "boxes.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    query = fathomnet(sql.connect(), archive="a", path=path, **how)
    found = rows(query, schema.SOURCE)
    assert [row["source_row"] for row in found] == list(range(1, len(found) + 1))
    return found


def read_box(tmp_path, box, image=None, **how):
    """One box between two good ones."""
    good = {**BOX, "uuid": "good"}
    found = read(tmp_path, [{**IMAGE, "boundingBoxes": [good]}, {**IMAGE, **(image or {}), "boundingBoxes": [box]},
                            {**IMAGE, "boundingBoxes": [good]}], **how)  # fmt: skip
    assert len(found) == 3
    assert found[0]["reject_reason"] is found[2]["reject_reason"] is None
    return found[1]


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "image", "reason", "crop"),
    [
        ({}, {}, None, "10,20,30,10"),
        ({"x": 10.4, "y": 19.6}, {}, None, "10,20,30,10"),
        ({"x": -5, "width": 20}, {}, None, "0,20,15,10"),
        ({"x": 90, "width": 10**8}, {}, None, "90,20,10,10"),
        ({}, {"width": None, "height": "50"}, None, "10,20,30,10"),
        ({"x": 200}, {}, "box_outside_image", None),
        ({"width": 1}, {}, "box_outside_image", None),
        ({"width": -30}, {}, "box_outside_image", None),
        ({"x": NAN}, {}, "bad_box", None),
        ({"x": INFINITY}, {}, "bad_box", None),
        ({"x": 10**300}, {}, "bad_box", None),
        ({"x": -(10**400)}, {}, "bad_box", None),
        ({"x": "10"}, {}, "bad_box", None),
        ({"x": True}, {}, "bad_box", None),
        ({"x": None}, {}, "bad_box", None),
        ({"x": [1]}, {}, "bad_box", None),
        ({"uuid": None}, {}, "no_record_id", "10,20,30,10"),
        ({"uuid": " "}, {}, "no_record_id", "10,20,30,10"),
        ({}, {"url": None}, "no_identifier", "10,20,30,10"),
        ({}, {"url": " "}, "no_identifier", "10,20,30,10"),
        ({}, {"valid": False}, "image_not_valid", "10,20,30,10"),
        ({"rejected": True}, {}, "box_rejected", "10,20,30,10"),
        ({"reviewState": "REJECTED"}, {}, "review_rejected", "10,20,30,10"),
        ({"groupOf": True}, {}, "group_of", "10,20,30,10"),
        ({"concept": None}, {}, "no_concept", "10,20,30,10"),
        ({"concept": "marine organism"}, {}, "concept_not_a_taxon", "10,20,30,10"),
        ({"concept": {"a": 1}}, {}, None, "10,20,30,10"),
        ({"concept": "\ud800x"}, {}, None, "10,20,30,10"),
        ({}, {"width": 10**12, "latitude": NAN, "depthMeters": "deep"}, None, "10,20,30,10"),
        ({}, {"darwinCore": ["x"], "timestamp": 5, "sha256": {}}, None, "10,20,30,10"),
    ],
)  # fmt: skip
def test_every_box_is_kept_or_says_why_not(tmp_path, change, image, reason, crop):
    row = read_box(tmp_path, {**BOX, **change}, image)
    assert (row["reject_reason"], row["crop"]) == (reason, crop)


@pytest.mark.parametrize("box", [None, 5, "box", [], {}])
def test_a_box_that_is_no_object_is_counted(tmp_path, box):
    assert read_box(tmp_path, box)["reject_reason"] == "no_record_id"


@pytest.mark.parametrize("boxes", [None, 5, "text", {}, []])
def test_a_picture_without_a_list_of_boxes_has_none(tmp_path, boxes):
    assert read(tmp_path, [{**IMAGE, "boundingBoxes": boxes}, IMAGE, None, 7, "x"]) == []


def test_the_recipe_chooses_review_states_and_flags(tmp_path):
    occluded = {**BOX, "occluded": True, "reviewState": "VERIFIED"}
    assert read_box(tmp_path, occluded)["reject_reason"] is None
    with_flag = read_box(tmp_path, occluded, drop=("occluded",))
    assert with_flag["reject_reason"] == "occluded"
    strict = read(tmp_path, [{**IMAGE, "boundingBoxes": [BOX]}], review=("VERIFIED",))
    assert reasons(strict) == {"review_unknown": 1}


def test_a_picture_keeps_its_own_licence_and_lends_its_facts_to_every_box(tmp_path):
    image = {**IMAGE, "sha256": "ff", "latitude": 36.5, "depthMeters": 300,
             "darwinCore": {"license": "CC0", "rightsHolder": "MBARI"}}  # fmt: skip
    found = read(tmp_path, {"images": [{**image, "boundingBoxes": [BOX, {**BOX, "uuid": "b2"}]}]})
    assert [row["media_index"] for row in found] == [0, 1]
    assert {row["license_verbatim"] for row in found} == {"CC0"}
    assert {row["provider_key"] for row in found} == {"sha256:ff"}
    assert {(row["decimalLatitude"], row["minimumDepthInMeters"]) for row in found} == {
        (36.5, 300.0)
    }


COCO_IMAGE = {
    "id": 7,
    "width": 100,
    "height": 50,
    "file_name": "a.png",
    "coco_url": "http://x/a.png",
}
NOTE = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 10]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"uuid": "u"}, None),
        ({"id": 0}, None),
        ({"id": None}, "no_record_id"),
        ({"image_id": 8}, "no_image"),
        ({"image_id": [7]}, "no_image"),
        ({"image_id": None}, "no_image"),
        ({"image_id": 9}, "no_identifier"),
        ({"category_id": 4}, "no_concept"),
        ({"category_id": {}}, "no_concept"),
        ({"bbox": [1, 2, 3]}, "bad_box"),
        ({"bbox": None}, "bad_box"),
        ({"bbox": "1234"}, "bad_box"),
        ({"bbox": [0, 0, NAN, 5]}, "bad_box"),
        ({"iscrowd": 1}, "group_of"),
    ],
)
def test_every_coco_box_is_kept_or_says_why_not(tmp_path, change, reason):
    data = {"images": [COCO_IMAGE, {"id": 9, "file_name": "b.png"}, {"id": [1]}, None],
            "categories": [{"id": 3, "name": "Bathochordaeus"}, 5, {"id": {}}],
            "annotations": [{**NOTE, "id": 11}, {**NOTE, **change}, None]}  # fmt: skip
    found = read(tmp_path, data)
    assert [row["reject_reason"] for row in found] == [None, reason, "no_record_id"]


@pytest.mark.parametrize("images", [None, [], 5, "x", {}])
def test_a_coco_file_without_pictures_still_counts_its_boxes(tmp_path, images):
    found = read(tmp_path, {"images": images, "categories": images, "annotations": [NOTE, NOTE]})
    assert reasons(found) == {"no_image": 2}


def test_a_byte_order_mark_is_no_hindrance(tmp_path):
    data = b"\xef\xbb\xbf" + json.dumps([{**IMAGE, "boundingBoxes": [BOX]}]).encode()
    assert reasons(read(tmp_path, data)) == {None: 1}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not readable JSON"),
        (b"{", "not readable JSON"),
        (b"\xff\xfe\x00", "not readable JSON"),
        (b"[" * 200_000, "not readable JSON"),
        (b'[{"boundingBoxes": [{"x": ' + b"9" * 5000 + b"}]}]", "not readable JSON"),
        (b"5", "neither a list of FathomNet images nor a COCO"),
        (b'{"images": 5}', "neither a list of FathomNet images nor a COCO"),
        (b'{"annotations": {}}', "neither a list of FathomNet images nor a COCO"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else repr(value[:12]),
)
def test_a_file_of_another_shape_is_refused(tmp_path, data, why):
    with pytest.raises(ValueError, match=why):
        read(tmp_path, data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist; name a FathomNet JSON export"):
        fathomnet(sql.connect(), archive="a", path=tmp_path / "nowhere.json")


@pytest.mark.real_data
def test_the_real_coco_file_loses_no_box(real_data):
    path = real_data / "fathomnet/fathomnet2024_subtrain_coco.json"
    found = rows(fathomnet(sql.connect(), archive="a", path=path))
    assert (len(found), reasons(found)) == (4600, {None: 4600})
    assert len({row["source_id"] for row in found}) == 4600
    boxes = [[int(n) for n in row["crop"].split(",")] for row in found]
    assert all(x + w <= row["original_width"] and y + h <= row["original_height"]
               for (x, y, w, h), row in zip(boxes, found, strict=True))  # fmt: skip
