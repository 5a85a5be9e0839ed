"""Numbers about a dataset: the published table `statistics`, and what a card or a page shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from catalog import reasons, sql

FACETS = ("source", "image_type", "license", "license_status", "kingdom", "taxonRank", "countryCode", "year",
          "basisOfRecord", "sex", "lifeStage", "match_rule", "match_reason", "geoprivacy", "split", "media_type")  # fmt: skip

NEAR_REMAIN = (
    "Near-duplicates that were turned, framed, or cropped by more than a few percent may remain."
)

FACET_SQL = """
with seen as (                  -- DuckDB reads the one column that the facet names
  select keep, species as of_species, case $facet
    when 'source' then source when 'image_type' then image_type when 'license' then license
    when 'license_status' then license_status when 'kingdom' then kingdom when 'taxonRank' then taxonRank
    when 'countryCode' then countryCode when 'year' then nullif(regexp_extract(eventDate, '^[0-9]{4}'), '')
    when 'basisOfRecord' then basisOfRecord when 'sex' then sex when 'lifeStage' then lifeStage
    when 'match_rule' then coalesce(match_rule, 'unresolved') when 'match_reason' then match_reason
    when 'geoprivacy' then geoprivacy when 'split' then split when 'media_type' then media_type end as "value"
  from catalog
),
by_species as (
  select "value", of_species, count(*) as n_images, count(*) filter (keep) as n_open from seen group by all
)
select $facet as facet, "value", sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open,
  count(of_species) as n_taxa
from by_species group by "value" order by "value"
"""

SQL = """
with ranked as (                     -- how far pictures are labelled, and how many taxa of each rank that makes
  select 'taxa' as facet, taxonRank as "value", sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open,
    count(distinct (kingdom, canonicalName)) as n_taxa
  from node where not is_lower group by taxonRank
),
of_species as (
  select kingdom, canonicalName as species, sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open
  from node where taxonRank = 'species' and not is_lower group by all
),
species as (
  select n_images, n_open, row_number() over (order by n_open desc, n_images desc, kingdom, species) as place,
    count(*) over () as n_taxa
  from of_species where n_open > 0
),
tail as (                       -- the long tail: pictures of the species at a rank, ranks spread evenly in their logarithm
  select 'species_at' as facet, place::varchar as "value", n_images, n_open from species
  where place = 1 or place = n_taxa or floor(12 * log10(place)) <> floor(12 * log10(place - 1))
),
bins as (                       -- species by their pictures: 1, 2 to 3, 4 to 7, …
  select 'species_with' as facet, (2 ** floor(log2(n_open)))::bigint::varchar as "value",
    sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open, count(*) as n_taxa
  from species group by "value"
),
refused as (
  select 'reject' as facet, reject_stage || '/' || reject_reason as "value", count(*) as n_images
  from rejects group by all
),
named as (                      -- a species once in each category of each list
  select distinct list, category, kingdom, coalesce(species, verbatimScientificName) as species from listed
),
met as (
  select l.list, l.category, l.kingdom, l.species, coalesce(sum(n.n_images), 0)::bigint as n_images,
    coalesce(sum(n.n_open), 0)::bigint as n_open
  from named l left join of_species n
    on n.species = l.species and n.kingdom is not distinct from coalesce(l.kingdom, n.kingdom)
  group by all
),
covered as (
  select 'list: ' || list as facet, category as "value", sum(n_images)::bigint as n_images,
    sum(n_open)::bigint as n_open, count(*) filter (n_open > 0) as n_taxa, count(*) as n_listed
  from met group by all
)
select facet, "value", n_images, n_open, n_taxa, n_listed from (
  select *, null::bigint as n_listed from faceted
  union all by name select * from ranked
  union all by name select * from tail
  union all by name select * from bins
  union all by name select * from refused
  union all by name select * from covered
)
order by facet, "value"
"""

TABLE_SQL = """
select "value", n_images, n_open, n_taxa, n_listed from statistics where facet = $facet
order by n_open desc nulls last, n_images desc, "value"
"""

LISTS_SQL = (
    "select distinct facet from statistics where starts_with(facet, 'list: ') order by facet"
)

CONFLICTS_SQL = """
select cause, count(*) as n_lineages, sum(n_rows)::bigint as n_rows
from conflicts group by cause order by n_rows desc, cause
"""

KNOWN_SQL = """
select count(*) as n_images, count(*) filter (decimalLatitude is not null) as n_placed,
  count(eventDate) as n_dated, count(sex) as n_sexed, count(lifeStage) as n_staged,
  count(*) filter (coalesce(creator, rightsHolder) is not null) as n_credited,
  count(vernacularName) as n_vernacular, count(museum_score) as n_museum, count(animal_score) as n_animal,
  count(face_score) as n_face
from catalog
"""


def statistics(
    con: duckdb.DuckDBPyConnection, *, catalog: sql.Input, rejects: sql.Input, listed: sql.Input, node: sql.Input
) -> sql.Query:  # fmt: skip
    """schema.STATISTICS of a catalogue with `keep`, its rejects, its tree and the lists of the recipe."""
    counts = [
        sql.query(con, FACET_SQL, {"facet": facet}, catalog=catalog).table() for facet in FACETS
    ]
    return sql.query(
        con, SQL, faceted=pa.concat_tables(counts), rejects=rejects, listed=listed, node=node
    )


class Numbers:
    """What the published tables of a dataset folder say about it."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, release: str) -> None:
        self._con, self._meta = con, folder / "metadata" / release

    def _files(self, table: str) -> list[Path]:
        return sorted(self._meta.glob(f"{table}-*.parquet"))

    def facet(self, name: str) -> list[dict[str, Any]]:
        """Rows of one facet, most pictures with pixels first."""
        query = sql.query(
            self._con, TABLE_SQL, {"facet": name}, statistics=self._files("statistics")
        )
        return [dict(row) for row in query.table().to_pylist()]

    def lists(self) -> list[str]:
        """The facets of lists of species."""
        return [
            name
            for (name,) in sql.query(
                self._con, LISTS_SQL, statistics=self._files("statistics")
            ).rows()
        ]

    def rejects(self) -> list[dict[str, Any]]:
        """Rows left out by stage and reason, with the reason in words."""
        found = []
        for row in self.facet("reject"):
            stage, _, reason = row["value"].partition("/")
            meaning = reasons.meaning(reason)
            assert meaning, f"the reject reason {reason!r} is in no glossary"
            found.append(
                {
                    "reject_stage": stage,
                    "reject_reason": reason,
                    "n_rows": row["n_images"],
                    "meaning": meaning,
                }
            )
        return found

    def conflicts(self) -> list[dict[str, Any]]:
        """Lineages read otherwise than their provider reads them, by cause."""
        return [
            dict(r)
            for r in sql.query(self._con, CONFLICTS_SQL, conflicts=self._files("conflicts"))
            .table()
            .to_pylist()
        ]

    def known(self) -> dict[str, int]:
        """Rows of the catalogue that state a place, a date, a sex, …"""
        (row,) = sql.query(self._con, KNOWN_SQL, catalog=self._files("catalog")).table().to_pylist()
        return dict(row)

    def taxa(self) -> dict[str, dict[str, int]]:
        """Pictures labelled at least to a rank, and taxa of it, by rank."""
        return {row["value"]: row for row in self.facet("taxa")}


def limits(numbers: Numbers) -> list[str]:
    """What a user should know before trusting the dataset, each line from its numbers."""
    known, found = numbers.known(), list[str]()
    n_all = known["n_images"]
    if not n_all:
        return ["The dataset is empty."]

    def share(n: int, of: int = n_all) -> str:
        return f"{100 * n / of:.1f} %" if of else "none"

    for facet, words in (("kingdom", "are of the kingdom"), ("countryCode", "were taken in the country"),
                         ("source", "come from the source")):  # fmt: skip
        stated = [row for row in numbers.facet(facet) if row["value"] is not None]
        if stated:
            most = max(stated, key=lambda row: (row["n_images"], row["value"]))
            found.append(f"{share(most['n_images'])} of the pictures {words} {most['value']}.")
    bins = {int(row["value"]): row for row in numbers.facet("species_with")}
    if n_species := sum(row["n_taxa"] for row in bins.values()):
        n_few = sum(row["n_taxa"] for least, row in bins.items() if least < 8)
        found.append(
            f"{share(n_few, n_species)} of the {n_species:,} species have fewer than 8 pictures with pixels."
        )
    species = numbers.taxa().get("species", {"n_images": 0})
    found.append(f"{share(species['n_images'])} of the pictures are labelled to species.")
    rules = {row["value"]: row["n_images"] for row in numbers.facet("match_rule")}
    found.append(f"{share(rules.get('provider', 0))} carry the label of their provider, which no loaded taxonomy confirms; "
                 f"{share(rules.get('unresolved', 0))} have none; labels are as right as their providers'.")  # fmt: skip
    found.append(f"{share(known['n_placed'])} state a place, {share(known['n_dated'])} a date, {share(known['n_sexed'])} "
                 f"a sex, {share(known['n_staged'])} a life stage, {share(known['n_vernacular'])} a common name.")  # fmt: skip
    found.append(f"{share(n_all - known['n_credited'])} name neither creator nor rights holder.")
    untyped = sum(row["n_images"] for row in numbers.facet("image_type") if row["value"] is None)
    found.append(f"{share(untyped)} say nothing of what kind of picture they are (image_type).")
    for field, words in (("n_museum", "have been looked at for labels and other pictures of no organism (museum_label)"),
                         ("n_animal", "have been looked at for an animal (animal_score, of camera traps only)"),
                         ("n_face", "have been searched for faces of people (face_score)")):  # fmt: skip
        found.append(f"{share(known[field])} {words}.")
    found.append(NEAR_REMAIN)
    return found


def limits_of_captions(numbers: Numbers) -> list[str]:
    """The same of a private set of captioned pictures."""
    statuses = {row["value"]: row["n_images"] for row in numbers.facet("license_status")}
    n_all = sum(statuses.values())
    if not n_all:
        return ["The dataset is empty."]
    return [
        f"{100 * statuses.get('open', 0) / n_all:.1f} % of the pictures are under an open licence, "
        f"{100 * statuses.get('unknown', 0) / n_all:.1f} % under none that is stated and can be read.",
        "Captions are the words that stood with the pictures on the web: nobody checked them, and they may be wrong, "
        "offensive or in any language.",
        "People may be in the pictures and be named in the captions.",
        NEAR_REMAIN,
    ]
