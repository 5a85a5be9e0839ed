"""One accepted taxon per verbatim lineage, with the rule that decided; never a wrong one."""

import collections
import csv
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema, sql
from curation.taxonomy import backbone, names, resolve
from curation.taxonomy.candidates import Authority
from tests.archives import rows
from tests.benchmarks._names_world import edited

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


SPELLINGS = [  # what was said, taxon, rule
    (name("Prunella vulgare", kingdom="Plantae"), "P6", "variant"),  # gender
    (name("Chaetocnema rufipés", **BEETLE), "I6", "exact"),  # accents are no difference
    (name("Viola wittrockianna", kingdom="Plantae"), "P", "higher_rank"),  # a doubled letter alone
    (name("Viola wittrockianna Gams", kingdom="Plantae"), "PB", "variant"),  # with its author
    (name("Prunella vulgarsi L.", kingdom="Plantae", family="Lamiaceae"), "P6", "fuzzy"),
    (name("Prunela vulgaris", kingdom="Plantae", family="Lamiaceae"), "P6", "fuzzy"),
    (name("Prunela vulgaris L."), "P6", "fuzzy"),  # the author stands for the ranks
    (name("Chaetocnma rufpes", **BEETLE), "I4", "higher_rank"),  # two edits in a short name
    (name("Prunella vulgarsi (Linnaeus, 1758)", kingdom="Animalia"), None, None),  # another kingdom
    (name("Prunela vulgaris Somebody, 1999"), None, None),  # another author
    (name("Prunella vxlgxris", kingdom="Plantae"), None, None),  # two edits and no ally
    (name("Prunella vulgaris var. lilacina", kingdom="Plantae", family="Lamiaceae"), "P6", "higher_rank"),
    (name("P. vulgaris", genus="Prunella", kingdom="Plantae"), "P6", "exact"),
    (name("P. vulgaris", kingdom="Plantae"), "P", "higher_rank"),
    (name("Prunella vulgaris L. agg.", kingdom="Plantae"), "P6", "exact"),
    (name("Prunella vulgaris 'Purple Heart'", kingdom="Plantae"), "P6", "exact"),
]  # fmt: skip


def test_spellings_find_their_taxon_only_with_something_on_their_side(tmp_path, taxon_path):
    found = label(tmp_path, taxon_path, *(said for said, *_ in SPELLINGS))
    for (said, taxon, rule), row in zip(SPELLINGS, found, strict=True):
        got = row["taxonID"], row["match_rule"]
        assert (said, *got) == (said, taxon, rule) or (taxon is None and got[1] == "higher_rank")
        assert (row["match_distance"] or 0) <= 2


def test_a_spelling_between_two_names_is_no_answer(tmp_path, taxon_path):
    extra = [{"taxonID": f"x{i}", "canonicalName": f"Aus {word}", "name_key": f"aus {word}",
              "stem_key": f"aus {word}", "taxonomy": "t", "kingdom": "Animalia", "taxonRank": "species",
              "taxonomicStatus": "accepted", "genus": "Aus", "species": f"Aus {word}", "family": "Aidae"}
             for i, word in enumerate(("formosanus", "formosatus"))]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(extra, schema=schema.TAXON.schema), tmp_path / "x.parquet")
    said = name("Aus formosa-us", kingdom="Animalia", family="Aidae")
    near = name("Aus formosaxus", kingdom="Animalia", family="Aidae")
    found = label(tmp_path, tmp_path / "x.parquet", said, near)
    assert [row["match_rule"] for row in found] == [None, None]
    assert found[1]["match_reason"] == "ambiguous"


def test_a_key_settles_a_homonym_and_a_mapping_leads_old_keys_to_new_ids(tmp_path, taxon_path):
    said = name("Aus bus", kingdom="Animalia", taxonKey="H2", checklistKey="mine")
    old = name("Unheard ofname", kingdom="Plantae", taxonKey="5555555")  # a key of GBIF's backbone
    (tmp_path / "map.csv").write_text("gbif,col\n5555555,P6\n")
    made = [{"source": "gbif", "lineage": f"{i}", **row} for i, row in enumerate((said, old))]
    pq.write_table(pa.Table.from_pylist(made, schema=schema.MEDIA.schema), tmp_path / "m.parquet")
    query = resolve.label(
        sql.connect(), media=tmp_path / "m.parquet", taxon=[taxon_path], work_dir=tmp_path / "w",
        authorities=[Authority("t", "mine", tmp_path / "map.csv")])  # fmt: skip
    found = rows(query, schema.LABEL)
    assert [(r["taxonID"], r["match_rule"]) for r in found] == [("H2", "exact"), ("P6", "key")]


def test_the_first_taxonomy_speaks_first_and_kingdoms_apart_are_no_answer(tmp_path):
    one = {"canonicalName": "Aus", "name_key": "aus", "taxonRank": "genus", "taxonomicStatus": "accepted",
           "genus": "Aus"}  # fmt: skip
    taxa = [{**one, "taxonomy": "first", "taxonID": "1", "kingdom": "Animalia"},
            {**one, "taxonomy": "second", "taxonID": "2", "kingdom": "Animalia"},
            {**one, "taxonomy": "third", "taxonID": "3", "kingdom": "Plantae"}]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(taxa, schema=schema.TAXON.schema), tmp_path / "x.parquet")
    table = pa.Table.from_pylist(
        [{"source": "own", "lineage": "0", **name("Aus")}], schema=schema.MEDIA.schema
    )
    pq.write_table(table, tmp_path / "m.parquet")

    def with_order(*order):
        query = resolve.label(
            sql.connect(), media=tmp_path / "m.parquet", taxon=[tmp_path / "x.parquet"],
            work_dir=tmp_path / "w", authorities=[Authority(name) for name in order])  # fmt: skip
        return rows(query, schema.LABEL)[0]

    assert with_order("first", "second")["taxonID"] == "1"
    assert with_order("second", "first")["taxonID"] == "2"
    assert with_order("first", "second", "third")["match_reason"] == "homonym"


def test_every_fuzzy_candidate_is_found_that_brute_force_finds(tmp_path):
    rng = random.Random(5)
    genera = ["Aphodius", "Aphidius", "Carabus", "Calabus", "Megaselia"]
    words = [
        "".join(rng.choice("abeilmnorstu") for _ in range(rng.randrange(5, 10))) for _ in range(60)
    ]
    known = sorted({f"{rng.choice(genera)} {word}" for word in words for _ in range(2)})
    taxa = [{"taxonomy": "t", "taxonID": f"{i}", "canonicalName": text, "name_key": text.lower(),
             "stem_key": text.lower() + "#", "taxonRank": "species", "taxonomicStatus": "accepted"}
            for i, text in enumerate(known)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(taxa, schema=schema.TAXON.schema), tmp_path / "x.parquet")
    asked = sorted(
        {edited(rng.choice(known), rng.choice((1, 2)), rng) for _ in range(150)} - set(known)
    )
    asked = [text for text in asked if names.parse(text).canonical == text and text.count(" ") == 1]
    label(tmp_path, tmp_path / "x.parquet", *(name(text) for text in asked))
    found = pq.read_table(tmp_path / "w" / "fuzzy.parquet").to_pylist()
    pairs = {(asked[int(row["lineage"])], row["canonicalName"]) for row in found}

    def near(one, other):
        (g, e), (h, f) = one.lower().split(), other.lower().split()
        genus, epithet = osa(g, h), osa(e, f)
        alike = e[0] == f[0] or e[1:5] in (f[1:5], f[:4]) or e[:4] == f[1:5]
        return (genus == 0 or (genus == 1 and g not in known_genera and len(g) >= 4)) and (
            abs(len(e) - len(f)) <= 2 - genus and alike and 1 <= genus + epithet <= 2)  # fmt: skip

    known_genera = {text.split()[0].lower() for text in known}
    expected = {(one, other) for one in asked for other in known if near(one, other)}
    assert len(asked) > 80 and len(expected) > 60
    assert pairs == expected


def osa(a, b):
    """Optimal string alignment distance, the plain recurrence."""
    d = {(i, j): i or j for i in range(len(a) + 1) for j in range(len(b) + 1) if not i or not j}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(
                d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


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
    outcome = collections.Counter()
    for row, was in zip(found, given, strict=True):
        gold = names.parse(was["bb_acceptedName"] or was["bb_scientificName"]).canonical
        matched = row["match_rule"] in ("exact", "synonym", "variant", "fuzzy") and bool(gold)
        outcome[row["canonicalName"] == gold if matched else None] += 1
    assert len(found) == 6132
    assert outcome[True] > 5200
    assert outcome[False] < 0.01 * outcome[True]


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
