"""GBIF's parquet occurrences: a SIMPLE_PARQUET download or the monthly open-data snapshot.

A folder of parquet files, or an object-store address (`s3://…`) through pyarrow's filesystems. The
columns are lower-case and carry no media addresses, so a multimedia table must be named beside it.
Columns: https://techdocs.gbif.org/en/data-use/download-formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from catalog import schema, sql

SQL = """
select
  row_number() over () as occurrence_row, false as ragged, word(gbifid::varchar) as key,
  null::varchar as associatedMedia, upper(word(occurrencestatus)) as occurrenceStatus,
  word(occurrenceid) as occurrenceID, null::varchar as organismID, null::varchar as eventID,
  null::varchar as parentEventID, null::varchar as words,
  word(catalognumber) as catalogNumber, null::varchar as "references",
  word(kingdom) as kingdom, word(phylum) as phylum, word("class") as "class",
  word("order") as "order", word(family) as family, word(genus) as genus,
  word(species) as species, word(infraspecificepithet) as infraspecificEpithet,
  lower(word(taxonrank)) as taxonRank,
  coalesce(word(verbatimscientificname), word(scientificname)) as verbatimScientificName,
  interpreted_name(word(scientificname)) as scientificName,
  null::varchar as scientificNameAuthorship, word(taxonkey) as taxonKey,
  null::varchar as checklistKey, upper(word(basisofrecord)) as basisOfRecord,
  null::varchar as sex, null::varchar as lifeStage, word(eventdate) as eventDate,
  word(recordedby) as recordedBy,
  number(decimallatitude) as decimalLatitude,
  number(decimallongitude) as decimalLongitude,
  number(coordinateuncertaintyinmeters) as coordinateUncertaintyInMeters,
  word(countrycode) as countryCode, number(elevation) as minimumElevationInMeters,
  number(depth) as minimumDepthInMeters, null::varchar as dataGeneralizations,
  null::varchar as informationWithheld, word(institutioncode) as publisher,
  word(datasetkey) as datasetKey, null::varchar as datasetName
from snapshot
where mediatype is null or contains(lower(mediatype), 'stillimage')
"""

_COLUMNS = (
    "gbifid occurrencestatus occurrenceid catalognumber kingdom phylum class order family genus "
    "species infraspecificepithet taxonrank scientificname verbatimscientificname taxonkey basisofrecord eventdate recordedby "
    "decimallatitude decimallongitude coordinateuncertaintyinmeters countrycode elevation depth "
    "institutioncode datasetkey mediatype"
).split()


def is_snapshot(path: Path | str) -> bool:
    """True for an object-store address, a file of parquet, or a folder of them or named so."""
    if "://" in str(path):
        return True
    local = Path(path)
    if local.is_dir() and (local / "meta.xml").exists():
        return False
    return local.suffix == ".parquet" or (local.is_dir() and any(local.rglob("*.parquet")))


def occurrence(con: duckdb.DuckDBPyConnection, path: str, work_dir: Path) -> Path:
    """Write the snapshot's occurrences with pictures, in the shape `gbif` joins; return the file.

    Values become text, arrays are joined by "|", missing columns are null. Raises ValueError when
    there is no parquet or no `gbifid` column.
    """
    import pyarrow.dataset as ds  # it loads pandas: only for those who read snapshots

    work_dir.mkdir(parents=True, exist_ok=True)
    filesystem, place = _filesystem(path)
    try:
        dataset = ds.dataset(
            place, filesystem=filesystem, format="parquet", exclude_invalid_files=False
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path}: no readable parquet there: {error}") from error
    columns = {name.lower(): name for name in dataset.schema.names}
    if "gbifid" not in columns:
        raise ValueError(f"{path}: no gbifid column; is this a GBIF occurrence snapshot?")
    target = work_dir / "snapshot.parquet"
    names = [name for name in _COLUMNS if name in columns]
    text = pa.schema([(name, pa.string()) for name in _COLUMNS])
    with sql.parquet_writer(target, text) as writer:
        try:
            for batch in dataset.to_batches(columns=[columns[name] for name in names]):
                given = dict(zip(names, batch.columns, strict=True))
                absent = pa.nulls(batch.num_rows, pa.string())
                arrays = [_text(given[n]) if n in given else absent for n in _COLUMNS]
                writer.write_table(pa.table(arrays, schema=text))
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"{path}: its parquet cannot be read: {error}") from error
    sql.query(con, SQL, snapshot=target).copy_to(work_dir / "occurrence.parquet")
    return work_dir / "occurrence.parquet"


def _filesystem(path: str) -> tuple[Any, str]:
    from pyarrow import fs

    if "://" not in path:
        return fs.LocalFileSystem(), path
    try:
        filesystem, place = fs.FileSystem.from_uri(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: pyarrow cannot open this address: {error}") from error
    return filesystem, place


def _text(array: pa.Array) -> pa.Array:
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        flat = [
            None if v is None else "|".join(filter(None, map(_element, v)))
            for v in array.to_pylist()
        ]
        return pa.array(flat, schema.STR)
    return array.cast(pa.string())


def _element(value: object) -> str:
    plain = value.get("array_element") if isinstance(value, dict) else value
    return "" if plain is None else str(plain)
