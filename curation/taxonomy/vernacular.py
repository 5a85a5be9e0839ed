"""One vernacular name per taxon: in the wanted language, of that very taxon, never of a higher rank.

In   label       resolved lineages (schema.LABEL)
     vernacular  names by taxon and language (schema.VERNACULAR)
Out  lineage, vernacularName
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from catalog import schema, sql

SQL = """
select l.taxonomy, l.taxonID, $language as language, any_value(v.vernacularName) as vernacularName
from label l join vernacular v on v.taxonomy = l.taxonomy and v.taxonID = l.taxonID
where v.language = $language
group by l.taxonomy, l.taxonID
order by taxonomy, taxonID, language
"""


def vernacular(
    con: duckdb.DuckDBPyConnection, *, label: Path, names: Sequence[Path], language: str
) -> sql.Query:
    """The vernacular names in use, keyed by taxonomy and taxon id (schema.VERNACULAR)."""
    known = list(names) or schema.VERNACULAR.empty()
    return sql.query(con, SQL, {"language": language}, label=label, vernacular=known)
