"""Vernacular names in use: of the taxon itself, of a higher one only when asked."""

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import schema, sql
from curation.taxonomy import vernacular
from tests.archives import rows

SWIFT = {
    "taxonomy": "t",
    "taxonID": "s",
    "kingdom": "Animalia",
    "genus": "Apus",
    "family": "Apodidae",
}


def written(path, table, *lines):
    pq.write_table(pa.Table.from_pylist(list(lines), schema=table.schema), path)
    return path


def named(tmp_path, *names, higher, language="en"):
    label = written(
        tmp_path / "l.parquet", schema.LABEL, {"lineage": "1", **SWIFT}, {"lineage": "2", **SWIFT}
    )
    taxon = written(
        tmp_path / "t.parquet", schema.TAXON,
        {**SWIFT, "canonicalName": "Apus apus", "taxonRank": "species"},
        {**SWIFT, "taxonID": "g", "canonicalName": "Apus", "taxonRank": "genus"},
        {**SWIFT, "taxonID": "p", "canonicalName": "Apus", "taxonRank": "genus", "kingdom": "Plantae"},
        {**SWIFT, "taxonID": "f", "canonicalName": "Apodidae", "taxonRank": "family"})  # fmt: skip
    spoken = [{"taxonomy": "t", "taxonID": key, "language": lang, "vernacularName": name, "vernacularSource": "x"}
              for key, lang, name in names]  # fmt: skip
    common = written(tmp_path / "v.parquet", schema.VERNACULAR, *spoken)
    query = vernacular.vernacular(
        sql.connect(), label=label, names=[common], taxon=[taxon], language=language, higher=higher
    )
    return [(row["taxonID"], row["vernacularName"]) for row in rows(query, schema.VERNACULAR)]


def test_a_taxon_has_its_own_name_once_in_the_language_asked_for(tmp_path):
    names = [("s", "en", "Common Swift"), ("s", "de", "Mauersegler"), ("g", "en", "Swifts")]
    assert named(tmp_path, *names, higher=False) == [("s", "Common Swift")]
    assert named(tmp_path, *names, higher=True) == [("s", "Common Swift")]
    assert named(tmp_path, *names, higher=False, language="de") == [("s", "Mauersegler")]


def test_a_higher_taxons_name_is_taken_only_when_asked_and_never_from_another_kingdom(tmp_path):
    names = [("f", "en", "Swift Family"), ("g", "en", "Swifts"), ("p", "en", "Applebush")]
    assert named(tmp_path, *names, higher=False) == []
    assert named(tmp_path, *names, higher=True) == [("s", "Swifts")]
    assert named(tmp_path, names[0], names[2], higher=True) == [("s", "Swift Family")]
