"""Anyone's own pictures: a table with Darwin Core column names and a path or address per row.

In   CSV, TSV or parquet. The picture's column is `identifier`, `accessURI`, `filePath`, `path`,
     `file` or `image`; a relative path is taken from the table's own folder. The name's column is
     `scientificName`; ranks, sex, coordinates, licence, creator, … are used where they stand.
Out  schema.SOURCE: one row per row of the table
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import schema, sql
from curation import image_type
from curation.sources import boxes, dwca

_log = logging.getLogger(__name__)

SQL = """
with r as (
  select source_row, len(fields) <> $n_columns as ragged,
    said(fields, $at.identifier) as identifier, said(fields, $at.references) as "references",
    said(fields, $at.occurrenceID) as occurrenceID, said(fields, $at.organismID) as organismID,
    said(fields, $at.eventID) as eventID, said(fields, $at.deploymentID) as deploymentID,
    said(fields, $at.catalogNumber) as catalogNumber,
    said(fields, $at.kingdom) as kingdom, said(fields, $at.phylum) as phylum,
    said(fields, $at.class_) as "class", said(fields, $at.order_) as "order",
    said(fields, $at.family) as family, said(fields, $at.genus) as genus,
    said(fields, $at.species) as species, said(fields, $at.taxonKey) as taxonKey,
    lower(said(fields, $at.taxonRank)) as taxonRank,
    said(fields, $at.scientificName) as verbatimScientificName,
    said(fields, $at.infraspecificEpithet) as infraspecificEpithet,
    said(fields, $at.basisOfRecord) as basisOfRecord,
    case when list_contains($types, lower(said(fields, $at.image_type))) then lower(said(fields, $at.image_type)) end as image_type,
    record_words(said(fields, $at.samplingProtocol), said(fields, $at.preparations), said(fields, $at.remarks), null, null, null) as words,
    concat_ws(' | ', said(fields, $at.title), file_name(said(fields, $at.identifier))) as media_words,
    said(fields, $at.sex) as sex, said(fields, $at.lifeStage) as lifeStage,
    said(fields, $at.eventDate) as eventDate, said(fields, $at.recordedBy) as recordedBy,
    number(said(fields, $at.decimalLatitude)) as decimalLatitude,
    number(said(fields, $at.decimalLongitude)) as decimalLongitude,
    number(said(fields, $at.coordinateUncertaintyInMeters))
      as coordinateUncertaintyInMeters,
    said(fields, $at.countryCode) as countryCode,
    coalesce(said(fields, $at.dataGeneralizations),
      case when lower(said(fields, $at.coordinates_obscured)) in ('true', 't', '1', 'yes')
        then 'coordinates obscured by the provider' end) as dataGeneralizations,
    coalesce(said(fields, $at.informationWithheld),
      case when lower(said(fields, $at.geoprivacy)) in ('private', 'obscured', 'obscured_private')
        then 'place is ' || lower(said(fields, $at.geoprivacy)) || ' by the observer' end) as informationWithheld,
    said(fields, $at.license) as license_verbatim, said(fields, $at.title) as title,
    said(fields, $at.creator) as creator, said(fields, $at.rightsHolder) as rightsHolder,
    said(fields, $at.publisher) as publisher, said(fields, $at.datasetName) as datasetName
  from record
)
select * from blank
union all by name
select
  $archive as archive, $table as source_table, source_row, 0 as media_index, 'own' as source,
  coalesce(occurrenceID, identifier) as source_id, identifier as record_key,
  provider_key_of(canonical_url(identifier)) as provider_key, 'own' as checklistKey,
  r.* exclude (source_row, ragged, license_verbatim, creator, rightsHolder, datasetName, image_type, words, media_words),
  coalesce(image_type, image_type_of(basisOfRecord, words, media_words, concat_ws(' ', publisher, datasetName), null, deploymentID,
    lifeStage)) as image_type,
  coalesce(license_verbatim, $licence) as license_verbatim,
  coalesce(creator, $creator) as creator, rightsHolder,
  coalesce(datasetName, $archive) as datasetName,
  case when ragged then 'ragged_row' when identifier is null then 'no_identifier' end
    as reject_reason
from r
order by archive, source_table, source_row, media_index
"""

UNREADABLE_SQL = """
with cell as (
  select unnest($names) as name, unnest([said(fields, $at.decimalLatitude),
    said(fields, $at.decimalLongitude), said(fields, $at.coordinateUncertaintyInMeters)]) as value
  from record
)
select name, count(*) as n, min(value) as example from cell
where value is not null and number(value) is null group by name order by name
"""
UNKNOWN_TYPE_SQL = """
select count(*) as n, min(said(fields, $at.image_type)) as example from record
where said(fields, $at.image_type) is not null and not list_contains($types, lower(said(fields, $at.image_type)))
"""
_NUMBERS = ("decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters")

_TERMS = {
    "identifier": "identifier accessURI filePath path file image file_name image_url url",
    "scientificName": "scientificName scientific_name name", "class_": "class", "order_": "order",
    "references": "references source_url furtherInformationURL link", "taxonKey": "taxonKey taxonID",
    "license": "license licence UsageTerms", "creator": "creator author photographer user_name user_login",
    "eventDate": "eventDate observed_on timestamp", "remarks": "occurrenceRemarks remarks description mediaComments", "taxonRank": "taxonRank rank", "lifeStage": "lifeStage life_stage",
    "decimalLatitude": "decimalLatitude latitude", "decimalLongitude": "decimalLongitude longitude",
}  # fmt: skip
_PLAIN = (
    "occurrenceID organismID eventID deploymentID catalogNumber kingdom phylum family genus species "
    "infraspecificEpithet basisOfRecord image_type samplingProtocol preparations sex recordedBy coordinateUncertaintyInMeters "
    "countryCode informationWithheld dataGeneralizations coordinates_obscured geoprivacy title rightsHolder publisher datasetName"
).split()


def own(
    con: duckdb.DuckDBPyConnection,
    *,
    archive: str,
    path: Path,
    work_dir: Path,
    licence: str | None = None,
    creator: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> sql.Query:
    """Media rows of a person's own table, as `schema.SOURCE`.

    `licence` and `creator` stand for rows that state none; `columns` maps a term to the column that
    holds it, where the header uses another word. Raises ValueError when the table is
    missing, or has no column for the picture.
    """
    if path.is_dir():
        raise ValueError(
            f"{path} is a folder; name the table of its pictures (a CSV, TSV or parquet)"
        )
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist; name a CSV, TSV or parquet table of your pictures"
        )
    con.execute(dwca.MACROS)
    con.execute(image_type.MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        table = _parquet(path, columns or {})
    else:
        box = boxes.Box(path.parent, (path.name,))
        table = dwca.loose_table(box, path.name, dwca.OCCURRENCE, work_dir, rename=columns)
    at = table.at(**_TERMS, **{term: term for term in _PLAIN})
    if at["identifier"]["i"] is None:
        raise ValueError(
            f"{path} has no column for the picture: one of {_TERMS['identifier'].replace(' ', ', ')}; "
            f"it has {', '.join(table.columns)}"
        )
    params = {"archive": archive, "table": path.name, "at": at, "n_columns": table.n_columns,
              "licence": licence, "creator": creator, "types": list(image_type.TYPES)}  # fmt: skip
    bad = sql.query(con, UNREADABLE_SQL, {"at": at, "names": list(_NUMBERS)}, record=table.input)
    for name, n, example in bad.rows():
        _log.warning("%s: %d cells of %s are no number (%r) and are taken as unknown",
                     path, n, name, example)  # fmt: skip
    ((n_odd, odd),) = sql.query(
        con, UNKNOWN_TYPE_SQL, {"at": at, "types": params["types"]}, record=table.input
    ).rows()
    if n_odd:
        _log.warning("%s: %d cells of image_type are no kind we know (%r); kinds are %s",
                     path, n_odd, odd, ", ".join(image_type.TYPES))  # fmt: skip
    return sql.query(con, SQL, params, record=table.input, blank=schema.SOURCE.empty())


def _parquet(path: Path, rename: Mapping[str, str]) -> dwca.Table:
    """A parquet table in the shape the delimited ones have."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} is not readable parquet: {error}") from error
    columns = {f.name: texts for i, f in enumerate(table.schema)
               if (texts := _texts(table.column(i))) is not None}  # fmt: skip
    flat = list(columns) or [""]
    rows = pa.table(
        {
            "source_row": pa.array(range(1, table.num_rows + 1), pa.int64()),
            "fields": pa.array([list(row) for row in zip(*columns.values(), strict=True)]
                               or [[]] * table.num_rows, pa.list_(pa.string())),
        }
    )  # fmt: skip
    places = {name: i for i, name in enumerate(flat)}
    if unknown := [column for column in rename.values() if column not in places]:
        raise ValueError(f"{path} has no column {unknown[0]!r}; it has {', '.join(places)}")
    places |= {term: places[column] for term, column in rename.items()}
    places.setdefault("id", 0)
    return dwca.Table(dwca.OCCURRENCE, path.name, rows, places, {}, len(flat), True)


def _texts(column: pa.ChunkedArray) -> list[str | None] | None:
    """The values of a column as text; None for pictures, lists and what else has no text form."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return None
    try:
        return list(column.cast(pa.string()).to_pylist())
    except pa.ArrowException:
        return None
