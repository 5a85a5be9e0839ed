"""Coordinates as they may be published, under a named and versioned policy.

In   media   schema.MEDIA
Out  schema.GEOPRIVACY: one row per picture with coordinates

Policy `as-published/1`: the provider's own coordinates, flags and withholdings pass unchanged (they
are already coarsened at the source where the publisher chose to); impossible coordinates are dropped.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from catalog import sql

POLICIES = ("as-published/1",)

SQL = """
with place as (
  select uuid, decimalLatitude as lat, decimalLongitude as lon, coordinateUncertaintyInMeters as radius,
    decimalLatitude between -90 and 90 and decimalLongitude between -180 and 180
      and not (decimalLatitude = 0 and decimalLongitude = 0) as possible,
    coalesce(dataGeneralizations, informationWithheld) is not null as flagged
  from media
  where uuid is not null and reject_reason is null
    and decimalLatitude is not null and decimalLongitude is not null
)
select uuid,
  case when possible then lat end as decimalLatitude,
  case when possible then lon end as decimalLongitude,
  case when possible and radius >= 0 and isfinite(radius) then radius end as coordinateUncertaintyInMeters,
  $policy || ':' || case when not possible then 'impossible_dropped'
                         when flagged then 'generalised_by_publisher' else 'unchanged' end
    as geoprivacy
from place order by uuid
"""


def geoprivacy(con: duckdb.DuckDBPyConnection, *, media: Path, policy: str) -> sql.Query:
    """One row of schema.GEOPRIVACY per picture with coordinates; ValueError for an unknown policy."""
    if policy not in POLICIES:
        raise ValueError(
            f"geoprivacy policy {policy!r} is unknown; choose one of {', '.join(POLICIES)}"
        )
    return sql.query(con, SQL, {"policy": policy}, media=media)
