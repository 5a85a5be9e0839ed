"""One row per media row of any source, with its id, canonical address and licence.

In   source   rows of schema.SOURCE, all sources together
Out  schema.MEDIA; rows refused by their source keep the reason, a repeated uuid is `duplicate_row`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog import schema, sql
from catalog.licence import licence

LICENCES_SQL = "select distinct license_verbatim from source order by license_verbatim"

SQL = """
with keyed as not materialized (
  select *, coalesce(published_uuid, picture_uuid(source, record_key, url, crop)) as uuid
  from (select *, picture_address(identifier, archive) as url from source)
),
repeated as (              -- of rows with one uuid the first that its source accepts stays
  select uuid, min(row(reject_reason is not null, archive, source_table, source_row, media_index))
    as place
  from keyed where uuid is not null group by uuid having count(*) > 1
)
select
  s.uuid, s.url, s.* exclude (uuid, url, reject_reason),
  coalesce(
    s.reject_reason,
    case when s.uuid is null then 'no_record_id'
         when f.place <> row(s.reject_reason is not null, s.archive, s.source_table, s.source_row,
                             s.media_index) then 'duplicate_row' end
  ) as reject_reason,
  l.license, l.license_status,
  concat_ws(', ',
    coalesce(s.creator, s.rightsHolder),
    case when s.rightsHolder <> s.creator then '© ' || s.rightsHolder end,
    coalesce(l.license, s.license_verbatim),
    s.publisher, coalesce(s."references", s.identifier)) as attribution,
  md5(concat_ws(chr(31),
    s.source, coalesce(s.kingdom, ''), coalesce(s.phylum, ''), coalesce(s."class", ''),
    coalesce(s."order", ''), coalesce(s.family, ''), coalesce(s.genus, ''),
    coalesce(s.species, ''), coalesce(s.infraspecificEpithet, ''), coalesce(s.taxonRank, ''),
    coalesce(s.scientificName, s.verbatimScientificName, ''), coalesce(s.scientificNameAuthorship, ''),
    coalesce(s.taxonKey, ''), coalesce(s.checklistKey, ''))) as lineage
from keyed s
left join repeated f on f.uuid = s.uuid
left join licences l on l.license_verbatim is not distinct from s.license_verbatim
order by archive, source_table, source_row, media_index
"""


def media(con: duckdb.DuckDBPyConnection, *, source: Sequence[Path]) -> sql.Query:
    """Media rows of all sources; every licence text is read once."""
    texts = sql.query(con, LICENCES_SQL, source=source).table().column(0).to_pylist()
    meanings = [licence(text) for text in texts]
    licences = pa.table(
        {
            "license_verbatim": pa.array(texts, schema.STR),
            "license": pa.array([spdx for spdx, _ in meanings], schema.STR),
            "license_status": pa.array([status for _, status in meanings], schema.STR),
        }
    )
    return sql.query(con, SQL, source=source, licences=licences)
