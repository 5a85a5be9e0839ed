"""One vernacular name per taxon and language: of that very taxon, never of a higher rank unasked.

In   a taxonomy's table of vernacular names and its names (`names`); resolved lineages and the
     vernacular names of every taxonomy (`vernacular`)
Out  schema.VERNACULAR

The name is taken by taxon id. Of several in one language the one marked preferred stands first, then
the one most rows agree on, then the shortest, then A to Z. Where a taxon's scientific name is also
borne in another kingdom, a vernacular name may have been hung on the wrong one (GBIF gives the
hoverfly genus Microdon "Catstailbush", which is a shrub of that name): there, a name whose last word
speaks of the other kingdom is left out and listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from curation.sources import dwca

ROWS_SQL = """
select said(fields, $at.taxonID) as taxonID,
  lower(coalesce(said(fields, $at.language), 'und')) as given,
  said(fields, $at.vernacularName) as vernacularName,
  said(fields, $at.source) as source,
  lower(said(fields, $at.preferred)) in ('true', '1', 't', 'yes') as preferred
from vernacular
"""

HOMONYM_SQL = """
with borne as (                 -- scientific names borne in more than one kingdom
  select name_key from lineage where name_key is not null and kingdom is not null
  group by name_key having count(distinct kingdom) > 1
)
select t.taxonID, t.kingdom from lineage t semi join borne b on b.name_key = t.name_key
"""

MISPLACED_SQL = """
select distinct r.taxonID, r.vernacularName from spoken r join homonym h using (taxonID)
where (h.kingdom = 'Animalia' and regexp_matches(lower(r.vernacularName), $plant))
   or (h.kingdom in ('Plantae', 'Fungi', 'Chromista') and regexp_matches(lower(r.vernacularName), $animal))
"""

NAMES_SQL = """
with counted as (
  select taxonID, coalesce(l.code, given) as language, vernacularName, count(*) as n,
    bool_or(coalesce(preferred, false)) as preferred,
    min(r.source) as source
  from spoken r left join language_code l using (given)
  where taxonID is not null and vernacularName is not null
    and not exists (select 1 from misplaced m
                    where m.taxonID = r.taxonID and m.vernacularName = r.vernacularName)
  group by all
)
select $taxonomy as taxonomy, taxonID, language,
  first(vernacularName order by preferred desc, n desc, length(vernacularName), vernacularName)
    as vernacularName,
  first(source order by preferred desc, n desc, length(vernacularName), vernacularName)
    as vernacularSource
from counted group by all order by taxonomy, taxonID, language
"""

SQL = """
with used as (select distinct taxonomy, taxonID, kingdom, genus, family, "order", "class" from label
              where taxonomy is not null and taxonID is not null),
own as (
  select u.taxonomy, u.taxonID, v.vernacularName, v.vernacularSource, 0 as step
  from used u join vernacular v using (taxonomy, taxonID) where v.language = $language
),
higher as (                     -- asked for: the name of the nearest higher taxon that has one
  select u.taxonomy, u.taxonID, v.vernacularName, v.vernacularSource, w.step
  from used u,
    unnest([{'rank': 'genus', 'name': u.genus, 'step': 1}, {'rank': 'family', 'name': u.family, 'step': 2},
            {'rank': 'order', 'name': u."order", 'step': 3}, {'rank': 'class', 'name': u."class", 'step': 4}])
      as t(w)
  join taxon h on h.taxonomy = u.taxonomy and h.canonicalName = w.name and h.taxonRank = w.rank
    and h.acceptedNameUsageID is null and h.kingdom is not distinct from u.kingdom
  join vernacular v on v.taxonomy = h.taxonomy and v.taxonID = h.taxonID
  where $higher and v.language = $language
)
select taxonomy, taxonID, $language as language,
  first(vernacularName order by step, vernacularName) as vernacularName,
  first(vernacularSource order by step, vernacularName) as vernacularSource
from (select * from own union all select * from higher)
group by taxonomy, taxonID
order by taxonomy, taxonID, language
"""

_TERMS = {
    "taxonID": "taxonID id", "language": "language", "vernacularName": "vernacularName name",
    "source": "source referenceID", "preferred": "isPreferredName preferred",
}  # fmt: skip
_CODES = {"eng": "en", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "spa": "es", "por": "pt", "ita": "it",
          "nld": "nl", "dut": "nl", "swe": "sv", "dan": "da", "nor": "no", "nob": "nb", "nno": "nn", "fin": "fi",
          "pol": "pl", "rus": "ru", "jpn": "ja", "zho": "zh", "chi": "zh", "kor": "ko", "ces": "cs", "cze": "cs",
          "hun": "hu", "tur": "tr", "est": "et", "lav": "lv", "lit": "lt", "ell": "el", "gre": "el",
          "english": "en", "french": "fr", "german": "de", "spanish": "es", "portuguese": "pt"}  # fmt: skip
_PLANT = r"(bush|tree|shrub|grass|fern|moss|orchid|lily|weed|wort|herb|vine|sedge|rush|rose|nut|berry|palm|cactus|fungus|mushroom|lichen|alga)(e?s)?$"
_ANIMAL = r"(fly|flies|bird|moth|butterfly|butterflies|beetle|bee|wasp|ant|bug|fish|shark|snake|lizard|frog|toad|spider|crab|snail|worm|mouse|bat|shell|coral|sponge|mite|cricket)(e?s)?$"


def names(
    con: duckdb.DuckDBPyConnection,
    table: dwca.Table | None,
    lineage: Path,
    taxonomy: str,
    work_dir: Path,
) -> tuple[Path | pa.Table, pa.Table]:
    """The vernacular names of one taxonomy, one per taxon and language, and the misplaced ones."""
    none = pa.schema([("taxonID", pa.string()), ("vernacularName", pa.string())]).empty_table()
    if table is None:
        return schema.VERNACULAR.empty(), none
    rows, target = work_dir / "spoken.parquet", work_dir / "common.parquet"
    sql.query(con, ROWS_SQL, {"at": table.at(**_TERMS)}, vernacular=table.input).copy_to(rows)
    homonym = sql.query(con, HOMONYM_SQL, lineage=lineage).table()
    params = {"plant": _PLANT, "animal": _ANIMAL}
    misplaced = sql.query(con, MISPLACED_SQL, params, spoken=rows, homonym=homonym).table()
    codes = pa.table({"given": list(_CODES), "code": list(_CODES.values())})
    sql.query(con, NAMES_SQL, {"taxonomy": taxonomy}, spoken=rows, misplaced=misplaced,
              language_code=codes).copy_to(target)  # fmt: skip
    return target, misplaced


def vernacular(
    con: duckdb.DuckDBPyConnection, *, label: Path, names: Sequence[Path], taxon: Sequence[Path],
    language: str, higher: bool = False,
) -> sql.Query:  # fmt: skip
    """The vernacular names in use, keyed by taxonomy and taxon id (schema.VERNACULAR).

    With `higher`, a taxon without a name of its own takes that of its genus, family, order or class.
    """
    known = list(names) or schema.VERNACULAR.empty()
    return sql.query(con, SQL, {"language": language, "higher": higher}, label=label, vernacular=known,
                     taxon=list(taxon) or schema.TAXON.empty())  # fmt: skip
