"""A published catalogue read back: to hydrate it (fetch its pictures), to take a part of it, to update it.

In   our own: a dataset folder, its catalogue files, or `hf://datasets/ORG/NAME[@REVISION]`
     the original imageomics/TreeOfLife-200M: catalog.parquet, and provenance.parquet beside it
     where   one SQL expression over the catalogue's columns, which says what to take
Out  schema.SOURCE: one row per row taken, with the id and, of ours, the md5 it was published under

Labels come as they were published: a loaded taxonomy resolves them anew, without one they are kept (rule
`provider`). Splits held out before stay held out. Scores are taken over, so that thresholds hold for pictures
which the recipe does not score itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from catalog import schema, sql
from catalog.artifact import MANIFEST
from curation.image_type import TYPES

HUB = "hf://datasets/"
MACROS = "create or replace macro finite(value) as case when isfinite(value) then value end;"

SQL = """
select * from blank
union all by name
select
  $archive as archive, $table as source_table, row_number() over (order by uuid, media_index) as source_row,
  coalesce(media_index, 0) as media_index, source, source_id, coalesce(source_id, uuid) as record_key,
  identifier, "references", crop, provider_key_of(canonical_url(identifier)) as provider_key,
  original_width, original_height, occurrenceID, organismID, eventID, deploymentID,
  kingdom, phylum, "class", "order", family, genus, species, infraspecificEpithet, taxonRank,
  coalesce(verbatimScientificName, scientificName) as verbatimScientificName,
  coalesce(scientificName, canonicalName) as scientificName, scientificNameAuthorship,
  taxonID as taxonKey, case when taxonID is not null then regexp_replace(taxonomy, '^' || source || ':', '') end as checklistKey,
  basisOfRecord, case when list_contains($types, image_type) then image_type end as image_type, sex, lifeStage, eventDate, recordedBy, decimalLatitude, decimalLongitude,
  coordinateUncertaintyInMeters, countryCode, minimumElevationInMeters, minimumDepthInMeters,
  coalesce(dataGeneralizations, case when regexp_matches(geoprivacy, ':(coarsened|withheld)') then geoprivacy end)
    as dataGeneralizations, informationWithheld, dna_bin, dna_barcode,
  case when split in ('test', 'unseen') then split end as provider_split,
  license_verbatim, creator, rightsHolder, publisher, datasetKey, datasetName,
  case when regexp_full_match(museum_nearest, '[A-Za-z][A-Za-z _-]{0,39}') then museum_nearest end as museum_nearest,
  finite(museum_score) as museum_score, finite(animal_score) as animal_score, finite(face_score) as face_score,
  finite(sharpness) as sharpness, finite(subject_contrast) as subject_contrast, finite(clipped_share) as clipped_share,
  uuid as published_uuid, case when $check_md5 then md5 end as published_md5,
  case when identifier is null then 'no_identifier'
       when contains(identifier, '[withheld]') then 'identifier_withheld' end as reject_reason
from row_
order by archive, source_table, source_row, media_index
"""

ORIGINAL_SQL = """
with known as (
  select uuid, nullif(any_value(license_link), '') as link, nullif(any_value(license_name), '') as name,
    nullif(nullif(any_value(copyright_owner), ''), 'not provided') as owner,
    nullif(nullif(any_value(title), ''), 'not provided') as title
  from provenance group by uuid
)
select * from blank
union all by name
select
  $archive as archive, $table as source_table, row_number() over (order by c.uuid) as source_row,
  0 as media_index, c.data_source as source, c.source_id, coalesce(c.source_id, c.uuid) as record_key,
  nullif(c.source_url, '') as identifier,
  provider_key_of(canonical_url(nullif(c.source_url, ''))) as provider_key,
  nullif(c.kingdom, '') as kingdom, nullif(c.phylum, '') as phylum, nullif(c."class", '') as "class",
  nullif(c."order", '') as "order", nullif(c.family, '') as family, nullif(c.genus, '') as genus,
  nullif(c.genus, '') || ' ' || nullif(c.species, '') as species,
  nullif(c.scientific_name, '') as verbatimScientificName,
  coalesce(nullif(c.genus, '') || ' ' || nullif(c.species, ''), nullif(c.scientific_name, '')) as scientificName,
  coalesce(nullif(c.genus, '') || ' ' || nullif(c.species, ''), nullif(c.genus, ''), nullif(c.family, ''), nullif(c."order", ''),
    nullif(c."class", ''), nullif(c.phylum, ''), nullif(c.kingdom, '')) as taxonKey, 'TreeOfLife-200M' as checklistKey,
  nullif(c.basis, '') as basisOfRecord,
  case when lower(c.kind) = 'citizen science' then 'citizen_science' when lower(c.kind) = 'camera-trap' then 'camera_trap'
       when starts_with(lower(c.kind), 'museum') then 'specimen' end as image_type, nullif(c.publisher, '') as publisher,
  coalesce(k.link, k.name) as license_verbatim, k.owner as creator, k.title,
  c.uuid as published_uuid,
  case when nullif(c.source_url, '') is null then 'no_identifier' end as reject_reason
from row_ c left join known k on k.uuid = c.uuid
order by archive, source_table, source_row, media_index
"""

_OURS = ("uuid", "source", "identifier", "canonicalName", "match_rule", "license_verbatim")
_SCORES = (
    "museum_nearest",
    "museum_score",
    "animal_score",
    "face_score",
    "sharpness",
    "subject_contrast",
    "clipped_share",
)
_ORIGINAL = (
    "uuid",
    "source_url",
    "data_source",
    "source_id",
    "scientific_name",
    "genus",
    "species",
)


def published(
    con: duckdb.DuckDBPyConnection, *, archive: str, paths: list[Path], work_dir: Path, where: str = "",
    check_md5: bool = True, provenance: Path | None = None,
) -> sql.Query:  # fmt: skip
    """Rows of a published catalogue, as `schema.SOURCE`.

    `paths` are its parquet files (`files`), `where` an SQL expression that a row must satisfy, such as
    "family = 'Felidae' and countryCode = 'BR'"; without `check_md5` other bytes than those published are
    taken too. Raises ValueError for a table that is no such catalogue
    and for an expression that cannot be evaluated over its columns.
    """
    columns = pq.read_schema(paths[0]).names
    is_ours, is_original = set(_OURS) <= set(columns), set(_ORIGINAL) <= set(columns)
    if not is_ours and not is_original:
        raise ValueError(f"{paths[0]} is no published catalogue: it lacks "
                         f"{', '.join(n for n in _OURS if n not in columns)}")  # fmt: skip
    con.execute(MACROS)
    work_dir.mkdir(parents=True, exist_ok=True)
    taken = work_dir / "taken.parquet"
    rows = con.read_parquet([str(path) for path in paths])
    if is_original:
        for name, spellings in (
            ("basis", ("basis_of_record", "basisOfRecord")),
            ("kind", ("img_type",)),
        ):
            there = next((spelling for spelling in spellings if spelling in columns), None)
            rows = rows.project(
                f'*, "{there}" as {name}' if there else f"*, null::varchar as {name}"
            )
    else:  # of an older release they are unknown
        absent = [name for name in _SCORES if name not in columns]
        rows = rows.project(
            ", ".join(
                [
                    "*",
                    *(
                        f"null::{'varchar' if n == 'museum_nearest' else 'double'} as {n}"
                        for n in absent
                    ),
                ]
            )
        )
    try:
        (rows.filter(where) if where.strip() else rows).write_parquet(
            str(taken), compression="zstd"
        )
    except (duckdb.BinderException, duckdb.ParserException, duckdb.ConversionException) as error:
        raise ValueError(f"source {archive!r}: `where = {where!r}` is no condition over the catalogue: {error}; "
                         f"its columns are {', '.join(columns)}") from error  # fmt: skip
    params = {
        "archive": archive,
        "table": paths[0].name,
        "check_md5": check_md5,
        "types": list(TYPES),
    }
    blank = schema.SOURCE.empty()
    if is_ours:
        return sql.query(con, SQL, params, row_=taken, blank=blank)
    known = provenance or _no_provenance(work_dir)
    return sql.query(con, ORIGINAL_SQL, params, row_=taken, provenance=known, blank=blank)


def files(place: str, folder: Path) -> list[Path]:
    """The catalogue files that a recipe's path means, downloaded if they are on the Hub.

    Raises ValueError when there are none.
    """
    if place.startswith(HUB):
        return _from_hub(place)
    path = folder / Path(place).expanduser()
    if path.is_file():
        return [path]
    shown = _release(path)
    found = sorted(path.glob(f"metadata/{shown}/catalog-*.parquet")) or sorted(
        path.glob("*catalog*.parquet")
    )
    if not found:
        raise ValueError(
            f"{path} holds no catalogue (metadata/*/catalog-*.parquet, or a parquet file)"
        )
    return found


def _from_hub(place: str) -> list[Path]:
    from huggingface_hub import HfApi, snapshot_download

    from curation import hub

    repo, _, revision = place.removeprefix(HUB).partition("@")
    with hub.readable_errors(repo):
        sha = HfApi().dataset_info(repo, revision=revision or "main").sha

        def got(*patterns: str) -> Path:
            return Path(
                snapshot_download(
                    repo, repo_type="dataset", revision=sha, allow_patterns=list(patterns)
                )
            )

        local = got(MANIFEST, "dataset/catalog.parquet")
        shown = _release(local)  # others of its folders may be a release that nobody sees yet
        got(f"metadata/{shown}/catalog-*.parquet")
    found = sorted(local.glob(f"metadata/{shown}/catalog-*.parquet")) or sorted(
        local.glob("dataset/catalog.parquet")
    )
    if not found:
        raise ValueError(f"{place} holds no catalogue")
    return found


def _release(folder: Path) -> str:
    """The release that a dataset folder shows; any, where it has no manifest."""
    path = folder / MANIFEST
    return str(json.loads(path.read_text())["params"]["release"]) if path.is_file() else "*"


def _no_provenance(work_dir: Path) -> Path:
    import pyarrow as pa

    names = ("uuid", "license_name", "license_link", "copyright_owner", "title")
    path = work_dir / "provenance.parquet"
    pq.write_table(pa.schema([(n, pa.string()) for n in names]).empty_table(), path)
    return path
