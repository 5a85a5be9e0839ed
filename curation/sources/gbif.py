"""GBIF: occurrence downloads with their media, in any form GBIF delivers.

In   a Darwin Core Archive (zip or folder), a SIMPLE_CSV zip or a SIMPLE_PARQUET snapshot with a
     multimedia table beside it, or a multimedia table alone (`media_only`)
Out  schema.SOURCE: one row per multimedia row, and per `associatedMedia` part it does not list

Facts of a picture (address, licence, creator) come from its multimedia row, never from the
occurrence. Publishers' own archives (taxon core, Audiovisual Core) are read the same way.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import duckdb

from catalog import schema, sql
from curation import image_type
from curation.sources import boxes, dwca, snapshot

_log = logging.getLogger(__name__)

OCCURRENCE_SQL = """
select
  source_row as occurrence_row,
  len(fields) < $n_columns or ($exact and len(fields) > $n_columns) as ragged,
  said(fields, $at.key) as key,
  said(fields, $at.associatedMedia) as associatedMedia,
  upper(said(fields, $at.occurrenceStatus)) as occurrenceStatus,
  said(fields, $at.occurrenceID) as occurrenceID,
  said(fields, $at.organismID) as organismID,
  said(fields, $at.eventID) as eventID,
  said(fields, $at.parentEventID) as parentEventID,
  record_words(said(fields, $at.samplingProtocol), said(fields, $at.preparations), said(fields, $at.occurrenceRemarks),
    said(fields, $at.fieldNotes), said(fields, $at.eventRemarks), said(fields, $at.dynamicProperties)) as words,
  said(fields, $at.catalogNumber) as catalogNumber,
  said(fields, $at.references) as "references",
  said(fields, $at.kingdom) as kingdom,
  said(fields, $at.phylum) as phylum,
  said(fields, $at.class_) as "class",
  said(fields, $at.order_) as "order",
  said(fields, $at.family) as family,
  said(fields, $at.genus) as genus,
  said(fields, $at.species) as species,
  said(fields, $at.infraspecificEpithet) as infraspecificEpithet,
  lower(said(fields, $at.taxonRank)) as taxonRank,
  coalesce(said(fields, $at.verbatimScientificName), said(fields, $at.scientificName))
    as verbatimScientificName,
  interpreted_name(said(fields, $at.scientificName)) as scientificName,
  said(fields, $at.scientificNameAuthorship) as scientificNameAuthorship,
  said(fields, $at.taxonKey) as taxonKey,
  said(fields, $at.checklistKey) as checklistKey,
  upper(said(fields, $at.basisOfRecord)) as basisOfRecord,
  said(fields, $at.sex) as sex,
  said(fields, $at.lifeStage) as lifeStage,
  said(fields, $at.eventDate) as eventDate,
  said(fields, $at.recordedBy) as recordedBy,
  number(said(fields, $at.decimalLatitude)) as decimalLatitude,
  number(said(fields, $at.decimalLongitude)) as decimalLongitude,
  number(said(fields, $at.coordinateUncertaintyInMeters))
    as coordinateUncertaintyInMeters,
  said(fields, $at.countryCode) as countryCode,
  number(said(fields, $at.elevation)) as minimumElevationInMeters,
  number(said(fields, $at.depth)) as minimumDepthInMeters,
  said(fields, $at.dataGeneralizations) as dataGeneralizations,
  said(fields, $at.informationWithheld) as informationWithheld,
  said(fields, $at.publisher) as publisher,
  said(fields, $at.datasetKey) as datasetKey,
  said(fields, $at.datasetName) as datasetName
from occurrence
"""

MULTIMEDIA_SQL = """
select
  $table as source_table,
  source_row,
  len(fields) < $n_columns or ($exact and len(fields) > $n_columns) as ragged,
  said(fields, $at.key) as key,
  said(fields, $at.type) as type,
  lower(said(fields, $at.format)) as format,
  said(fields, $at.identifier) as identifier,
  said(fields, $at.references) as "references",
  said(fields, $at.title) as title,
  concat_ws(' | ', said(fields, $at.title), said(fields, $at.description)[:500], said(fields, $at.subtype),
    file_name(said(fields, $at.identifier))) as words,
  said(fields, $at.creator) as creator,
  said(fields, $at.publisher) as publisher,
  said(fields, $at.license) as license_verbatim,
  said(fields, $at.rightsHolder) as rightsHolder
from multimedia
"""

SQL = """
with first_occurrence as (      -- an id that stands twice: the first row speaks for it
  select key, min(occurrence_row) as occurrence_row from occurrence
  where key is not null group by key
),
core as (
  select o.*,
    odd_rank(kingdom) or odd_rank(phylum) or odd_rank("class") or odd_rank("order")
      or odd_rank(family) or odd_rank(genus) as shifted
  from occurrence o semi join first_occurrence using (key, occurrence_row)
),
parts as (                      -- associatedMedia is not repeated where multimedia lists it
  select key, occurrence_row, ragged, trim(part) as identifier, ordinality as part_no
  from occurrence, unnest(string_split(associatedMedia, '|')) with ordinality as p(part, ordinality)
  where associatedMedia is not null and word(part) is not null
),
listed as (
  select distinct key, canonical_url(identifier) as url from multimedia m
  semi join parts p on p.key = m.key
),
bare as (select p.* from parts p anti join listed l
         on p.key = l.key and canonical_url(p.identifier) = l.url),
media as (
  select source_table, source_row, 0 as part_no, key, ragged, type, format, identifier,
    "references", title, words, creator, publisher, license_verbatim, rightsHolder, false as associated
  from multimedia
  union all
  select $core_table, occurrence_row, part_no, key, ragged, null, null, identifier,
    null, null, file_name(identifier), null, null, null, null, true
  from bare
),
position as (
  select source_table, source_row, part_no,
    (row_number() over (partition by key order by associated, source_row, part_no) - 1)::integer
      as media_index
  from media
)
select * from blank
union all by name
select * replace (case when image_type = 'camera_trap' then deploymentID end as deploymentID) from (select
  $archive as archive, m.source_table, m.source_row, p.media_index,
  'gbif' as source, m.key as source_id, m.key as record_key, m.identifier,
  coalesce(m."references", c."references") as "references", m.format,
  provider_key_of(canonical_url(m.identifier)) as provider_key,
  c.occurrenceID, c.organismID, c.eventID, c.parentEventID as deploymentID, c.catalogNumber,
  c.kingdom, c.phylum, c."class", c."order", c.family, c.genus, c.species,
  c.infraspecificEpithet, c.taxonRank, c.verbatimScientificName, c.scientificName,
  c.scientificNameAuthorship,
  c.taxonKey, c.checklistKey,
  c.basisOfRecord,
  image_type_of(c.basisOfRecord, c.words, m.words, concat_ws(' ', m.publisher, c.publisher, c.datasetName), c.datasetKey,
    null, c.lifeStage) as image_type, c.sex, c.lifeStage, c.eventDate, c.recordedBy,
  c.decimalLatitude, c.decimalLongitude, c.coordinateUncertaintyInMeters, c.countryCode,
  c.minimumElevationInMeters, c.minimumDepthInMeters, c.dataGeneralizations,
  c.informationWithheld, m.license_verbatim, m.title, m.creator, m.rightsHolder,
  coalesce(m.publisher, c.publisher) as publisher, c.datasetKey, c.datasetName,
  case
    when m.ragged then 'ragged_row'
    when m.key is null then 'no_record_id'
    when c.key is null and not $media_only then 'no_occurrence'
    when c.ragged then 'occurrence_ragged'
    when c.shifted then 'shifted_columns'
    when c.occurrenceStatus = 'ABSENT' then 'absent'
    when c.basisOfRecord = 'MATERIAL_CITATION' then 'material_citation'
    when m.type is not null and not is_still_image_type(m.type) then 'not_still_image'
    when m.format is not null and not is_image_format(m.format) then 'not_still_image'
    when m.type is null and m.format is null and not m.associated then 'unknown_media_type'
    when m.identifier is null then 'no_identifier'
  end as reject_reason
from media m
join position p using (source_table, source_row, part_no)
left join core c on c.key = m.key)
order by archive, source_table, source_row, media_index
"""

COUNT_SQL = "select count(*) from multimedia"
ASSOCIATED_SQL = "select count(*) > 0 from occurrence where associatedMedia is not null"

IMAGE_ROW = "http://rs.gbif.org/terms/1.0/Image"
_NO_MEDIA = dwca.Table(dwca.MEDIA_ROWS[0], "multimedia", dwca.NO_ROWS, {}, {}, 0, False)

_OCCURRENCE_TERMS = {
    "key": "gbifID id", "class_": "class", "order_": "order",
    "elevation": "elevation minimumElevationInMeters", "depth": "depth minimumDepthInMeters",
    "taxonKey": "acceptedTaxonKey taxonKey", "publisher": "publisher institutionCode",
}  # fmt: skip
_OCCURRENCE_PLAIN = (
    "associatedMedia occurrenceStatus occurrenceID organismID eventID parentEventID catalogNumber samplingProtocol preparations "
    "occurrenceRemarks fieldNotes eventRemarks dynamicProperties references "
    "kingdom phylum family genus species infraspecificEpithet taxonRank scientificName verbatimScientificName "
    "scientificNameAuthorship checklistKey basisOfRecord sex lifeStage eventDate recordedBy "
    "decimalLatitude decimalLongitude coordinateUncertaintyInMeters countryCode dataGeneralizations "
    "informationWithheld datasetKey datasetName"
).split()
_MULTIMEDIA_TERMS = {
    "key": "gbifID id", "type": "type", "format": "format", "identifier": "accessURI identifier",
    "references": "references furtherInformationURL", "title": "title",
    "description": "description caption", "subtype": "subtypeLiteral subtype",
    "creator": "creator photographer", "publisher": "publisher provider",
    "license": "license UsageTerms rights", "rightsHolder": "rightsHolder Owner",
}  # fmt: skip


def gbif(
    con: duckdb.DuckDBPyConnection,
    *,
    archive: str,
    path: Path | str,
    work_dir: Path,
    multimedia: Path | None = None,
    media_only: bool = False,
) -> sql.Query:
    """Media rows of a GBIF download, as `schema.SOURCE`.

    `multimedia` names a separate media table (a multimedia.txt or an archive holding one) for
    downloads that have none. Raises ValueError, with what to do, when there is no occurrence table
    (unless `media_only`) or no media table.
    """
    con.execute(dwca.MACROS)
    con.execute(image_type.MACROS)
    occurrence, core = None, None
    media: list[dwca.Table] = []
    if snapshot.is_snapshot(path):
        occurrence = snapshot.occurrence(con, str(path), work_dir)
    else:
        core, media = _tables(Path(path), work_dir, media_only=media_only)
    if multimedia is not None:
        media = _media_tables(multimedia, work_dir)
    if core is not None:
        at = core.at(**_OCCURRENCE_TERMS, **{term: term for term in _OCCURRENCE_PLAIN})
        occurrence = _narrow(con, OCCURRENCE_SQL, core, at, work_dir / "occurrence.parquet")
    if occurrence is None:
        occurrence = _no_occurrence(con, work_dir)
    listed = _has_associated_media(con, occurrence)
    if not media and not listed:
        raise ValueError(
            f"{path} has no multimedia table, so it lists no pictures; download it as a Darwin Core "
            "Archive, or name the media table beside it with `multimedia = ...`"
        )
    rows = [
        _narrow(con, MULTIMEDIA_SQL, table, _media_places(table), work_dir / f"multimedia-{i}.parquet",
                "multimedia")
        for i, table in enumerate({table.name: table for table in media or [_NO_MEDIA]}.values())
    ]  # fmt: skip
    if not listed and not sql.query(con, COUNT_SQL, multimedia=rows).scalar():
        _log.warning("%s lists no pictures: its media table has no rows; was it made with a filter "
                     "that leaves pictures out?", path)  # fmt: skip
    params = {"archive": archive, "media_only": media_only,
              "core_table": core.name if core else "occurrence"}  # fmt: skip
    return sql.query(con, SQL, params, occurrence=occurrence, multimedia=rows,
                     blank=schema.SOURCE.empty())  # fmt: skip


def _tables(
    path: Path, work_dir: Path, *, media_only: bool
) -> tuple[dwca.Table | None, list[dwca.Table]]:
    if path.is_file() and path.suffix.lower() in (".txt", ".tsv", ".tab", ".csv"):
        if media_only:
            return None, _media_tables(path, work_dir)
        raise ValueError(f"{path} is a table without its occurrences; {_HOW_MEDIA_ONLY}")
    box = boxes.open_box(path)
    if media_only and box.find("occurrence.txt") is None:
        member = box.find("multimedia.txt")
        if member is None:
            raise ValueError(f"{path} has neither occurrence.txt nor multimedia.txt")
        return None, [dwca.loose_table(box, member, dwca.MEDIA_ROWS[0], work_dir)]
    try:
        archive = dwca.open_archive(path, work_dir, only=dwca.MEDIA_ROWS)
    except ValueError as error:
        if box.find("multimedia.txt") and not box.find("occurrence.txt"):
            raise ValueError(f"{error}; {_HOW_MEDIA_ONLY}") from error
        raise
    return archive.tables[0], archive.all(*dwca.MEDIA_ROWS)


_HOW_MEDIA_ONLY = (
    "put occurrence.txt beside it, or set `media_only = true` to keep its pictures without labels"
)


def _media_tables(path: Path, work_dir: Path) -> list[dwca.Table]:
    if path.is_file() and path.suffix.lower() in (".txt", ".tsv", ".tab", ".csv"):
        box = boxes.Box(path.parent, (path.name,))
        return [dwca.loose_table(box, path.name, dwca.MEDIA_ROWS[0], work_dir)]
    tables = dwca.open_archive(path, work_dir, only=dwca.MEDIA_ROWS).all(*dwca.MEDIA_ROWS)
    if not tables:
        raise ValueError(f"{path} has no multimedia table")
    return tables


def _media_places(table: dwca.Table) -> dict[str, Any]:
    """Where a media table keeps what; every row of GBIF's Image extension is a still image."""
    at = table.at(**_MULTIMEDIA_TERMS)
    if table.row_type == IMAGE_ROW and at["type"]["i"] is None:
        at["type"]["v"] = "StillImage"
    return at


def _has_associated_media(con: duckdb.DuckDBPyConnection, occurrence: Path) -> bool:
    return bool(sql.query(con, ASSOCIATED_SQL, occurrence=occurrence).scalar())


def _narrow(
    con: duckdb.DuckDBPyConnection, text: str, table: dwca.Table, at: dict[str, Any], target: Path,
    name: str = "occurrence",
) -> Path:  # fmt: skip
    """Write the columns a query needs of a wide table, so that it is split once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    params = {"at": at, "table": table.name, "n_columns": table.n_columns, "exact": table.exact}
    sql.query(con, text, params, **{name: table.input}).copy_to(target)
    return target


def _no_occurrence(con: duckdb.DuckDBPyConnection, work_dir: Path) -> Path:
    none = {"i": None, "v": None}
    names = (*_OCCURRENCE_TERMS, *_OCCURRENCE_PLAIN)
    params = {"at": dict.fromkeys(names, none), "n_columns": 0, "exact": False}
    work_dir.mkdir(parents=True, exist_ok=True)
    sql.query(con, OCCURRENCE_SQL, params, occurrence=dwca.NO_ROWS).copy_to(
        work_dir / "occurrence.parquet"
    )
    return work_dir / "occurrence.parquet"
