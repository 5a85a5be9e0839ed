"""One row per media row: ids, canonical addresses, licences, and repeated pictures."""

import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import schema, sql
from catalog.identity import picture_uuid
from curation.media import media
from tests.archives import reasons, rows

ROW = {"archive": "a", "source_table": "m.txt", "media_index": 0, "source": "gbif", "source_id": "1",
       "record_key": "1", "identifier": "http://x/a.jpg", "license_verbatim": "CC0"}  # fmt: skip


def source(path, *changes):
    """A source table of rows that differ from `ROW` by `changes`."""
    made = [{**ROW, "source_row": i, **change} for i, change in enumerate(changes, 1)]
    pq.write_table(pa.Table.from_pylist(made, schema=schema.SOURCE.schema), path)
    return path


def read(tmp_path, *changes):
    """The media rows; as many come out as went in."""
    query = media(sql.connect(), source=[source(tmp_path / "s.parquet", *changes)])
    found = rows(query, schema.MEDIA)
    assert [row["source_row"] for row in found] == list(range(1, len(changes) + 1))
    return found


def test_the_uuid_is_version_5_of_source_record_address_and_crop(tmp_path):
    (row,) = read(tmp_path, {"crop": "1,2,3,4"})
    expected = uuid.uuid5(schema.NS, "gbif\x1f1\x1fhttp://x/a.jpg\x1f1,2,3,4")
    assert row["uuid"] == str(expected) == picture_uuid("gbif", "1", "http://x/a.jpg", "1,2,3,4")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
        min_size=4,
        max_size=4,
    )
)
def test_the_uuid_in_sql_is_that_of_python(con_of_module, words):
    text = "select picture_uuid($a, $b, $c, $d)"
    (found,) = con_of_module.execute(text, dict(zip("abcd", words, strict=True))).fetchone()
    assert found == picture_uuid(*words)


@pytest.fixture(scope="module")
def con_of_module():
    return sql.connect()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://x/a.jpg", "https://X/a.jpg"),
        ("http://x/a.jpg", " HTTP://x:80/a.jpg#top "),
        ("https://x/a.jpg", "https://x:443/a.jpg"),
        ("http://mczbase.mcz.harvard.edu/specimen_images/herpetology/thumbnails/A1.jpg",
         "http://mczbase.mcz.harvard.edu/specimen_images/herpetology/large/A1.jpg"),
        ("https://inaturalist-open-data.s3.amazonaws.com/photos/5/medium.jpeg",
         "https://inaturalist-open-data.s3.amazonaws.com/photos/5/original.jpeg?123"),
        ("https://x/iiif/7/full/!600,600/0/default.jpg", "https://x/iiif/7/full/max/0/default.jpg"),
        ("https://live.staticflickr.com/1/22_abc_b.jpg", "https://live.staticflickr.com/1/22_abc.jpg"),
    ],
)  # fmt: skip
def test_the_variants_of_one_picture_of_one_record_are_one_picture(tmp_path, first, second):
    found = read(
        tmp_path,
        {"identifier": first},
        {"identifier": second},
        {"identifier": second, "record_key": "2"},
    )
    assert [row["reject_reason"] for row in found] == [None, "duplicate_row", None]
    assert found[0]["uuid"] == found[1]["uuid"] != found[2]["uuid"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://x/a.jpg", "http://x/A.jpg"),
        ("http://x/a.jpg?id=1", "http://x/a.jpg?id=2"),
        ("http://x:8080/a.jpg", "http://x/a.jpg"),
        ("http://x/photos/5/medium.jpg", "http://x/photos/5/original.jpg"),
        ("a.jpg", "b.jpg"),
        ("ftp://x/a.jpg", "http://x/a.jpg"),
    ],
)
def test_different_pictures_stay_two(tmp_path, first, second):
    found = read(tmp_path, {"identifier": first}, {"identifier": second})
    assert reasons(found) == {None: 2}


def test_of_repeated_rows_the_first_that_its_source_accepts_stays(tmp_path):
    found = read(
        tmp_path, {"reject_reason": "not_still_image"}, {}, {}, {"reject_reason": "absent"}
    )
    assert [row["reject_reason"] for row in found] == [
        "not_still_image",
        None,
        "duplicate_row",
        "absent",
    ]


def test_rows_without_record_or_address_have_no_uuid_and_say_so(tmp_path):
    found = read(tmp_path, {"record_key": None}, {"identifier": None}, {"identifier": " "},
                 {"identifier": None, "reject_reason": "no_identifier"})  # fmt: skip
    assert [row["uuid"] for row in found] == [None] * 4
    assert [row["reject_reason"] for row in found] == ["no_record_id"] * 3 + ["no_identifier"]


def test_crops_of_one_picture_are_pictures_of_their_own(tmp_path):
    found = read(tmp_path, {"crop": "0,0,5,5"}, {"crop": "5,5,5,5"}, {"crop": "5,5,5,5"})
    assert [row["reject_reason"] for row in found] == [None, None, "duplicate_row"]


def test_several_sources_lose_no_row_even_where_they_share_pictures(tmp_path):
    one, two = (source(tmp_path / f"{name}.parquet", {"archive": name}, {"archive": name, "record_key": name})
                for name in ("b", "c"))  # fmt: skip
    found = rows(media(sql.connect(), source=[two, one]))
    assert [(row["archive"], row["source_row"], row["reject_reason"]) for row in found] == [
        ("b", 1, None), ("b", 2, None), ("c", 1, "duplicate_row"), ("c", 2, None),
    ]  # fmt: skip


def test_a_path_is_a_picture_of_its_own_archive(tmp_path):
    one, two = {"identifier": "a.jpg"}, {"identifier": "a.jpg ", "archive": "b"}
    found = rows(media(sql.connect(), source=[source(tmp_path / "s.parquet", one, two, one)]))
    assert len(found) == 3
    assert reasons(found) == {None: 2, "duplicate_row": 1}


def test_no_rows_give_no_rows(tmp_path):
    assert read(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "spdx", "status"),
    [
        ("http://creativecommons.org/licenses/by-nc/4.0/legalcode", "CC-BY-NC-4.0", "nc"),
        ("CC_BY_4_0", "CC-BY-4.0", "open"),
        ("© All rights reserved", None, "reserved"),
        ("ask the curator \x07 é", None, "unknown"),
        ("x" * 100_000, None, "unknown"),
        ("", None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_every_licence_text_has_a_status_and_stays_on_record(tmp_path, text, spdx, status):
    first, second = read(
        tmp_path, {"license_verbatim": text}, {"license_verbatim": "CC0", "record_key": "2"}
    )
    assert (first["license"], first["license_status"], first["license_verbatim"]) == (
        spdx,
        status,
        text,
    )
    assert (second["license"], second["license_status"]) == ("CC0-1.0", "open")


def test_the_credit_line_names_creator_holder_licence_publisher_and_page(tmp_path):
    full = {
        "creator": "Ann",
        "rightsHolder": "Museum",
        "publisher": "GBIF",
        "references": "http://x/p",
    }
    first, second = read(tmp_path, full, {"rightsHolder": "Ann", "record_key": "2"})
    assert first["attribution"] == "Ann, © Museum, CC0-1.0, GBIF, http://x/p"
    assert second["attribution"] == "Ann, CC0-1.0, http://x/a.jpg"


def test_rows_that_say_the_same_of_their_taxon_share_a_lineage(tmp_path):
    same = {"kingdom": "Animalia", "genus": "Apus"}
    found = read(
        tmp_path, same, {**same, "sex": "male"}, {"kingdom": "Animalia", "family": "Apus"}, {}
    )
    lineages = [row["lineage"] for row in found]
    assert lineages[0] == lineages[1]
    assert len(set(lineages)) == 3
