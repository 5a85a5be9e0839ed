"""GBIF downloads: every media row comes out once, kept or with the reason why not."""

import collections

import pytest

from catalog import schema, sql
from curation.media import media
from curation.sources.gbif import gbif
from tests.archives import (
    AUDIOVISUAL,
    EOL_MEDIA,
    IMAGE,
    MULTIMEDIA,
    folder,
    gbif_files,
    meta,
    reasons,
    rows,
    table_xml,
    tsv,
    zipped,
)  # fmt: skip

OCCURRENCE = tsv("gbifID scientificName kingdom", "1 Apus Animalia")
MEDIA_HEADER = "gbifID type format identifier license"
STILL = "StillImage image/jpeg"


def read(tmp_path, files, **how):
    """The rows of a download given as files in a folder."""
    path = folder(tmp_path / "in", files)
    found = rows(gbif(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work", **how))
    keys = [(row["source_table"], row["source_row"], row["media_index"]) for row in found]
    assert len(set(keys)) == len(keys)
    return found


def read_media(tmp_path, *lines, occurrence=OCCURRENCE, **how):
    return read(tmp_path, gbif_files(occurrence, tsv(MEDIA_HEADER, *lines), **how))


MEDIA_ROWS = [  # row of the media table, what is wrong with it
    (f"1 {STILL} http://x/a.jpg CC0", None),
    ("1 _ image/jpeg http://x/a.jpg CC0", None),
    ("1 StillImage _ http://x/a.jpg CC0", None),
    ("1 http://purl.org/dc/dcmitype/StillImage _ http://x/a.jpg CC0", None),
    ("1 StillImage application/octet-stream http://x/a.jpg CC0", None),
    (f"1 {STILL} http://x/a.jpg _", None),
    ("1 Sound audio/mpeg http://x/a.mp3 CC0", "not_still_image"),
    ("1 StillImage audio/mpeg http://x/a.mp3 CC0", "not_still_image"),
    ("1 MovingImage image/gif http://x/a.gif CC0", "not_still_image"),
    ("1 _ text/html http://x/a CC0", "not_still_image"),
    ("1 _ _ http://x/a.jpg CC0", "unknown_media_type"),
    (f"1 {STILL} _ CC0", "no_identifier"),
    (f"_ {STILL} http://x/a.jpg CC0", "no_record_id"),
    (f"9 {STILL} http://x/a.jpg CC0", "no_occurrence"),
    (f"1 {STILL} http://x/a.jpg", "ragged_row"),
    (f"1 {STILL} http://x/a.jpg CC0 more", "ragged_row"),
    ("1", "ragged_row"),
]  # fmt: skip


def test_every_media_row_is_kept_or_says_why_not(tmp_path):
    found = read_media(tmp_path, *(line for line, _ in MEDIA_ROWS))
    said = [(line, row["reject_reason"]) for (line, _), row in zip(MEDIA_ROWS, found, strict=True)]
    assert said == MEDIA_ROWS
    assert [row["source_row"] for row in found] == list(range(1, len(MEDIA_ROWS) + 1))


@pytest.mark.parametrize(
    ("columns", "line", "reason"),
    [
        (("gbifID", "scientificName", "occurrenceStatus"), "1 Apus ABSENT", "absent"),
        (("gbifID", "scientificName", "occurrenceStatus"), "1 Apus absent", "absent"),
        (("gbifID", "scientificName", "basisOfRecord"), "1 Apus MATERIAL_CITATION", "material_citation"),
        (("gbifID", "scientificName", "phylum"), "1 Apus 2019-05-01", "shifted_columns"),
        (("gbifID", "scientificName", "genus"), "1 Apus 1827)", "shifted_columns"),
        (("gbifID", "scientificName", "kingdom"), "1 Apus", "occurrence_ragged"),
        (("gbifID", "scientificName", "kingdom"), "1 Apus Animalia more", "occurrence_ragged"),
        (("gbifID", "scientificName", "kingdom"), "_ Apus Animalia", "no_occurrence"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_occurrence_is_wrong_with_its_pictures(
    tmp_path, columns, line, reason
):
    occurrence = tsv(" ".join(columns), line)
    found = read_media(
        tmp_path, f"1 {STILL} http://x/a.jpg CC0", occurrence=occurrence, columns=columns
    )
    assert reasons(found) == {reason: 1}


def test_facts_of_a_picture_come_from_its_own_row_and_the_taxon_from_the_occurrence(tmp_path):
    columns = ("gbifID", "scientificName", "kingdom", "license", "rightsHolder", "order", "class")
    occurrence = tsv(" ".join(columns), "1 Apus Animalia CC0 Somebody Apodiformes Aves")
    (row,) = read_media(
        tmp_path, f"1 {STILL} http://x/a.jpg CC-BY", occurrence=occurrence, columns=columns
    )
    assert (row["license_verbatim"], row["rightsHolder"]) == ("CC-BY", None)
    assert (row["verbatimScientificName"], row["order"], row["class"]) == (
        "Apus",
        "Apodiformes",
        "Aves",
    )


def test_a_media_table_without_its_id_column_has_rows_without_record(tmp_path):
    files = gbif_files(OCCURRENCE, tsv(MEDIA_HEADER, f"1 {STILL} http://x/a.jpg CC0"))
    files["meta.xml"] = files["meta.xml"].replace('<coreid index="0"/>', "<coreid/>")
    assert reasons(read(tmp_path, files)) == {"no_record_id": 1}


def test_ids_join_whatever_blanks_stand_around_them(tmp_path):
    files = gbif_files("gbifID\tscientificName\tkingdom\n1 \tApus\tAnimalia\n",
                       f"{MEDIA_HEADER}\n 1\t{STILL} http://x/a.jpg CC0\n".replace(" ", "\t").replace("\t1", " 1"))  # fmt: skip
    (row,) = read(tmp_path, files)
    assert (row["source_id"], row["reject_reason"], row["kingdom"]) == ("1", None, "Animalia")


def test_of_occurrences_with_one_id_the_first_speaks_and_no_picture_doubles(tmp_path):
    occurrence = tsv("gbifID scientificName kingdom", "1 Apus Animalia", "1 Abies Plantae")
    found = read_media(
        tmp_path, *[f"1 {STILL} http://x/{i}.jpg CC0" for i in range(3)], occurrence=occurrence
    )
    assert [(row["kingdom"], row["media_index"]) for row in found] == [
        ("Animalia", i) for i in range(3)
    ]


ASSOCIATED = ("gbifID", "scientificName", "associatedMedia")


def test_associated_media_are_added_where_the_media_table_does_not_list_them(tmp_path):
    occurrence = ("gbifID\tscientificName\tassociatedMedia\n1\tApus\thttps://x/a.jpg | http://x/b.jpg||\n"
                  "1\tApus\thttp://x/c.jpg\n\tApus\thttp://x/d.jpg\n2\tApus\thttp://x/e.jpg\tmore\n")  # fmt: skip
    found = read_media(
        tmp_path, f"1 {STILL} http://x/a.jpg CC0", occurrence=occurrence, columns=ASSOCIATED
    )
    assert [
        (r["source_table"], r["source_row"], r["identifier"], r["reject_reason"]) for r in found
    ] == [
        ("multimedia.txt", 1, "http://x/a.jpg", None),
        ("occurrence.txt", 1, "http://x/b.jpg", None),
        ("occurrence.txt", 2, "http://x/c.jpg", None),
        ("occurrence.txt", 3, "http://x/d.jpg", "no_record_id"),
        ("occurrence.txt", 4, "http://x/e.jpg", "ragged_row"),
    ]
    assert [row["media_index"] for row in found[:3]] == [0, 1, 2]


def test_associated_media_alone_are_pictures_too(tmp_path):
    core = table_xml("core", "http://rs.tdwg.org/dwc/terms/Occurrence", "o.txt", ASSOCIATED)
    occurrence = tsv(
        "gbifID scientificName associatedMedia", "1 Apus http://x/a.jpg|http://x/b.jpg", "2 Apus _"
    )
    assert reasons(read(tmp_path, {"meta.xml": meta(core), "o.txt": occurrence})) == {None: 2}
    empty = {
        "meta.xml": meta(core),
        "o.txt": tsv("gbifID scientificName associatedMedia", "2 Apus _"),
    }
    with pytest.raises(ValueError, match="has no multimedia table"):
        read(tmp_path / "empty", empty)


def test_the_rows_of_all_media_tables_come_out(tmp_path):
    columns = ("gbifID", "identifier", "format")
    tables = [table_xml("extension", row_type, f"{i}.txt", columns)
              for i, row_type in enumerate((MULTIMEDIA, AUDIOVISUAL, IMAGE, EOL_MEDIA, MULTIMEDIA))]  # fmt: skip
    core = table_xml(
        "core", "http://rs.tdwg.org/dwc/terms/Occurrence", "o.txt", ("gbifID", "scientificName")
    )
    same_again = table_xml("extension", EOL_MEDIA, "1.txt", columns)
    files = {
        "meta.xml": meta(core, *tables, same_again),
        "o.txt": tsv("gbifID scientificName", "1 Apus"),
    }
    files |= {
        f"{i}.txt": tsv("gbifID identifier format", f"1 http://x/{i}.jpg image/jpeg")
        for i in range(5)
    }
    found = read(tmp_path, files)
    assert collections.Counter(r["source_table"] for r in found) == {
        f"{i}.txt": 1 for i in range(5)
    }
    assert sorted(row["media_index"] for row in found) == list(range(5))


def test_a_row_of_the_image_extension_is_a_still_image(tmp_path):
    files = gbif_files(OCCURRENCE, tsv("gbifID identifier format", "1 http://x/a _", "1 http://x/b audio/mpeg"),
                       media=("gbifID", "identifier", "format"), media_row=IMAGE)  # fmt: skip
    assert [row["reject_reason"] for row in read(tmp_path, files)] == [None, "not_still_image"]


@pytest.mark.parametrize("multimedia", [tsv(MEDIA_HEADER), MEDIA_HEADER.replace(" ", "\t"), ""])
def test_an_empty_media_table_gives_no_rows_and_says_so(tmp_path, multimedia, caplog):
    assert read(tmp_path, gbif_files(OCCURRENCE, multimedia)) == []
    assert "lists no pictures: its media table has no rows" in caplog.text


def test_pictures_without_any_occurrence_stay_as_orphans(tmp_path):
    occurrence = tsv("gbifID scientificName kingdom")
    found = read_media(tmp_path, f"1 {STILL} http://x/a.jpg CC0", occurrence=occurrence)
    assert reasons(found) == {"no_occurrence": 1}


def test_quoted_tables_keep_line_breaks_and_lose_no_row(tmp_path):
    files = gbif_files('gbifID,scientificName,kingdom\n1,"Apus\napus",Animalia\n',
                       f'{MEDIA_HEADER.replace(" ", ",")}\n1,StillImage,image/jpeg,"http://x/a.jpg","CC ""BY"""\n'
                       '1,"StillImage,image/jpeg,http://x/b.jpg,CC0\n1,StillImage,image/jpeg,http://x/c.jpg,CC0\n',
                       fieldsTerminatedBy=",", fieldsEnclosedBy='"')  # fmt: skip
    found = read(tmp_path, files)
    assert [row["reject_reason"] for row in found] == [None, "ragged_row", None]
    assert (found[0]["license_verbatim"], found[0]["verbatimScientificName"]) == (
        'CC "BY"',
        "Apus\napus",
    )


def test_media_only_needs_no_occurrences_and_says_so_where_it_is_off(tmp_path):
    files = gbif_files(
        OCCURRENCE, tsv(MEDIA_HEADER, f"1 {STILL} http://x/a.jpg CC0", f"_ {STILL} b CC0")
    )
    del files["occurrence.txt"]
    found = read(tmp_path, files, media_only=True)
    assert [row["reject_reason"] for row in found] == [None, "no_record_id"]
    with pytest.raises(ValueError, match=r"occurrence\.txt.*`media_only = true`"):
        read(tmp_path, files)
    alone = tmp_path / "in" / "multimedia.txt"
    assert (
        rows(gbif(sql.connect(), archive="a", path=alone, work_dir=tmp_path / "w", media_only=True))
        == found
    )
    with pytest.raises(ValueError, match="media_only"):
        gbif(sql.connect(), archive="a", path=alone, work_dir=tmp_path / "w")


def test_a_media_table_may_be_named_beside_a_simple_csv(tmp_path):
    path = zipped(tmp_path / "simple.zip", {"0001.csv": OCCURRENCE})
    beside = (
        folder(tmp_path, {"multimedia.txt": tsv(MEDIA_HEADER, f"1 {STILL} http://x/a.jpg CC0")})
        / "multimedia.txt"
    )
    with pytest.raises(ValueError, match="multimedia = "):
        gbif(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work")
    (row,) = rows(
        gbif(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work", multimedia=beside)
    )
    assert (row["kingdom"], row["reject_reason"]) == ("Animalia", None)


def test_the_columns_are_those_of_the_contract(tmp_path):
    path = folder(tmp_path / "in", gbif_files(OCCURRENCE, tsv(MEDIA_HEADER)))
    table = gbif(sql.connect(), archive="a", path=path, work_dir=tmp_path / "work").table()
    assert table.schema.equals(schema.SOURCE.schema)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "media_only", "counts", "statuses"),
    [
        ("dwca_ticks_multimedia", False, {None: 1362}, {}),
        ("multimedia_frogs_museum", True, {None: 7881, "not_still_image": 445, "unknown_media_type": 72}, {}),
        ("multimedia_liberty_cap", True, {None: 1614, "not_still_image": 5}, {}),
        ("multimedia_norway", True, {None: 1107, "not_still_image": 33}, {"reserved": 1016}),
    ],
)  # fmt: skip
def test_real_downloads_lose_no_row(real_data, tmp_path, name, media_only, counts, statuses):
    path, con = real_data / "gbif" / name, sql.connect()
    n_lines = (path / "multimedia.txt").read_bytes().count(b"\n") - 1
    query = gbif(con, archive="a", path=path, work_dir=tmp_path / "work", media_only=media_only)
    assert query.copy_to(tmp_path / "source.parquet") == n_lines == sum(counts.values())
    found = rows(media(con, source=[tmp_path / "source.parquet"]))
    assert len(found) == n_lines
    source = {r: n for r, n in reasons(found).items() if r not in (None, "duplicate_row")}
    assert source == {r: n for r, n in counts.items() if r}
    n_pairs = 8 if "frogs" in name else 0  # thumbnail and large picture of one MCZ specimen
    assert reasons(found).get("duplicate_row", 0) == n_pairs
    status = collections.Counter(row["license_status"] for row in found)
    assert {name: status[name] for name in statuses} == statuses


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["multimedia_frogs_museum", "multimedia_norway"])
def test_real_media_without_occurrences_ask_for_the_switch(real_data, tmp_path, name):
    with pytest.raises(ValueError, match="media_only"):
        gbif(sql.connect(), archive="a", path=real_data / "gbif" / name, work_dir=tmp_path)
