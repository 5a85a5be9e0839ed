"""What a lineage could mean: spellings, keys, several taxonomies; fuzzy against brute force."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import schema, sql
from curation.taxonomy import names, resolve
from curation.taxonomy.authority import Authority
from tests.archives import rows
from tests.benchmarks._names_world import edited
from tests.curation.taxonomy.test_resolve import BEETLE, label, name, taxon_path

__all__ = ["taxon_path"]


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


def test_a_mapping_without_pairs_is_an_error_that_names_it(tmp_path, taxon_path):
    (tmp_path / "map.csv").write_text("gbif;col\n")
    with pytest.raises(ValueError, match=r"map\.csv holds no pairs"):
        resolve.label(sql.connect(), media=_media(tmp_path), taxon=[taxon_path], work_dir=tmp_path / "w",
                      authorities=[Authority("t", "", tmp_path / "map.csv")])  # fmt: skip


def _media(tmp_path):
    table = pa.Table.from_pylist([{"source": "own", "lineage": "0"}], schema=schema.MEDIA.schema)
    pq.write_table(table, tmp_path / "m.parquet")
    return tmp_path / "m.parquet"
