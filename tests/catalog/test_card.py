"""What others wrote shows as text in the card, whatever it is; and what stands in the card is true."""

import csv
import json
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from catalog import cite, croissant, schema, stats
from curation import build, recipe
from tests.catalog.conftest import TITLE
from tests.drawings import photo


def parts(folder):
    """Head and body of a card."""
    _, head, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_head_of_the_card_is_one_document_and_holds_the_title_as_text(hostile):
    head, _ = parts(hostile)
    assert head["pretty_name"] == TITLE and head["configs"][0]["config_name"] == "default"


def test_names_are_neither_markup_nor_links_nor_columns(hostile):
    _, body = parts(hostile)
    assert "<script" not in body and "<b>" not in body and "<img" not in body
    assert "\u202e" not in body and "\x1b" not in body
    assert not re.search(r"(?<!\\)\[x(?<!\\)\]\(", body)
    kingdoms = body.partition("## Kingdoms")[2].partition("##")[0]
    (row,) = [line for line in kingdoms.splitlines() if "pwned" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5, "four cells, whatever the name holds"
    for line in body.splitlines():
        assert "pwned" not in line or not re.search(r"(?<!\\)[`*]", line), line


def test_the_card_loads(hostile):
    import datasets

    data = datasets.load_dataset(str(hostile))
    assert sum(part.num_rows for part in data.values()) == 3


def test_every_table_of_the_card_counts_what_the_catalogue_holds(sample):
    _, body = parts(sample)
    for heading, column in (("Kingdoms", "kingdom"), ("Countries", "countryCode"), ("Years", "eventDate"),
                            ("Labels, by the rule that settled them", "match_rule")):  # fmt: skip
        text = "select {} as v, count(*) filter (keep), count(*) from '{}/metadata/v1/catalog-*.parquet' group by all"
        of = f"substr({column}, 1, 4)" if column == "eventDate" else column
        said = {row[0]: row[1:] for row in duckdb.sql(text.format(of, sample)).fetchall()}
        rows = re.findall(
            r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \| [\d,]+ \|$",
            body.partition(f"## {heading}\n")[2].partition("\n##")[0],
            re.M,
        )
        shown = {
            name.replace("\\", ""): (int(a.replace(",", "")), int(b.replace(",", "")))
            for name, a, b in rows
        }
        unknown = "unresolved" if column == "match_rule" else "not stated"
        assert shown == {
            unknown if name is None else name: counts for name, counts in said.items()
        }, heading


def test_the_limits_follow_from_the_numbers(sample):
    _, body = parts(sample)
    rows = duckdb.sql(
        f"select species, keep, sex, countryCode from '{sample}/metadata/v1/catalog-*.parquet'"
    ).fetchall()
    limits = body.partition("## Known limits")[2].partition("##")[0]
    assert f"{100 * sum(r[2] is not None for r in rows) / len(rows):.1f} % a sex" in limits
    kept = [r[0] for r in rows if r[1] and r[0]]
    few = [s for s in set(kept) if kept.count(s) < 8]
    assert (
        f"{100 * len(few) / len(set(kept)):.1f} % of the {len(set(kept))} species have fewer than 8"
        in limits
    )


def test_the_long_tail_is_the_sorted_numbers_of_pictures_per_species(sample):
    kept = duckdb.sql(f"select count(*) from '{sample}/metadata/v1/catalog-*.parquet' where keep and species is not null "
                      "group by kingdom, species order by 1 desc").fetchall()  # fmt: skip
    tail = {
        int(r["value"]): r["n_open"]
        for r in stats.Numbers(duckdb.connect(), sample, "v1").facet("species_at")
    }
    assert {1, len(kept)} <= tail.keys() and all(
        kept[place - 1][0] == n for place, n in tail.items()
    )
    figure = Image.open(sample / "long_tail.png")
    assert figure.size == (1200, 700) and len(figure.convert("L").getcolors()) > 20
    assert "![pictures per species, by rank](long_tail.png)" in parts(sample)[1]


def test_citations_count_records_and_pictures_of_every_dataset(sample):
    said = duckdb.sql(f"select datasetKey, count(distinct source_id), count(*) from '{sample}/metadata/v1/catalog-*.parquet' "
                      "where keep and datasetKey is not null group by 1 order by 1").fetchall()  # fmt: skip
    read = duckdb.sql(
        f"select datasetKey, n_records, n_images from read_csv('{sample}/citations.csv', header = true)"
    ).fetchall()
    assert [(str(a), b, c) for a, b, c in read] == said and len(said) > 2


def test_no_cell_of_the_citations_is_a_formula(con, tmp_path):
    names = ["=HYPERLINK(1)", "\t=1+1", "+1", '@a "b", c']
    rows = [
        {"uuid": str(k), "datasetKey": f"k{k}", "datasetName": name, "source_id": "r", "keep": True}
        for k, name in enumerate(names)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    cite.citations(con, tmp_path / "c.parquet", tmp_path)
    with (tmp_path / cite.CSV_FILE).open(newline="", encoding="utf-8") as table:
        found = list(csv.DictReader(table))
    assert [row["datasetName"] for row in found] == ["'" + name for name in names]
    assert [(row["datasetKey"], row["n_records"], row["n_images"]) for row in found] == [
        (f"k{k}", "1", "1") for k in range(4)
    ]


def test_the_card_says_what_was_done_and_no_more(hostile, sample):
    done = parts(sample)[1].partition("## What was done")[2].partition("##")[0]
    assert "sample backbone" in done and "rare" in done and "720 px" in done
    done = parts(hostile)[1].partition("## What was done")[2].partition("##")[0]
    assert (
        "no taxonomy was loaded" in done
        and "Held-out" not in done
        and "Pictures without a label" in done
    )


def test_citation_cff_is_yaml_with_what_version_1_2_asks_for(tmp_path):
    cite.cff(
        tmp_path,
        title=TITLE,
        release="v3",
        licence="CC0-1.0",
        authors=["A: {b}"],
        cited={"GBIF": "GBIF.org (2025) https://doi.org/10.15468/dl.x"},
    )
    found = yaml.safe_load((tmp_path / cite.CFF_FILE).read_text())
    assert {"cff-version", "message", "title", "authors"} <= found.keys() and found[
        "cff-version"
    ] == "1.2.0"
    assert (
        found["title"] == TITLE
        and found["authors"] == [{"name": "A: {b}"}]
        and found["version"] == "v3"
    )
    assert [r["title"] for r in found["references"]][1:] == ["GBIF"] and "10.15468" in found[
        "references"
    ][1]["notes"]
    assert all({"type", "title", "authors"} <= r.keys() for r in found["references"])


def test_a_citation_in_the_recipe_reaches_card_and_cff(tmp_path):
    photo(1).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("identifier,scientificName\na.png,Aus bus\n")
    (tmp_path / "r.toml").write_text('name = "r"\nauthors = ["Ada Example"]\n[[source]]\nkind = "own"\nname = "o"\npath = "t.csv"\n'
                                     'licence = "CC0"\ncitation = "Example, A. Pictures. https://doi.org/10.5555/x"\n'
                                     '[verdict]\nmin_rank = "any"\nmin_side_px = 20\n')  # fmt: skip
    made = build.build(recipe.read(str(tmp_path / "r.toml")), tmp_path / "root")["shard"][0]
    assert "https://doi.org/10.5555/x" in parts(made.dir)[1]
    assert "Ada Example" in (made.dir / "CITATION.cff").read_text()


def test_croissant_is_valid_to_the_reference_library_and_reads_the_rows(sample):
    mlc = pytest.importorskip("mlcroissant", reason="needs mlcroissant (extra dev)")
    data = mlc.Dataset(jsonld=str(sample / croissant.FILE))
    issues = data.metadata.ctx.issues
    assert not issues.errors, issues.report()
    assert all("datePublished" in said for said in issues.warnings), (
        "a build knows no date; that alone is missing"
    )
    assert {r.uuid for r in data.metadata.record_sets} == {
        "default",
        "catalog",
        "taxa",
        "names",
        "rejects",
        "statistics",
    }
    rows = list(data.records("taxa"))
    n_rows = duckdb.sql(f"select count(*) from '{sample}/metadata/v1/taxa-*.parquet'").fetchall()[
        0
    ][0]
    assert len(rows) == n_rows > 0 and b"" not in [r["taxa/canonicalName"] for r in rows]


def test_croissant_describes_every_field_with_its_meaning_and_term(sample):
    said = json.loads((sample / croissant.FILE).read_text())
    for records in said["recordSet"]:
        for field in records["field"]:
            ours = schema.FIELDS[field["name"]]
            assert (
                field["description"].startswith(ours.meaning)
                and field.get("equivalentProperty") == ours.term
            )
    for term in (
        "dataCollection",
        "dataBiases",
        "dataLimitations",
        "personalSensitiveInformation",
        "dataUseCases",
        "dataReleaseMaintenancePlan",
    ):
        assert said[f"rai:{term}"], term


def test_croissant_of_a_repository_names_it(sample):
    mlc = pytest.importorskip("mlcroissant", reason="needs mlcroissant (extra dev)")
    said = json.loads(
        croissant.at((sample / croissant.FILE).read_text(), "https://hub.example/datasets/org/tree")
    )
    data = mlc.Dataset(jsonld=said)
    assert not data.metadata.ctx.issues.errors, data.metadata.ctx.issues.report()
    assert said["url"] == "https://hub.example/datasets/org/tree"
    assert all(f["containedIn"] == {"@id": "repo"} for f in said["distribution"][1:])
