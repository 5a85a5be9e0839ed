"""Anyone's own table: delimited text or parquet, one row each."""

import datetime
import decimal

import pyarrow as pa
import pytest

from catalog import schema, sql
from curation.sources.own import own
from tests.archives import reasons, rows, table_file


def read(tmp_path, name, content, **how):
    path = table_file(tmp_path / "in", name, content)
    query = own(sql.connect(), archive="mine", path=path, work_dir=tmp_path / "work", **how)
    return rows(query, schema.SOURCE)


@pytest.mark.parametrize(
    "content",
    [
        "path,scientificName\na.jpg,Apus\nb.jpg,Abies\n",
        "path;scientificName\r\na.jpg;Apus\r\nb.jpg;Abies\r\n",
        "path|scientificName\na.jpg|Apus\n\n\nb.jpg|Abies",
        "path\tscientificName\ra.jpg\tApus\rb.jpg\tAbies\r",
        '\ufeff"path","scientificName"\n"a.jpg","Apus"\n"b.jpg","Abies"\n',
        "scientificName,path\nApus,a.jpg \n Abies,b.jpg\n",
        "path,scientificName\na.jpg,Apus\nb.jpg,Abies\n".encode("utf-16"),
        b"path,scientificName\n\0a.jpg,A\0pus\nb.jpg,Abies\n",
    ],
)
def test_a_table_may_be_written_in_many_ways(tmp_path, content):
    found = read(tmp_path, "t.csv", content)
    assert [(row["identifier"], row["verbatimScientificName"]) for row in found] == [
        ("a.jpg", "Apus"),
        ("b.jpg", "Abies"),
    ]
    assert [row["source_row"] for row in found] == [1, 2]


OWN_ROWS = [  # row, what is wrong with it
    ("a.jpg,Apus,45", None), ("a.jpg,,", None), (",Apus,45", "no_identifier"), ("a.jpg,Apus", "ragged_row"),
    ("a.jpg,Apus,45,more", "ragged_row"), ("lonely", "ragged_row"),
    ('"a\nb.jpg","Apus ""x""",45', None),
    ('a.jpg,"Apus,45', "ragged_row"),
]  # fmt: skip


def test_every_row_is_kept_or_says_why_not(tmp_path):
    lines = "".join(f"{line}\n" for line, _ in [*OWN_ROWS, OWN_ROWS[0]])
    found = read(tmp_path, "t.csv", f"file,name,latitude\n{lines}")
    assert [row["reject_reason"] for row in found] == [reason for _, reason in OWN_ROWS] + [None]


def test_a_row_states_its_facts_and_the_recipe_fills_in_the_rest(tmp_path):
    content = ("file,name,rank,class,license,author,latitude\n"
               "a.jpg,Apus,GENUS,Aves,CC0,Ann,45.5\nb.jpg,Apus,,,,,north\n")  # fmt: skip
    first, second = read(tmp_path, "t.csv", content, licence="CC BY 4.0", creator="Bob")
    assert (first["license_verbatim"], first["creator"], first["class"]) == ("CC0", "Ann", "Aves")
    assert (first["taxonRank"], first["decimalLatitude"]) == ("genus", 45.5)
    assert (second["license_verbatim"], second["creator"]) == ("CC BY 4.0", "Bob")
    assert (second["decimalLatitude"], second["reject_reason"]) == (None, None)


def test_a_coordinate_that_is_no_finite_number_is_unknown(tmp_path):
    odd = ("nan", "NaN", "inf", "-Infinity", "1e999", "45,5", "45°", "")
    lines = "".join(f"{i}.jpg\t{latitude}\n" for i, latitude in enumerate(odd))
    found = read(tmp_path, "t.tsv", f"file\tlatitude\n{lines}")
    assert [(row["decimalLatitude"], row["reject_reason"]) for row in found] == [
        (None, None)
    ] * len(odd)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_a_header_only_gives_no_rows(tmp_path, name):
    empty = pa.table({"path": pa.array([], pa.string()), "name": pa.array([], pa.string())})
    assert read(tmp_path, name, empty if name == "t.parquet" else "path\tname\n") == []


def test_parquet_of_any_column_type_gives_its_rows(tmp_path):
    table = pa.table(
        {
            "image": pa.array([{"bytes": b"x", "path": "p"}] * 3),
            "thumbnail": pa.array([b"\xff\xd8"] * 3),
            "digest": pa.array([b"abcd"] * 3, pa.binary(4)),
            "path": pa.array(["a.jpg", None, " "]).dictionary_encode(),
            "taxonKey": pa.array([2435099, 1, 2], pa.int64()),
            "latitude": pa.array([45.5, float("nan"), None]),
            "longitude": pa.array([decimal.Decimal("-80.25"), None, None]),
            "eventDate": pa.array([datetime.date(2020, 5, 1), None, None]),
            "sex": pa.array([True, None, False]),
            "recordedBy": pa.array([["Ann", "Bob"], None, []]),
            "habitat": pa.nulls(3),
            "lasted": pa.array([datetime.timedelta(1)] * 3),
            "scientificName": pa.array(["Apus", "Abies", "Bos"], pa.large_string()),
        }
    )
    found = read(tmp_path, "t.parquet", table)
    assert [row["reject_reason"] for row in found] == [None, "no_identifier", "no_identifier"]
    wanted = {"identifier": "a.jpg", "taxonKey": "2435099", "decimalLatitude": 45.5, "decimalLongitude": -80.25,
              "eventDate": "2020-05-01", "sex": "true", "verbatimScientificName": "Apus", "recordedBy": None}  # fmt: skip
    assert {name: found[0][name] for name in wanted} == wanted
    assert found[1]["decimalLatitude"] is None  # not a number is unknown


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"image": pa.array([{"bytes": b"x"}]), "name": ["Apus"]}),
        pa.table({"path": pa.array([["a.jpg"]]), "name": ["Apus"]}),
        pa.table({"path": pa.array([b"a.jpg"]), "name": ["Apus"]}),
        pa.table({"path": pa.array([["a.jpg"]])}),
        pa.table({"name": ["Apus"]}),
    ],
    ids=["a struct", "a list", "bytes", "nothing but a list", "no picture"],
)
def test_parquet_without_an_address_as_text_is_refused(tmp_path, table):
    with pytest.raises(ValueError, match="no column for the picture"):
        read(tmp_path, "t.parquet", table)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist; name a CSV, TSV or parquet"):
        own(sql.connect(), archive="mine", path=tmp_path / "no.csv", work_dir=tmp_path)
    for content in (b"", b"PAR1", b"PAR1" + b"x" * 40 + b"PAR1"):
        with pytest.raises(ValueError, match="not readable parquet"):
            read(tmp_path, "t.parquet", content)
    for content in ("", "lonely\na\n"):
        with pytest.raises(ValueError, match="no header line"):
            read(tmp_path, "t.csv", content)
    with pytest.raises(ValueError, match=r"no column for the picture.*it has a, b"):
        read(tmp_path, "t.csv", "a,b\n1,2\n")


@pytest.mark.real_data
def test_a_real_inaturalist_export_loses_no_row(real_data, tmp_path):
    path = real_data / "gbif/inaturalist_export/observations-128749.csv"
    found = rows(own(sql.connect(), archive="mine", path=path, work_dir=tmp_path))
    assert reasons(found) == {None: 1514}
    assert sum(row["decimalLatitude"] is not None for row in found) > 1000


def test_cells_that_are_no_number_are_told_and_taken_as_unknown(tmp_path, caplog):
    text = "identifier,decimalLatitude,decimalLongitude\na.jpg,abc,7\nb.jpg,12°N,8\nc.jpg,,9\n"
    found = read(tmp_path, "t.csv", text)
    assert [row["decimalLatitude"] for row in found] == [None] * 3
    assert [row["decimalLongitude"] for row in found] == [7.0, 8.0, 9.0]
    assert "2 cells of decimalLatitude are no number ('12°N')" in caplog.text


def test_letters_of_another_encoding_are_told(tmp_path, caplog):
    text = "identifier,creator\na.jpg,Müller\nb.jpg,Ærø\n".encode("latin-1")
    found = read(tmp_path, "t.csv", text)
    assert [row["creator"] for row in found] == ["Müller", "Ærø"]
    assert "t.csv is not UTF-8; it is read as Windows-1252" in caplog.text


def test_flags_of_obscured_places_become_darwin_core_words(tmp_path):
    """iNaturalist's export says so in columns of its own; the place itself is obscured there already."""
    text = ("image_url,scientific_name,latitude,longitude,coordinates_obscured,geoprivacy,dataGeneralizations\n"
            "https://x.example/1.jpg,Aus bus,1.5,2.5,true,,\nhttps://x.example/2.jpg,Aus bus,1.5,2.5,false,obscured,\n"
            "https://x.example/3.jpg,Aus bus,1.5,2.5,false,,\nhttps://x.example/4.jpg,Aus bus,1.5,2.5,,as-published/1:unchanged,to 10 km\n")  # fmt: skip
    found = read(tmp_path, "t.csv", text)
    assert [(r["dataGeneralizations"], r["informationWithheld"]) for r in found] == [
        ("coordinates obscured by the provider", None), (None, "place is obscured by the observer"), (None, None), ("to 10 km", None)]  # fmt: skip
