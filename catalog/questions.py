"""What a reader asks of the tree: the taxa below one, its pictures, where they were taken, a taxon by any name.

Every function takes the opened dataset first and returns plain data, ready for JSON. A path is a mapping of levels
(kingdom … species, taxon) to names; filters map FILTERS, `from_year`, `to_year` and `pixels` ("yes") to values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog import schema
from catalog.shelf import Shelf

PER_PAGE, N_FOUND, N_CELLS = 48, 30, 4_000
FILTERS = ("source", "license", "license_status", "countryCode", "basisOfRecord", "sex", "lifeStage", "match_rule",
           "taxonRank", "split", "image_type", "geoprivacy")  # fmt: skip
LEVELS = (*schema.RANKS, "taxon")  # the last is a subspecies, or a rank between

CHILDREN_SQL = """
with below as (
  select n_images, n_open, species, vernacularName,
    [kingdom, phylum, "class", "order", family, genus, species,
     case when canonicalName <> coalesce(species, genus, family, "order", "class", phylum, kingdom, '')
       then canonicalName end] as names
  from taxa
  where in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
),
ranked as (
  select * exclude (names), list_filter(list_zip(
      ['kingdom', 'phylum', 'class', 'order', 'family', 'genus', 'species', 'taxon'], names)[$path.depth + 1:],
    lambda x: x[2] is not null) as steps
  from below
),
stepped as (
  select n_images, n_open, species, vernacularName, len(steps) as n_steps, steps[1][1] as "rank", steps[1][2] as "name"
  from ranked
)
select "rank", "name", sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open,
  count(distinct species) as n_species, bool_or(n_steps > 1) as has_children,
  any_value(vernacularName) filter (n_steps = 1) as vernacularName
from stepped group by "rank", "name" order by "rank" is null, "name", "rank"
"""

TAXON_SQL = """
select coalesce(sum(n_images), 0)::bigint as n_images, coalesce(sum(n_open), 0)::bigint as n_open,
  count(*) as n_taxa, count(distinct species) as n_species,
  min(kingdom) as kingdom, min(phylum) as phylum, min("class") as "class", min("order") as "order",
  min(family) as family, min(genus) as genus, min(species) as species,
  any_value(vernacularName) filter (canonicalName = $canonical) as vernacularName,
  any_value(scientificName) filter (canonicalName = $canonical) as scientificName,
  any_value(taxonomy) filter (canonicalName = $canonical) as taxonomy
from taxa
where in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
"""

NAMES_SQL = """
select "name", name_kind, "language" from names
where canonicalName = $canonical and name_kind <> 'accepted'
  and in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
group by all order by name_kind, "language", "name" limit 200
"""

SPREAD_SQL = """
with numbered as (
  select canonicalName, vernacularName, taxonRank, kingdom, phylum, "class", "order", family, genus, species, n_images,
    example as uuid, thumbnail_row, row_number() over () - 1 as place, count(*) over () as n_taxa
  from taxa
  where thumbnail_row is not null
    and in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
)
select * exclude (place, n_taxa) from numbered
where place = 0 or place * least($n, n_taxa) // n_taxa <> (place - 1) * least($n, n_taxa) // n_taxa
order by place limit $n
"""

PICTURES_SQL = """
select uuid, canonicalName, vernacularName, taxonRank, eventDate, countryCode, license, license_status, creator, sex,
  lifeStage, source, keep, thumbnail_row, filename, file_row_number
from catalog
where (filename > $after_file or filename = $after_file and file_row_number > $after_row)
  and in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
  and is_chosen(source, license, license_status, countryCode, basisOfRecord, sex, lifeStage, match_rule, taxonRank,
    split, image_type, geoprivacy, eventDate, keep, $chosen)
limit $n
"""

COUNT_SQL = """
select count(*) as n_images, count(*) filter (keep) as n_open
from catalog
where in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
  and is_chosen(source, license, license_status, countryCode, basisOfRecord, sex, lifeStage, match_rule, taxonRank,
    split, image_type, geoprivacy, eventDate, keep, $chosen)
"""

MAP_SQL = """
select floor(decimalLatitude) as south, floor(decimalLongitude) as west, count(*) as n_images
from catalog
where decimalLatitude is not null and decimalLongitude is not null
  and in_path(kingdom, phylum, "class", "order", family, genus, species, canonicalName, $path)
  and is_chosen(source, license, license_status, countryCode, basisOfRecord, sex, lifeStage, match_rule, taxonRank,
    split, image_type, geoprivacy, eventDate, keep, $chosen)
group by all order by n_images desc, south, west limit $n
"""

SEARCH_SQL = """
with asked as (select trim(lower(strip_accents($text))) as wanted),
met as (
  select n.*, case when search_key = wanted then 0 when starts_with(search_key, wanted) then 1
      when contains(search_key, ' ' || wanted) then 2 else 3 end as step
  from names n, asked where contains(search_key, wanted)
),
best as (                       -- a taxon once, by the name that fits best
  select * from met
  qualify row_number() over (partition by kingdom, phylum, "class", "order", family, genus, species, canonicalName
    order by step, list_position(['accepted', 'vernacular', 'synonym', 'verbatim'], name_kind),
      "language" is distinct from 'en', "name") = 1
)
select "name", name_kind, "language", taxonRank, canonicalName, kingdom, phylum, "class", "order", family, genus, species,
  n_images, n_open
from best order by step, n_images desc, canonicalName, kingdom limit $n
"""


def children(shelf: Shelf, path: Mapping[str, str]) -> list[dict[str, Any]]:
    """The next taxa below a path, with counts; `rank` null: labelled no further than the path."""
    return shelf.ask(CHILDREN_SQL, **_path(path))


def taxon(shelf: Shelf, path: Mapping[str, str]) -> dict[str, Any]:
    """A taxon: its numbers, its lineage, its names, and pictures spread over what is below it.

    Raises LookupError where the dataset has none such.
    """
    canonical = path[LEVELS[_depth(path) - 1]] if path else ""
    (told,) = shelf.ask(TAXON_SQL, canonical=canonical, **_path(path))
    if not told["n_taxa"] and path:
        raise LookupError("no such taxon is in this dataset")
    for level in schema.RANKS[_depth(path) :]:  # of one of the taxa below, not of this one
        del told[level]
    names = shelf.ask(NAMES_SQL, canonical=canonical, **_path(path)) if path else []
    return {**told, "names": names, "spread": shelf.ask(SPREAD_SQL, n=PER_PAGE, **_path(path))}


def pictures(
    shelf: Shelf, path: Mapping[str, str], filters: Mapping[str, str], after: str = ""
) -> dict[str, Any]:
    """A page of pictures in the order of the catalogue, and where the next one starts ("" after the last)."""
    files = shelf.files["catalog"]
    number, _, at_row = after.partition(":")
    start = (str(files[int(number)]), int(at_row)) if after else ("", -1)
    rows = shelf.ask(
        PICTURES_SQL,
        **_path(path),
        **_chosen(filters),
        after_file=start[0],
        after_row=start[1],
        n=PER_PAGE,
    )
    here = [
        f"{files.index(Path(row.pop('filename')))}:{row.pop('file_row_number')}" for row in rows
    ]
    return {"pictures": rows, "after": here[-1] if len(rows) == PER_PAGE else ""}


def count(shelf: Shelf, path: Mapping[str, str], filters: Mapping[str, str]) -> dict[str, Any]:
    """How many pictures a path and filters choose, and of how many there are pixels."""
    return shelf.ask(COUNT_SQL, **_path(path), **_chosen(filters))[0]


def places(
    shelf: Shelf, path: Mapping[str, str], filters: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Pictures by cell of one degree, those with most first; coordinates as they are published."""
    return shelf.ask(MAP_SQL, **_path(path), **_chosen(filters), n=N_CELLS)


def search(shelf: Shelf, text: str) -> list[dict[str, Any]]:
    """Taxa by any of their names: those called so, then those whose name begins so, then the rest."""
    wanted = text.strip()
    is_short = not wanted or (wanted.isascii() and len(wanted) == 1)  # one letter finds nearly all
    return [] if is_short else shelf.ask(SEARCH_SQL, text=wanted, n=N_FOUND)


def _path(path: Mapping[str, str]) -> dict[str, Any]:
    """The parameter of a path, as `in_path` takes it."""
    said: dict[str, Any] = {level: path.get(level) for level in LEVELS}
    return {"path": said | {"depth": _depth(path)}}


def _depth(path: Mapping[str, str]) -> int:
    return max((LEVELS.index(level) + 1 for level in path), default=0)


def _chosen(filters: Mapping[str, str]) -> dict[str, Any]:
    """The parameter of the filters, as `is_chosen` takes it; null where nothing is asked."""
    said: dict[str, Any] = {name: filters.get(name) for name in FILTERS}
    years = {
        end: int(filters[end][:4]) if filters.get(end) else None for end in ("from_year", "to_year")
    }
    return {"chosen": said | years | {"with_pixels": filters.get("pixels") == "yes"}}
