"""Coordinates as they may be published, under a named and versioned policy.

In   media   schema.MEDIA; label and the hits of sensitive-species lists (`sensitive`), for `sensitive/1`
Out  schema.GEOPRIVACY: one row per picture with coordinates, or whose text is not told in full

Policy `as-published/1`: the provider's own coordinates, flags and withholdings pass unchanged (they
are already coarsened at the source where the publisher chose to); impossible coordinates are dropped.

Policy `sensitive/1`: the same, and what a list names, in its region, is moved to the middle of a cell of the
list's size (1 km is 0.01 degree, as in Chapman 2020, Current Best Practices for Generalizing Sensitive Species
Occurrence Data) or withheld. The radius grows to half the cell's diagonal; elevation and depth are withheld.

Under both, coordinates inside the text of protected rows (listed, or flagged by their publisher) are blotted out:
decimal, degrees and minutes, MGRS, UTM and the grids of Britain and Ireland; in addresses and ids decimal ones; and
the digits of the row's own coordinates, to three decimals (run together: to five), wherever they stand.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from catalog import sql

POLICIES = ("as-published/1", "sensitive/1")

MACROS = r"""
create or replace macro without_pairs(text) as regexp_replace(regexp_replace(text,
  '(decimal)?(lat|lon|lng|long)(itude)?([^0-9A-Za-z]{0,4}|%3D)[-−+]?\d{1,3}([.,]\d+)?', '[withheld]', 'gi'),
  '[-−+]?\d{1,3}[.,]\d{2,}([^0-9A-Za-z]{1,4}|%2C|%20|\s+and\s+)[-−+]?\d{1,3}[.,]\d{2,}', '[withheld]', 'gi');
create or replace macro without_degrees(text) as regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(text,
  '[-−+]?\d{1,3}([.,]\d+)?\s*(°|º|˚|&deg;|deg\b|d(\b|\d))\s*(\d{1,2}([.,]\d+)?\s*([''′’]|m(in)?)\s*)?(\d{1,2}([.,]\d+)?\s*("|″|”|''''|s(ec)?\b))?\s*[NSEWO]?\b', '[withheld]', 'gi'),
  '(\b[NSEWO]\s?)?[-−+]?\b\d{1,3}[.,]\d{4,}(\s*[NSEWO]\b)?', '[withheld]', 'g'),
  '[-−+]?\d{1,3}[.,]\d{2,}\s*[NSEWO]\b', '[withheld]', 'gi'),
  '\b\d{1,3}[\s:]+\d{1,2}([.,]\d+)?([\s:]+\d{1,2}([.,]\d+)?)?\s*[NSEWO]\b', '[withheld]', 'g'),
  '\b[NSEWO]\s?[-−+]?\d{1,3}([.,]\d{2,}|[\s°:]+\d{1,2}([.,]\d+)?[''′’]?([\s:]*\d{1,2}([.,]\d+)?["″”]?)?)', '[withheld]', 'g');
create or replace macro without_grids(text) as regexp_replace(regexp_replace(regexp_replace(text,
  '\b(\d{1,2}[C-HJ-NP-X]\s?[A-HJ-NP-Z]{2}\s?\d{2,5}\s?\d{2,5}|[HJNOST][A-HJ-Z]\s?\d{2,5}\s?\d{2,5}|[A-HJ-Z]\s?\d{3,5}\s\d{3,5})\b', '[withheld]', 'g'),
  '\b(\d{1,2}[c-hj-np-x][a-hj-np-z]{2}\d{4,10}|[hjnost][a-hj-z]\d{6,10})\b', '[withheld]', 'g'),
  '\b(UTM\s*)?(\d{1,2}[C-HJ-NP-X]?\s+)?\d{6,7}\s?(m\s?)?E?[,;\s]+\d{6,7}\s?(m\s?)?N?\b', '[withheld]', 'gi');
create or replace macro without_rests(text) as regexp_replace(regexp_replace(text,
  '\[withheld\][^0-9A-Za-z\[]{0,3}[-−+]?\d{1,3}([.,]\d+)?\b', '[withheld]', 'g'),
  '[-−+]?\b\d{1,3}[.,]\d+[^0-9A-Za-z]{0,3}\[withheld\]', '[withheld]', 'g');
create or replace macro without_places(text) as without_rests(without_grids(without_degrees(without_pairs(text))));
create or replace macro is_place(lat, lon) as
  coalesce(lat between -90 and 90 and lon between -180 and 180 and not (lat = 0 and lon = 0), false);
create or replace macro digits_of(degrees, pattern) as
  regexp_replace(printf('%.7f', abs(degrees)), '^(\d+)\.(\d{3})(\d{2}).*$', pattern);
create or replace macro without_own(text, degrees) as
  case when degrees is null or not isfinite(degrees) or abs(degrees) > 180 or round(degrees, 2) = degrees then text
       when round(degrees, 4) = degrees            -- run together, few digits are anybody's
         then regexp_replace(text, digits_of(degrees, '(^|[^0-9])\1[.,_-]\2[0-9]*'), '\1[withheld]', 'g')
       else regexp_replace(text, digits_of(degrees, '(^|[^0-9])(?:\1[.,_-]\2|\1\2\3)[0-9]*'), '\1[withheld]', 'g') end;
create or replace macro told(text, is_protected, lat, lon) as
  case when is_protected then without_own(without_own(without_places(text), lat), lon) else text end;
create or replace macro told_id(text, is_protected, lat, lon) as
  case when is_protected then without_own(without_own(without_pairs(text), lat), lon) else text end;
"""

SQL = """
with caught as (          -- by lists, in their regions
  select m.uuid, bool_or(h.is_withheld) as is_withheld, max(h.cell_km) as cell_km,
    first(h.list order by h.is_withheld desc, h.cell_km desc, h.list) as list
  from media m join hit h using (lineage)
  where m.uuid is not null and $policy <> 'as-published/1'
    and (h.country is null or coalesce(not regexp_full_match(trim(m.countryCode), '[A-Za-z]{2}'), true)
      or upper(trim(m.countryCode)) = h.country)
    and (h.south is null or not is_place(m.decimalLatitude, m.decimalLongitude)
      or m.decimalLatitude between h.south and h.north and m.decimalLongitude between h.west and h.east)
  group by m.uuid
),
place as (
  select m.uuid, m.decimalLatitude as lat, m.decimalLongitude as lon, m.coordinateUncertaintyInMeters as radius,
    is_place(m.decimalLatitude, m.decimalLongitude) as possible,
    coalesce(m.dataGeneralizations, m.informationWithheld) is not null as flagged,
    c.is_withheld, c.cell_km, c.list, c.cell_km / 100.0 as cell
  from media m left join caught c using (uuid)
  where m.uuid is not null and (m.decimalLatitude is not null and m.decimalLongitude is not null and m.reject_reason is null
    or c.uuid is not null or coalesce(m.dataGeneralizations, m.informationWithheld) is not null)
  qualify row_number() over (partition by m.uuid order by m.reject_reason is not null, m.archive, m.source_table,
                             m.source_row, m.media_index) = 1
),
seen as (
  select *, coalesce(possible, false) and not coalesce(is_withheld, false) as shown,
    coalesce(radius >= 0 and isfinite(radius), false) as has_radius,
    round(111320 * cell * sqrt(2) / 2) as cell_radius
  from place
)
select uuid,
  case when shown then case when cell > 0 then least(90 - cell / 2, round((floor(lat / cell) + 0.5) * cell, 6)) else lat end end
    as decimalLatitude,
  case when shown then case when cell > 0 then least(180 - cell / 2, round((floor(lon / cell) + 0.5) * cell, 6)) else lon end end
    as decimalLongitude,
  case when shown then case when cell > 0 then greatest(cell_radius, case when has_radius then radius else 0 end)
                            when has_radius then radius end end
    as coordinateUncertaintyInMeters,
  $policy || ':' || case when is_withheld then 'withheld:' || list
                         when list is not null then 'coarsened_' || format('{:g}', cell_km) || 'km:' || list
                         when lat is null or lon is null then 'no_coordinates'
                         when not possible then 'impossible_dropped'
                         when flagged then 'generalised_by_publisher' else 'unchanged' end
    as geoprivacy,
  flagged or list is not null as is_protected
from seen order by uuid
"""


def geoprivacy(
    con: duckdb.DuckDBPyConnection, *, media: Path, policy: str, hit: sql.Input | None = None
) -> sql.Query:
    """One row of schema.GEOPRIVACY per picture with coordinates or with protected text.

    `hit` are the lineages that lists name (`sensitive.HIT`). ValueError for an unknown policy.
    """
    from curation import sensitive

    if policy not in POLICIES:
        raise ValueError(
            f"geoprivacy policy {policy!r} is unknown; choose one of {', '.join(POLICIES)}"
        )
    con.execute(MACROS)
    return sql.query(con, SQL, {"policy": policy}, media=media,
                     hit=sensitive.HIT.empty_table() if hit is None else hit)  # fmt: skip
