"""BIOSCAN-5M's metadata table."""

import pytest

from catalog import schema, sql
from curation.sources.bioscan import bioscan
from tests.archives import folder, reasons, rows

HEAD = "processid,taxon,phylum,class,order,family,genus,species,dna_bin,dna_barcode,country,coord-lat,coord-lon,split,chunk"
LINE = "{},Apis,Arthropoda,Insecta,Hymenoptera,Apidae,Apis,,BOLD:AAA1234,ACGT,Canada,45.5,-80,{},{}"


def read(tmp_path, *lines, head=HEAD, **how):
    path = folder(tmp_path / "in", {"m.csv": "\n".join([head, *lines]) + "\n"}) / "m.csv"
    query = bioscan(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work", **how)
    return rows(query, schema.SOURCE)


RECORDS = [  # processid, split, chunk, what is wrong with them
    ("AB-12", "train", "a", None),
    ("AB-12", "pretrain", "", None),
    ("", "train", "a", "no_record_id"),
    ("../../etc/passwd", "train", "a", "bad_record_id"),
    ("a/b", "train", "a", "bad_record_id"),
    ("a\\b", "train", "a", "bad_record_id"),
    ("a..b", "train", "a", "bad_record_id"),
    ("..", "train", "a", "bad_record_id"),
    ("/etc/passwd", "train", "a", "bad_record_id"),
    ("http://x/a", "train", "a", "bad_record_id"),
    ("a%2fb", "train", "a", "bad_record_id"),
    ('"a\nb"', "train", "a", "bad_record_id"),
    ("AB-12", "train", "../../x", "bad_chunk"),
    ("AB-12", "train", "..", "bad_chunk"),
    ("AB-12", "train", "/x", "bad_chunk"),
    ("AB-12", "", "a", "no_split"),
    ("AB-12", "test", "a", "provider_held_out"),
    ("AB-12", "../train", "a", "provider_held_out"),
    ("AB-12", "train", "a,more", "ragged_row"),
]  # fmt: skip


def test_every_record_is_kept_or_says_why_not(tmp_path):
    found = read(tmp_path, *(LINE.format(*record[:3]) for record in RECORDS))
    said = [(*was[:3], row["reject_reason"]) for was, row in zip(RECORDS, found, strict=True)]
    assert said == RECORDS
    assert all(".." not in row["identifier"] for row in found if row["reject_reason"] is None)


def test_a_record_carries_its_place_barcode_licence_and_picture(tmp_path):
    found = read(tmp_path, LINE.format("AB-1", "train", "a"), LINE.format("AB-2", "val", ""),
                 image_type="cropped", splits=("train", "val"))  # fmt: skip
    assert [row["identifier"] for row in found] == [
        "cropped/train/a/AB-1.jpg",
        "cropped/val/AB-2.jpg",
    ]
    wanted = {
        "record_key": "bioscan:AB-1", "kingdom": "Animalia", "taxonRank": "genus", "countryCode": "CA",
        "decimalLatitude": 45.5, "dna_bin": "BOLD:AAA1234", "dna_barcode": "ACGT",
        "provider_split": "train", "license_verbatim": "http://creativecommons.org/licenses/by/3.0/",
    }  # fmt: skip
    assert {name: found[0][name] for name in wanted} == wanted


def test_coordinates_that_are_no_numbers_become_unknown(tmp_path):
    (row,) = read(tmp_path, LINE.format("AB-1", "train", "a").replace("45.5,-80", "north,"))
    assert (row["decimalLatitude"], row["decimalLongitude"], row["reject_reason"]) == (
        None,
        None,
        None,
    )


def test_a_header_only_gives_no_rows(tmp_path):
    assert read(tmp_path) == []


def test_another_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no column chunk, processid, split"):
        read(tmp_path, head="a,b")
    with pytest.raises(ValueError, match="does not exist; name BIOSCAN-5M's metadata"):
        bioscan(sql.connect(), archive="a", path=tmp_path / "nowhere.csv", work_dir=tmp_path)


@pytest.mark.real_data
def test_real_records_lose_no_row(real_data, tmp_path):
    path = real_data / "bioscan/bioscan5m_sample_metadata.csv"
    found = rows(bioscan(sql.connect(), archive="a", path=path, work_dir=tmp_path))
    assert (len(found), reasons(found)) == (25, {None: 25})
    assert len({row["source_id"] for row in found}) == 25
    assert all(row["countryCode"] and row["decimalLatitude"] is not None for row in found)
