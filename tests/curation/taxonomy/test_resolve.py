"""One accepted taxon per verbatim lineage, with the rule that decided; never a wrong one."""

import collections
import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema, sql
from curation.taxonomy import backbone, names, resolve
from curation.taxonomy.authority import Authority
from tests.archives import rows

TAXA = """
taxonID,parentNameUsageID,acceptedNameUsageID,scientificName,taxonRank,kingdom
A,,,Animalia,kingdom,
A1,A,,Chordata,phylum,
A2,A1,,Aves,class,
A3,A2,,Passeriformes,order,
A4,A3,,Prunellidae,family,
A5,A4,,Prunella Vieillot,genus,
A6,A5,,"Prunella modularis (Linnaeus, 1758)",species,
A7,A3,,Corvidae,family,
A8,A7,,"Rufipes Somebody, 1900",genus,
I1,A,,Arthropoda,phylum,
I2,I1,,Insecta,class,
I3,I2,,Coleoptera,order,
I4,I3,,Chrysomelidae,family,
I5,I4,,Chaetocnema,genus,
I6,I5,,Chaetocnema rufipes,species,
P,,,Plantae,kingdom,
P1,P,,Tracheophyta,phylum,
P2,P1,,Magnoliopsida,class,
P3,P2,,Lamiales,order,
P4,P3,,Lamiaceae,family,
P5,P4,,Prunella L.,genus,
P6,P5,,Prunella vulgaris L.,species,
P7,P5,P6,Brunella vulgaris (L.) Moench,species,
P8,P5,P7,Prunella officinalis Crantz,species,
P9,P2,,Violales,order,
PA,P9,,Violaceae,family,
PB,PA,,Viola wittrockiana Gams,species,
H1,I4,,"Aus bus Ann, 1900",species,
H2,A4,,"Aus bus Bob, 1901",species,
V1,,,Tobacco mosaic virus,species,Viruses
""".lstrip()


@pytest.fixture(scope="module")
def taxon_path(tmp_path_factory):
    """The names above as the taxonomy `t`."""
    folder = tmp_path_factory.mktemp("taxon")
    (folder / "t.csv").write_text(TAXA, encoding="utf-8")
    found = backbone.taxon(sql.connect(), name="t", path=folder / "t.csv", work_dir=folder / "w")
    assert found.names.copy_to(folder / "taxon.parquet") == TAXA.count("\n") - 1
    return folder / "taxon.parquet"


def label(tmp_path, taxon_path, *lineages, source="gbif"):
    """The label of every lineage, in the order given."""
    made = [{"source": source, "lineage": f"{i:05}", **said} for i, said in enumerate(lineages)]
    pq.write_table(
        pa.Table.from_pylist(made, schema=schema.MEDIA.schema), tmp_path / "media.parquet"
    )
    taxon = [] if taxon_path is None else [taxon_path]
    query = resolve.label(sql.connect(), media=tmp_path / "media.parquet", taxon=taxon,
                          authorities=[Authority("t")], work_dir=tmp_path / "w")  # fmt: skip
    found = rows(query, schema.LABEL)
    assert [row["lineage"] for row in found] == [row["lineage"] for row in made]
    return found


def name(text, **ranks):
    return {"verbatimScientificName": text, **ranks}


BEETLE = {"kingdom": "Animalia", "phylum": "Arthropoda", "class": "Insecta", "order": "Coleoptera",
          "family": "Chrysomelidae"}  # fmt: skip


LINEAGES = [  # what was said, taxon, rule, reason
    (name("Prunella vulgaris", kingdom="Plantae", family="Lamiaceae"), "P6", "exact", None),
    (name("Prunella vulgaris L.", kingdom="Plantae"), "P6", "exact", None),
    (name("PRUNELLA VULGARIS", kingdom="plantae"), "P6", "exact", None),
    (name("<i>Prunella</i> &nbsp;vulgaris L."), "P6", "exact", None),
    (name("Prunella vulgaris", kingdom="Viridiplantae"), "P6", "exact", None),
    (name("Prunella vulgaris", kingdom="Archaeplastida", order="Lamiales"), "P6", "exact", None),
    (name("Prunella modularis", kingdom="Metazoa", **{"class": "Aves"}), "A6", "exact", None),
    (name("Brunella vulgaris", kingdom="Plantae"), "P6", "synonym", None),
    (name("Prunella", kingdom="Animalia", family="Prunellidae"), "A5", "exact", None),
    (name("Prunella", family="Lamiaceae"), "P5", "exact", None),
    (name("Viola × wittrockiana", kingdom="Plantae"), "PB", "exact", None),
    (name("Viola × wittrockiana", kingdom="Plantae", family="Violaceae"), "PB", "exact", None),
    (name("Prunella cf. vulgaris", kingdom="Plantae", family="Lamiaceae"), "P5", "exact", "uncertain"),
    (name("Prunella sp.", kingdom="Plantae", family="Lamiaceae"), "P5", "exact", "indeterminate"),
    (name("Tobacco mosaic virus"), "V1", "exact", "virus"),
    # the name is taken by another kingdom or clade
    (name("Prunella vulgaris", kingdom="Animalia"), None, None, "kingdom_conflict"),
    (name("Prunella vulgaris", kingdom="Fungi"), None, None, "kingdom_conflict"),
    (name("Prunella modularis", **BEETLE), None, None, "lineage_conflict"),
    (name("rufipes", **BEETLE), "I4", "higher_rank", "not_a_name"),
    (name("Rufipes", **BEETLE), None, None, "lineage_conflict"),
    (name("rufipes", species="rufipes", **BEETLE), "I4", "higher_rank", "not_a_name"),
    (name("rufipes", genus="Chaetocnema", **BEETLE), "I6", "exact", "epithet_only"),
    (name("rufipes", genus="Chaetocnema", species="Chaetocnema rufipes", **BEETLE), "I6", "exact", "epithet_only"),
    # two taxa bear the name
    (name("Prunella"), None, None, "homonym"),
    (name("Aus bus"), None, None, "homonym"),
    (name("Aus bus", kingdom="Animalia"), "A", "higher_rank", "homonym"),
    (name("Prunella", kingdom="Plantae"), "P5", "exact", None),
    (name("Prunella", kingdom="Animalia"), "A5", "exact", None),
    (name("Aus bus", kingdom="Animalia", family="Chrysomelidae"), "H1", "exact", None),
    (name("Aus bus", kingdom="Animalia", phylum="Chordata"), "H2", "exact", None),
    # nothing is guessed
    (name("Giant stick insect"), None, None, "not_a_name"),
    (name("Prunela vulgaris"), None, None, "name_not_found"),
    (name("Prunela vulgaris", **BEETLE), "I4", "higher_rank", "name_not_found"),
    (name("Prunella vulgaris × modularis"), None, None, "hybrid_formula"),
    (name("2019-05-01"), None, None, "not_a_name"),
    (name("BOLD:AAF9225", **BEETLE), "I4", "higher_rank", "otu_code"),
    (name(None, kingdom="Plantae", family="Lamiaceae"), "P4", "higher_rank", "name_not_found"),
    (name(None), None, None, "no_occurrence"),
]  # fmt: skip


def test_a_lineage_gets_its_taxon_and_the_rule(tmp_path, taxon_path):
    found = label(tmp_path, taxon_path, *(said for said, *_ in LINEAGES))
    for (said, taxon, rule, reason), row in zip(LINEAGES, found, strict=True):
        expected = (said, taxon, rule, reason)
        assert (said, row["taxonID"], row["match_rule"], row["match_reason"]) == expected
        assert (row["taxonomy"] == "t") is (taxon is not None)
        assert row["match_score"] is None or 0 <= row["match_score"] <= 1
        assert taxon is not None or [row[rank] for rank in schema.RANKS] == [None] * 7


def test_a_synonym_of_a_synonym_is_followed_to_the_accepted_taxon(tmp_path, taxon_path):
    (found,) = label(tmp_path, taxon_path, name("Prunella officinalis", kingdom="Plantae"))
    assert (found["taxonID"], found["match_rule"]) == ("P6", "synonym")


def test_the_accepted_lineage_replaces_what_was_said(tmp_path, taxon_path):
    said = name("Brunella vulgaris", kingdom="Viridiplantae", family="Lamiaceae", genus="Brunella")
    (found,) = label(tmp_path, taxon_path, said)
    assert [found[rank] for rank in schema.RANKS] == [
        "Plantae", "Tracheophyta", "Magnoliopsida", "Lamiales", "Lamiaceae", "Prunella", "Prunella vulgaris"
    ]  # fmt: skip
    assert (found["scientificName"], found["ranks_agree"]) == (
        "Prunella vulgaris L.",
        "kingdom family",
    )
    assert 0.9 < found["match_score"] <= 1


@pytest.mark.parametrize(
    ("source", "more", "rule", "reason"),
    [
        ("gbif", {"taxonKey": "7"}, "provider", None),
        ("gbif", {}, None, "name_not_found"),
        ("own", {}, "provider", None),
        ("fathomnet", {}, None, "name_not_found"),
    ],
)
def test_where_no_taxonomy_knows_the_name_the_provider_may_speak(
    tmp_path, source, more, rule, reason
):
    said = name("Abies alba Mill.", kingdom="Plantae", genus="Abies", species="Abies alba", **more)
    (found,) = label(tmp_path, None, said, source=source)
    assert (found["match_rule"], found["match_reason"]) == (rule, reason)
    expected = ("Plantae", "Abies", "Abies alba") if rule else (None, None, None)
    assert (found["kingdom"], found["genus"], found["species"]) == expected


def test_every_lineage_comes_out_once(tmp_path, taxon_path):
    said = [
        name("Prunella vulgaris", kingdom=k)
        for k in ("Plantae", "Animalia", None)
        for _ in range(3)
    ]
    made = [{"source": "own", "lineage": f"{i // 3}", **row} for i, row in enumerate(said)]
    pq.write_table(pa.Table.from_pylist(made, schema=schema.MEDIA.schema), tmp_path / "m.parquet")
    query = resolve.label(sql.connect(), media=tmp_path / "m.parquet", taxon=[taxon_path],
                          authorities=[Authority("t")], work_dir=tmp_path / "w")  # fmt: skip
    assert [row["lineage"] for row in rows(query)] == ["0", "1", "2"]


@pytest.mark.real_data
def test_real_checklist_names_find_the_backbone_taxon_that_gbif_found(real_data, tmp_path):
    folder = real_data / "taxonomy/gbif_backbone_matches_trias"
    words = {"taxonID": "verificationKey", "acceptedNameUsageID": "acceptedKey", "taxonRank": "rank",
             "scientificNameAuthorship": "authorship", "parentNameUsageID": "parentKey"}  # fmt: skip
    checklist = backbone.taxon(
        sql.connect(),
        name="t",
        path=folder / "taxa_unified.csv",
        work_dir=tmp_path / "b",
        columns=words,
    )
    assert checklist.names.copy_to(tmp_path / "taxon.parquet") == 3899
    with (folder / "taxa_with_verification.csv").open(encoding="utf-8", newline="") as stream:
        given = list(csv.DictReader(stream))
    said = [name(row["scientificName"] or None, kingdom=row["bb_kingdom"] or None) for row in given]
    found = label(tmp_path, tmp_path / "taxon.parquet", *said, source="gbif")
    record, taxon = collections.Counter(), collections.Counter()
    for row, was in zip(found, given, strict=True):
        gold = names.parse(was["bb_acceptedName"] or was["bb_scientificName"]).canonical
        if gold and row["match_rule"] in ("exact", "synonym", "variant", "fuzzy"):
            same = row["canonicalName"] == gold and row["kingdom"] == was["bb_kingdom"]
            taxon[same] += 1
            if names.parse(
                was["scientificName"]
            ).authorship:  # it tells which of two records is meant
                record[row["taxonID"] in (was["bb_key"], was["bb_acceptedKey"])] += 1
    assert len(found) == 6132
    assert taxon[True] > 5200 and taxon[False] < 0.01 * taxon[True], taxon
    assert record[True] > 3000 and record[False] < 0.005 * record[True], record


@pytest.mark.real_data
def test_the_examples_of_taxonopy_keep_their_kingdom(real_data, tmp_path, taxon_path):
    example = real_data / "taxonomy/taxonopy_examples/examples/input/sample.parquet"
    said = [
        {
            **{rank: row[rank] for rank in schema.RANKS},
            "verbatimScientificName": row["scientific_name"],
        }
        for row in pq.read_table(example).to_pylist()
    ]
    found = label(tmp_path, taxon_path, *said)
    assert len(found) == 7
    same = {"Metazoa": "Animalia", "Archaeplastida": "Plantae", "Viridiplantae": "Plantae"}
    for row, was in zip(found, said, strict=True):
        assert row["kingdom"] in (None, same.get(was["kingdom"], was["kingdom"]))
