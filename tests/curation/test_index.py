"""The tables beside the pictures: files of bounded size, positions that lead where they say."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema
from curation import index


@pytest.fixture
def joined(tmp_path):
    """2,345 rows of a catalogue, every third without pixels, in no order."""
    n = 2_345
    rows = [{"uuid": f"{k * 7919 % n:08d}", "group_id": f"{(k * 7919 % n) // 5 * 5:08d}", "kingdom": "A", "species": f"s{k * 31 % 97:02d}",
             "canonicalName": f"s{k * 31 % 97:02d}", "taxonRank": "species", "taxonomy": "t", "keep": k % 3 > 0} for k in range(n)]  # fmt: skip
    fields = pa.schema([f for f in schema.CATALOG.schema if f.name != "thumbnail_row"])
    pq.write_table(pa.Table.from_pylist(rows, schema=fields), tmp_path / "joined.parquet")
    return tmp_path / "joined.parquet"


@pytest.mark.parametrize(
    ("per_file", "per_group"), [(1_000, 100), (2_000, 2_000), (500, 250), (10_000, 3_000)]
)
def test_positions_in_the_catalogue_and_among_thumbnails_hold_over_files(
    con, joined, tmp_path, monkeypatch, per_file, per_group
):
    monkeypatch.setattr(index, "CATALOG_PER_FILE", per_file)
    monkeypatch.setattr(index, "CATALOG_PER_GROUP", per_group)
    meta = tmp_path / "meta"
    meta.mkdir()
    paths = index.ordered(con, joined, meta, tmp_path / "placed.parquet")
    assert [p.name for p in paths] == [
        f"catalog-{k:06d}.parquet" for k in range(-(-2_345 // per_file))
    ]
    sizes = [pq.read_metadata(p) for p in paths]
    assert (
        all(s.num_rows == per_file for s in sizes[:-1]) and sum(s.num_rows for s in sizes) == 2_345
    )
    assert all(s.row_group(i).num_rows <= per_group for s in sizes for i in range(s.num_row_groups))
    rows = pa.concat_tables(pq.read_table(p) for p in paths).to_pylist()
    assert [(r["species"], r["uuid"]) for r in rows] == sorted(
        (r["species"], r["uuid"]) for r in rows
    )
    placed = pq.read_table(tmp_path / "placed.parquet").to_pylist()
    assert [(p["uuid"], p["catalog_row"]) for p in placed] == [
        (r["uuid"], k) for k, r in enumerate(rows)
    ]
    shown = [r["uuid"] for r in rows if r["keep"]]
    for row, place in zip(rows, placed, strict=True):
        assert row["thumbnail_row"] == place["thumbnail_row"]
        assert (
            (shown[row["thumbnail_row"]] == row["uuid"])
            if row["keep"]
            else row["thumbnail_row"] is None
        )


def test_an_empty_catalogue_is_one_file_without_rows(con, tmp_path):
    fields = pa.schema([f for f in schema.CATALOG.schema if f.name != "thumbnail_row"])
    pq.write_table(fields.empty_table(), tmp_path / "joined.parquet")
    (path,) = index.ordered(con, tmp_path / "joined.parquet", tmp_path, tmp_path / "placed.parquet")
    assert pq.read_table(path).num_rows == 0 and pq.read_schema(path).names == list(
        schema.CATALOG.columns
    )


def test_lookup_leads_from_a_uuid_a_group_and_a_kept_picture(con, joined, tmp_path):
    index.ordered(con, joined, tmp_path, tmp_path / "placed.parquet")
    rejects = [
        {"uuid": "gone-1", "archive": "a", "source_row": 1, "duplicate_of": "00000007"},
        {"uuid": None, "archive": "a", "source_row": 2},
    ]
    pq.write_table(
        pa.Table.from_pylist(rejects, schema=schema.REJECTS.schema),
        tmp_path / "rejects-000000.parquet",
    )
    index.index(
        con,
        joined,
        tmp_path,
        tmp_path,
        rejects=tmp_path / "rejects-000000.parquet",
        taxon=[],
        common=[],
        listed=schema.LISTED.empty(),
    )
    table = pq.read_table(tmp_path / "lookup-000000.parquet").to_pylist()
    assert [r["key"] for r in table] == sorted(r["key"] for r in table)
    catalog = pq.read_table(
        tmp_path / "catalog-000000.parquet", columns=["uuid", "group_id"]
    ).to_pylist()
    group = {
        r["catalog_row"] for r in table if r["key"] == "00000010" and r["catalog_row"] is not None
    }
    assert {catalog[k]["uuid"] for k in group} == {f"{k:08d}" for k in range(10, 15)}
    own = [r for r in table if r["key"] == "00000007" and r["is_own"]]
    assert [catalog[r["catalog_row"]]["uuid"] for r in own] == ["00000007"]
    stayed = [r for r in table if r["key"] == "00000007" and r["rejects_row"] is not None]
    assert [r["rejects_row"] for r in stayed] == [0] and not stayed[0]["is_own"]
    assert [r["rejects_row"] for r in table if r["key"] == "gone-1"] == [0]
    assert sum(r["is_own"] for r in table) == 2_345 + 1


def indexed(con, tmp_path, rows):
    """The folder of the tables made of some rows of a catalogue."""
    filled = [
        {"uuid": f"{k:08d}", "group_id": f"{k:08d}", "taxonomy": "t", "keep": True} | row
        for k, row in enumerate(rows)
    ]
    fields = pa.schema([f for f in schema.CATALOG.schema if f.name != "thumbnail_row"])
    pq.write_table(pa.Table.from_pylist(filled, schema=fields), tmp_path / "joined.parquet")
    pq.write_table(schema.REJECTS.empty(), tmp_path / "rejects-000000.parquet")
    index.index(con, tmp_path / "joined.parquet", tmp_path, tmp_path, rejects=tmp_path / "rejects-000000.parquet", taxon=[], common=[],
                listed=schema.LISTED.empty())  # fmt: skip
    found = pq.read_table(tmp_path / "statistics-000000.parquet").to_pylist()
    return {(row["facet"], row["value"]): row for row in found}


def test_a_name_of_three_words_that_calls_itself_a_species_counts_once(con, tmp_path):
    row = {
        "kingdom": "A",
        "genus": "Panthera",
        "species": "Panthera tigris",
        "canonicalName": "Panthera tigris altaica",
        "taxonRank": "species",
    }
    found = indexed(con, tmp_path, [row] * 10)
    assert (found["taxa", "species"]["n_images"], found["taxa", "species"]["n_taxa"]) == (10, 1)
    assert found["species_at", "1"]["n_open"] == 10


def test_a_species_with_and_without_its_family_is_one_species(con, tmp_path):
    row = {
        "kingdom": "A",
        "genus": "Corvus",
        "species": "Corvus corone",
        "canonicalName": "Corvus corone",
        "taxonRank": "species",
    }
    found = indexed(con, tmp_path, [row, row | {"family": "Corvidae"}])
    assert (
        found["taxa", "species"]["n_taxa"],
        found["taxa", "genus"]["n_taxa"],
        found["species_at", "1"]["n_open"],
    ) == (1, 1, 2)


def test_a_taxon_without_any_rank_is_a_node_of_its_own(con, tmp_path):
    indexed(con, tmp_path, [{"canonicalName": "Virus X", "taxonRank": "unranked"}])
    (name,) = pq.read_table(tmp_path / "names-000000.parquet").to_pylist()
    assert (name["name"], name["kingdom"], name["n_images"]) == ("Virus X", None, 1)


def test_no_more_pictures_are_labelled_to_a_rank_than_there_are(con, tmp_path):
    rows = [{"kingdom": "A", "family": "F" if k % 2 else None, "genus": f"G{k % 3}" if k % 5 else None, "species": None,
             "canonicalName": f"G{k % 3}" if k % 5 else "A", "taxonRank": "genus"} for k in range(60)]  # fmt: skip
    found = indexed(con, tmp_path, rows)
    for rank, column in (("kingdom", "kingdom"), ("family", "family"), ("genus", "genus")):
        assert found["taxa", rank]["n_images"] == sum(row[column] is not None for row in rows)
