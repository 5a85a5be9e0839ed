"""A published catalogue gives the same pictures again, under the same ids; or the part that was asked for."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema
from curation import build, recipe, sample
from curation.report import world_address
from curation.sources import published

HYDRATE = """
name = "again"
[[source]]
kind = "published"
name = "sample"
path = "{path}"
where = "{where}"
check_md5 = {check}
[fetch]
tries = 4
backoff_s = 0.05
max_per_second = 0.0
placeholder_urls = 3
[shard]
n_buckets = 2
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The sample world's dataset, and a server of its pictures."""
    root = tmp_path_factory.mktemp("first")
    chosen = recipe.read("sample")
    made = build.build(chosen, root)
    assert (root / "sample-world" / world_address(chosen)).exists()
    with sample.serve(sample.plan(chosen.sample)) as port:
        yield made["shard"][0].dir, port


def again(first, tmp_path, where="", check="true"):
    folder, port = first
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "again.toml"
    path.write_text(HYDRATE.format(path=folder, where=where, check=check))
    made = build.build(recipe.read(str(path)), tmp_path / "root", host_map={"*.invalid": port})
    return made, made["shard"][0].dir


def rows(folder, name="data"):
    paths = sorted(
        folder.rglob("data/*/*/*.parquet")
        if name == "data"
        else folder.rglob(f"metadata/*/{name}-*.parquet")
    )
    return {r["uuid"]: r for r in pa.concat_tables(pq.read_table(p) for p in paths).to_pylist()}


WEB = "starts_with(identifier, 'http') and keep"


def test_a_catalogue_gives_the_same_pictures_with_the_same_ids_labels_and_rights(first, tmp_path):
    _, folder = again(first, tmp_path, WEB)
    old = {u: r for u, r in rows(first[0]).items() if r["identifier"].startswith("http")}
    new = rows(folder)
    rejects = pq.read_table(next(folder.rglob("metadata/*/rejects-*.parquet"))).to_pylist()
    left = [r for r in rejects if r["uuid"] in old]
    assert len(new) > 200 and {r["reject_reason"] for r in left} == {"bytes_changed"}
    several = {
        r["uuid"] for r in left
    }  # one picture under two addresses: the other one was fetched then
    assert old.keys() - new.keys() == several and len(several) < 5 and new.keys() <= old.keys()
    same = ("source", "source_id", "md5", "image_md5", "phash", "crop", "kingdom", "family", "genus", "species",
            "canonicalName", "license", "attribution", "creator", "decimalLatitude", "sex", "lifeStage", "dna_bin")  # fmt: skip
    for uuid, row in new.items():
        assert [row[n] for n in same] == [old[uuid][n] for n in same]
        assert row["match_rule"] == "provider"
    held = {u for u, r in old.items() if r["split"] in ("test", "unseen") and u in new}
    assert held and {u: new[u]["split"] for u in held} == {u: old[u]["split"] for u in held}


def test_an_expression_takes_a_part(first, tmp_path):
    _, folder = again(first, tmp_path, f"{WEB} and kingdom = 'Plantae'")
    found = rows(folder, "catalog")
    assert found and {r["kingdom"] for r in found.values()} == {"Plantae"}
    wanted = {
        u
        for u, r in rows(first[0]).items()
        if r["kingdom"] == "Plantae" and r["identifier"].startswith("http")
    }
    left = pq.read_table(next(folder.rglob("metadata/*/rejects-*.parquet")))
    assert set(rows(folder)) == wanted - set(left["uuid"].to_pylist()) and left.num_rows < 3


def test_bytes_that_have_changed_and_pictures_that_are_gone_are_reported(first, tmp_path):
    folder = tmp_path / "catalog"
    folder.mkdir()
    (path,) = first[0].rglob("metadata/*/catalog-*.parquet")
    table = pq.read_table(path).filter(pa.compute.field("redistributable"))
    keep = [r for r in table.to_pylist() if r["identifier"].startswith("http")][:20]
    keep[3]["md5"] = "0" * 32
    keep[5]["identifier"] = "http://gbif.invalid/nowhere/at/all.jpg"
    pq.write_table(
        pa.Table.from_pylist(keep, schema=schema.CATALOG.schema), folder / "catalog-000000.parquet"
    )
    made, out = again((folder, first[1]), tmp_path)
    rejects = {r["uuid"]: (r["reject_stage"], r["reject_reason"]) for r in
               pq.read_table(next(out.rglob("rejects-*.parquet"))).to_pylist()}  # fmt: skip
    assert rejects[keep[3]["uuid"]] == ("fetch", "bytes_changed")
    assert rejects[keep[5]["uuid"]] == ("fetch", "http_404")
    assert made["shard"][0].counts["rows"] + len(rejects) == 20
    _, out = again((folder, first[1]), tmp_path / "unchecked", check="false")
    assert keep[3]["uuid"] in rows(out)


ORIGINAL = {
    "uuid": "6f2c7bd0-8d5e-4c6b-9a37-111111111111", "source_url": "https://pics.example.org/1.jpg",
    "kingdom": "Animalia", "phylum": "Chordata", "class": "Aves", "order": "Passeriformes", "family": "Thraupidae",
    "genus": "Geospiza", "species": "fortis", "scientific_name": "Geospiza fortis Gould, 1837", "common": "",
    "data_source": "gbif", "publisher": "iNaturalist.org", "basisOfRecord": "HUMAN_OBSERVATION",
    "img_type": "Citizen Science", "source_id": "123"}  # fmt: skip


def test_the_original_catalogue_is_read_with_its_provenance(con, tmp_path):
    bare = {
        **ORIGINAL,
        "uuid": "6f2c7bd0-8d5e-4c6b-9a37-222222222222",
        "source_url": "",
        "genus": "",
        "species": "",
    }
    pq.write_table(pa.Table.from_pylist([ORIGINAL, bare]), tmp_path / "catalog.parquet")
    known = {"uuid": ORIGINAL["uuid"], "license_name": "cc-by-4.0", "title": "not provided",
             "license_link": "https://creativecommons.org/licenses/by/4.0/", "copyright_owner": "A. Person"}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([known]), tmp_path / "provenance.parquet")
    query = published.published(con, archive="tol", paths=[tmp_path / "catalog.parquet"], work_dir=tmp_path / "w",
                                provenance=tmp_path / "provenance.parquet")  # fmt: skip
    one, other = query.table().to_pylist()
    assert one["published_uuid"] == ORIGINAL["uuid"] and one["record_key"] == "123"
    assert (one["species"], one["verbatimScientificName"]) == (
        "Geospiza fortis",
        ORIGINAL["scientific_name"],
    )
    assert (one["creator"], one["title"], one["basisOfRecord"]) == (
        "A. Person",
        None,
        "HUMAN_OBSERVATION",
    )
    assert one["license_verbatim"].endswith("/by/4.0/") and one["reject_reason"] is None
    assert (other["genus"], other["species"], other["reject_reason"]) == (
        None,
        None,
        "no_identifier",
    )


@pytest.mark.parametrize("where", ["no_such_column = 1", "family = ", "count(*) > 1"])
def test_an_expression_that_is_none_says_so_with_the_columns(con, first, tmp_path, where):
    paths = published.files(str(first[0]), tmp_path)
    with pytest.raises(ValueError, match=r"(?s)no condition over the catalogue.*canonicalName"):
        published.published(con, archive="x", paths=paths, work_dir=tmp_path, where=where)


def test_what_is_no_catalogue_says_what_it_lacks(con, tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="no published catalogue: it lacks uuid"):
        published.published(con, archive="x", paths=[tmp_path / "t.parquet"], work_dir=tmp_path)
    with pytest.raises(ValueError, match="holds no catalogue"):
        published.files("nothing", tmp_path)
