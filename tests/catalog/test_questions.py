"""What a reader asks of a dataset, against the same answers counted by hand from its tables."""

import collections
import itertools
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import questions, record, schema
from catalog.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(sample):
    made = Shelf(str(sample))
    yield made
    made.close()


def read(sample, table):
    return pa.concat_tables(
        pq.read_table(p) for p in sorted(sample.glob(f"metadata/v1/{table}-*.parquet"))
    ).to_pylist()


def inside(row, path):
    """Below a path, whose passed-over ranks are empty."""
    depth = max((questions.LEVELS.index(level) + 1 for level in path), default=0)
    return (all(row[rank] == path.get(rank) for rank in schema.RANKS[:depth])
            and ("taxon" not in path or row["canonicalName"] == path["taxon"]))  # fmt: skip


def every_path(shelf, path=None):
    """All nodes of the tree, as opening every taxon shows them: (path, row)."""
    for row in questions.children(shelf, path or {}):
        if row["rank"]:
            here = {**(path or {}), row["rank"]: row["name"]}
            yield here, row
            if row["has_children"]:
                yield from every_path(shelf, here)


def test_every_node_of_the_tree_counts_the_pictures_below_it(shelf, sample):
    rows = [row for row in read(sample, "catalog") if row["taxonomy"]]
    n = 0
    for path, node in every_path(shelf):
        below = [row for row in rows if inside(row, path)]
        assert node["n_images"] == len(below) and node["n_open"] == sum(
            row["keep"] for row in below
        ), path
        assert node["n_species"] == len({row["species"] for row in below} - {None})
        n += 1
    assert n > 400


def test_the_children_of_a_taxon_and_what_is_named_no_further_make_up_the_taxon(shelf):
    for path, node in every_path(shelf):
        if node["has_children"]:
            assert (
                sum(row["n_images"] for row in questions.children(shelf, path)) == node["n_images"]
            ), path


def test_pages_of_pictures_are_the_catalogue_in_its_order_each_once(shelf, sample):
    seen, after = [], ""
    while True:
        page = questions.pictures(shelf, {}, {}, after)
        seen += [row["uuid"] for row in page["pictures"]]
        after = page["after"]
        if not after:
            break
    assert (
        seen == [row["uuid"] for row in read(sample, "catalog")]
        and len(seen) > 2 * questions.PER_PAGE
    )


@pytest.mark.parametrize(
    "path",
    [{}, {"kingdom": "Animalia"}, {"kingdom": "Animalia", "phylum": "Chordata", "class": "Aves"}],
)
@pytest.mark.parametrize(
    "filters",
    [{"source": "gbif"}, {"license": "CC-BY-4.0", "countryCode": "US"}, {"sex": "male"}, {"match_rule": "synonym"},
     {"from_year": "2015"}, {"from_year": "2012", "to_year": "2014"}, {"pixels": "yes", "license_status": "open"}, {"split": "nowhere"}],
)  # fmt: skip
def test_filters_choose_what_they_say(shelf, sample, path, filters):
    def fits(row):
        year = int(row["eventDate"][:4]) if row["eventDate"] else None
        said = {k: v for k, v in filters.items() if k not in ("from_year", "to_year", "pixels")}
        return (inside(row, path) and all(row[k] == v for k, v in said.items()) and ("pixels" not in filters or row["keep"])
                and ("from_year" not in filters or (year is not None and year >= int(filters["from_year"])))
                and ("to_year" not in filters or (year is not None and year <= int(filters["to_year"]))))  # fmt: skip

    wanted = [row for row in read(sample, "catalog") if fits(row)]
    assert questions.count(shelf, path, filters) == {
        "n_images": len(wanted),
        "n_open": sum(r["keep"] for r in wanted),
    }
    page = questions.pictures(shelf, path, filters)["pictures"]
    assert [row["uuid"] for row in page] == [row["uuid"] for row in wanted][: questions.PER_PAGE]
    cells = collections.Counter((row["decimalLatitude"] // 1, row["decimalLongitude"] // 1) for row in wanted
                                if row["decimalLatitude"] is not None)  # fmt: skip
    found = {(c["south"], c["west"]): c["n_images"] for c in questions.places(shelf, path, filters)}
    assert found == cells


def test_every_value_of_a_filter_chooses_as_many_pictures_as_the_numbers_say(shelf):
    numbers, n = record.statistics(shelf), 0
    for facet in questions.FILTERS:
        for row in numbers.get(facet, []):
            if row["value"] is not None:
                said = questions.count(shelf, {}, {facet: row["value"]})
                assert said == {"n_images": row["n_images"], "n_open": row["n_open"]}, (facet, row)
                n += 1
    assert n > 40 and questions.count(shelf, {}, {"match_rule": "unresolved"})["n_images"] > 0


def test_a_taxon_is_found_by_its_name_a_synonym_a_common_name_and_as_it_was_written(shelf, sample):
    names = read(sample, "names")
    for kind in ("accepted", "synonym", "vernacular", "verbatim"):
        some = [row for row in names if row["name_kind"] == kind]
        assert some, kind
        for row in some[:: max(1, len(some) // 15)]:
            found = questions.search(
                shelf, row["name"].upper() if kind != "verbatim" else row["name"]
            )
            assert row["canonicalName"] in [one["canonicalName"] for one in found[:6]], row["name"]
            (hit,) = [
                one
                for one in found
                if one["canonicalName"] == row["canonicalName"] and one["kingdom"] == row["kingdom"]
            ][:1]
            path = {rank: hit[rank] for rank in schema.RANKS if hit[rank]}
            assert questions.taxon(shelf, path)["n_images"] > 0
    assert questions.search(shelf, "  ") == [] and questions.search(shelf, "no such creature") == []
    assert (
        questions.search(shelf, "%") == []
        and questions.search(shelf, "'; drop table names; --") == []
    )


def test_an_exact_name_stands_before_longer_ones(shelf):
    names = [row["canonicalName"] for row in questions.search(shelf, "Aves")]
    assert names[0] == "Aves"


def test_search_ignores_accents_and_finds_words_inside(shelf, sample):
    (row,) = [r for r in read(sample, "names") if r["name"] == "Great Spotted Woodpecker"]
    for text in ("woodpecker", "Gréat spotted", "SPOTTED W"):
        assert row["canonicalName"] in [
            one["canonicalName"] for one in questions.search(shelf, text)
        ]


def test_every_picture_has_a_record_and_those_in_the_data_their_pixels_and_thumbnail(shelf, sample):
    data = {
        row["uuid"]: row["image"]["bytes"]
        for p in sample.rglob("data/**/*.parquet")
        for row in pq.read_table(p, columns=["uuid", "image"]).to_pylist()
    }
    thumbs = {row["uuid"]: row["thumbnail"]["bytes"] for row in read(sample, "thumbnails")}
    for row in read(sample, "catalog"):
        told = record.record(shelf, row["uuid"])
        assert {k: told["record"][k] for k in row} == row
        assert told["has_picture"] == (row["uuid"] in data)
        if row["keep"]:
            assert (
                shelf.picture(row["uuid"]) == data[row["uuid"]]
                and shelf.thumbnail(row["uuid"]) == thumbs[row["uuid"]]
            )
            assert (
                shelf.thumbnail(str(told["record"]["thumbnail_row"])) == thumbs[row["uuid"]]
                and not told["rejected"]
            )
        else:
            assert told["rejected"], "a row without pixels says why"
            for asked in (shelf.picture, shelf.thumbnail):
                with pytest.raises(LookupError):
                    asked(row["uuid"])
    assert (
        set(data) == set(thumbs) == {row["uuid"] for row in read(sample, "catalog") if row["keep"]}
    )


def test_a_record_shows_its_group_and_what_was_left_out_for_it(shelf, sample):
    rows, rejects = read(sample, "catalog"), read(sample, "rejects")
    groups = collections.defaultdict(set)
    for row in rows:
        groups[row["group_id"]].add(row["uuid"])
    n_grouped = 0
    for row in rows:
        told = record.record(shelf, row["uuid"])
        assert {one["uuid"] for one in told["group"]} == groups[row["group_id"]] - {row["uuid"]}
        n_grouped += bool(told["group"])
        gone = [
            r
            for r in rejects
            if r["duplicate_of"] == row["uuid"] or (row["keep"] and r["uuid"] == row["uuid"])
        ]
        assert sorted(r["uuid"] for r in told["duplicates"]) == sorted(r["uuid"] for r in gone)
        assert all(r["meaning"] for r in told["duplicates"])
    assert n_grouped > 10


def test_every_row_left_out_under_an_id_says_why_and_pages_hold_each_once(shelf, sample):
    rejects = read(sample, "rejects")
    for row in rejects:
        if row["uuid"]:
            whole = record.record(shelf, row["uuid"])
            told = whole["rejected"] + whole["duplicates"]
            assert row["reject_reason"] in [one["reject_reason"] for one in told] and all(
                one["meaning"] for one in told
            )
    seen, after = [], ""
    while True:
        page = record.rejects(shelf, {}, after)
        seen += [
            (r["archive"], r["source_table"], r["source_row"], r["media_index"])
            for r in page["rejects"]
        ]
        after = page["after"]
        if not after:
            break
    assert seen == [
        (r["archive"], r["source_table"], r["source_row"], r["media_index"]) for r in rejects
    ]
    some = record.rejects(shelf, {"stage": "licence", "reason": "licence_nc"})["rejects"]
    assert len(some) == sum(r["reject_reason"] == "licence_nc" for r in rejects)
    (one,) = record.rejects(shelf, {"text": rejects[5]["identifier"].upper()})["rejects"][:1]
    assert one["identifier"] == rejects[5]["identifier"]


def test_what_is_not_there_is_said(shelf, tmp_path):
    with pytest.raises(LookupError, match="no such taxon"):
        questions.taxon(shelf, {"kingdom": "Nowhere"})
    for asked in (lambda: record.record(shelf, "x"), lambda: shelf.thumbnail("x"), lambda: shelf.picture("x"),
                  lambda: shelf.thumbnail("99999999")):  # fmt: skip
        with pytest.raises(LookupError):
            asked()
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        Shelf(str(tmp_path))


def test_a_folder_of_another_kind_or_age_is_refused(sample, tmp_path):
    for manifest, said in (("no json", "no JSON"), ('{"stage": "fetch"}', "no dataset of this project"),
                           (json.dumps({"stage": "shard", "schema_version": "0"}), "schema version '0'")):  # fmt: skip
        (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(ValueError, match=said):
            Shelf(str(tmp_path))
    old = tmp_path / "old"
    shutil.copytree(sample, old)
    (old / "metadata/v1/lookup-000000.parquet").unlink()
    with pytest.raises(ValueError, match=r"no table 'lookup'.*build it again"):
        Shelf(str(old))


def test_the_spread_shows_taxa_evenly_over_the_tree(shelf, sample):
    spread = questions.taxon(shelf, {})["spread"]
    taxa = [row for row in read(sample, "taxa") if row["thumbnail_row"] is not None]
    assert len(spread) == questions.PER_PAGE and len({row["uuid"] for row in spread}) == len(spread)
    places = [next(i for i, t in enumerate(taxa) if t["example"] == row["uuid"]) for row in spread]
    assert (
        places == sorted(places)
        and max(b - a for a, b in itertools.pairwise(places)) <= len(taxa) // 48 + 1
    )
    thumbs = [row["uuid"] for row in read(sample, "thumbnails")]
    assert all(thumbs[row["thumbnail_row"]] == row["uuid"] for row in spread)
