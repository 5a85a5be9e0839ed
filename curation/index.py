"""What finds a taxon, a name, a picture or a number in the catalogue, and the catalogue in its order.

In   the joined catalogue with `keep`, the rejects, the taxonomies' names, the species of lists
Out  `metadata/<release>/{catalog,taxa,names,lookup,statistics}-*.parquet`

The catalogue is sorted by taxonomy, so that a taxon is a stretch of it; `lookup` is sorted by uuid and says
where in the catalogue, among the thumbnails and among the rejects a picture stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from catalog import artifact, schema, sql, stats

CATALOG_PER_FILE, CATALOG_PER_GROUP = 2_000_000, 20_000
LOOKUP_PER_GROUP = 50_000  # few enough groups to skip through, small enough to read

MACROS = """
create or replace macro plainly(text) as trim(lower(strip_accents(text)));
"""

ORDERED_SQL = """
select * from catalog
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, uuid
"""

TAXA_SQL = """
with counted as (
  select kingdom, phylum, "class", "order", family, genus, species, specificEpithet,
    infraspecificEpithet, taxonRank, canonicalName, any_value(scientificName) as scientificName,
    any_value(scientificNameAuthorship) as scientificNameAuthorship,
    any_value(vernacularName) as vernacularName, taxonID, taxonomy,
    count(*) as n_images, count(*) filter (keep) as n_open, min(uuid) filter (keep) as example
  from catalog where taxonomy is not null group by all
)
select c.*, p.thumbnail_row from counted c left join placed p on p.uuid = c.example
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonomy, taxonID
"""

NODE_SQL = """
with counted as (               -- every taxon on the way from a kingdom to what has pictures
  select kingdom, phylum, "class", "order", family, genus, species,
    grouping(phylum) + grouping("class") + grouping("order") + grouping(family) + grouping(genus)
      + grouping(species) as n_below,
    sum(n_images)::bigint as n_images, sum(n_open)::bigint as n_open
  from taxa group by grouping sets (
    (kingdom), (kingdom, phylum), (kingdom, phylum, "class"), (kingdom, phylum, "class", "order"),
    (kingdom, phylum, "class", "order", family), (kingdom, phylum, "class", "order", family, genus),
    (kingdom, phylum, "class", "order", family, genus, species))
),
higher as (
  select * exclude (n_below), false as is_lower, ['species', 'genus', 'family', 'order', 'class', 'phylum', 'kingdom'][n_below + 1]
      as taxonRank,
    [species, genus, family, "order", "class", phylum, kingdom][n_below + 1] as canonicalName
  from counted
),
lower_ as (                    -- subspecies, and taxa of ranks between
  select kingdom, phylum, "class", "order", family, genus, species, sum(n_images)::bigint as n_images,
    sum(n_open)::bigint as n_open, any_value(taxonRank) as taxonRank, canonicalName, true as is_lower
  from taxa
  where canonicalName <> coalesce(species, genus, family, "order", "class", phylum, kingdom, '')
  group by kingdom, phylum, "class", "order", family, genus, species, canonicalName
)
select * from higher where canonicalName is not null union all by name select * from lower_
order by kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonRank
"""

NAMES_SQL = """
with bearer as (                -- the ids of a node: as its pictures were labelled, and by name and rank
  select n.* exclude (n_images, n_open, is_lower), t.taxonomy, t.taxonID
  from node n join taxa t on t.canonicalName = n.canonicalName and t.taxonRank = n.taxonRank
    and t.kingdom is not distinct from n.kingdom and t.genus is not distinct from n.genus
  union
  select n.* exclude (n_images, n_open, is_lower), t.taxonomy, t.taxonID
  from node n join taxon t on t.canonicalName = n.canonicalName and t.taxonRank = n.taxonRank
    and t.kingdom is not distinct from n.kingdom and t.acceptedNameUsageID is null
    and t.family is not distinct from n.family
),
said as (
  select verbatimScientificName, kingdom, phylum, "class", "order", family, genus, species, canonicalName, taxonRank
  from catalog where canonicalName is not null and verbatimScientificName is not null group by all
),
called as (
  select canonicalName as "name", 'accepted' as name_kind, null::varchar as "language", n.* exclude (n_images, n_open, is_lower)
  from node n
  union all by name
  select s.canonicalName as "name", 'synonym' as name_kind, b.* exclude (taxonomy, taxonID)
  from bearer b join taxon s on s.taxonomy = b.taxonomy and s.acceptedNameUsageID = b.taxonID
  union all by name
  select v.vernacularName as "name", 'vernacular' as name_kind, v."language", b.* exclude (taxonomy, taxonID)
  from bearer b join common v on v.taxonomy = b.taxonomy and v.taxonID = b.taxonID
  union all by name
  select s.verbatimScientificName as "name", 'verbatim' as name_kind, s.* exclude (verbatimScientificName) from said s
),
once as (
  select plainly("name") as search_key, c."name", name_kind, "language", taxonRank, canonicalName,
    kingdom, phylum, "class", "order", family, genus, species
  from called c where "name" is not null
    and not ("name" = canonicalName and name_kind in ('synonym', 'verbatim'))
  group by all
)
select o.*, n.n_images, n.n_open
from once o join node n on n.canonicalName = o.canonicalName and n.taxonRank is not distinct from o.taxonRank
  and n.kingdom is not distinct from o.kingdom and n.phylum is not distinct from o.phylum
  and n."class" is not distinct from o."class" and n."order" is not distinct from o."order"
  and n.family is not distinct from o.family and n.genus is not distinct from o.genus
  and n.species is not distinct from o.species
order by search_key, o."name", name_kind, "language", o.kingdom, o.phylum, o."class", o."order", o.family,
  o.genus, o.species, o.canonicalName, o.taxonRank
"""

LOOKUP_SQL = """
with stands as (
  select uuid, group_id, catalog_row, thumbnail_row, null::bigint as rejects_row from placed
),
refused as (
  select uuid, duplicate_of, file_row_number as rejects_row from rejects
)
select uuid as key, true as is_own, catalog_row, thumbnail_row, rejects_row from stands
union all by name select group_id as key, false as is_own, catalog_row, thumbnail_row from stands where group_id <> uuid
union all by name select uuid as key, true as is_own, rejects_row from refused where uuid is not null
union all by name select duplicate_of as key, false as is_own, rejects_row from refused where duplicate_of is not null
order by key, catalog_row, rejects_row
"""


def index(
    con: duckdb.DuckDBPyConnection, joined: Path, meta: Path, work: Path, *, rejects: Path, taxon: Sequence[Path],
    common: Sequence[Path], listed: sql.Input,
) -> None:  # fmt: skip
    """The catalogue in its order, and what finds a taxon, a name, a picture or a number in it."""
    con.execute(MACROS)
    placed, node = work / "placed.parquet", work / "node.parquet"
    for file in ordered(con, joined, meta, placed):
        artifact.check(file, schema.CATALOG)
    path = {t.name: meta / f"{t.name}-000000.parquet" for t in (schema.TAXA, schema.NAMES, schema.LOOKUP,
                                                                schema.STATISTICS)}  # fmt: skip
    sql.query(con, TAXA_SQL, catalog=joined, placed=placed).copy_to(path["taxa"], CATALOG_PER_GROUP)
    sql.query(con, NODE_SQL, taxa=path["taxa"]).copy_to(node)
    sql.query(con, NAMES_SQL, node=node, taxa=path["taxa"], catalog=joined, taxon=list(taxon) or schema.TAXON.empty(),
              common=list(common) or schema.VERNACULAR.empty()).copy_to(path["names"], CATALOG_PER_GROUP)  # fmt: skip
    sql.query(con, LOOKUP_SQL, placed=placed, rejects=sql.Placed([rejects])).copy_to(
        path["lookup"], LOOKUP_PER_GROUP
    )
    stats.statistics(con, catalog=joined, rejects=rejects, listed=listed, node=node).copy_to(
        path["statistics"]
    )
    for name, made in path.items():
        artifact.check(made, schema.TABLES[name])


def ordered(con: duckdb.DuckDBPyConnection, joined: Path, meta: Path, placed: Path) -> list[Path]:
    """Write the catalogue by taxonomy, in files whose footers stay small, and where each picture stands.

    `placed` gets uuid, group_id, catalog_row and thumbnail_row: positions from 0 over all files, the second
    among the pictures with pixels alone. Returns the files, one at least.
    """
    where = pa.schema([("uuid", schema.STR), ("group_id", schema.STR), ("catalog_row", schema.I64),
                       ("thumbnail_row", schema.I64)])  # fmt: skip
    paths, n_shown, writer = list[Path](), 0, None
    with sql.parquet_writer(placed, where) as places:
        for first, table in _groups(sql.query(con, ORDERED_SQL, catalog=joined), CATALOG_PER_GROUP):
            if first % CATALOG_PER_FILE == 0:
                if writer is not None:
                    writer.close()
                paths.append(meta / f"catalog-{len(paths):06d}.parquet")
                writer = sql.parquet_writer(paths[-1], schema.CATALOG.schema)
            assert writer is not None
            keep = table["keep"].combine_chunks()
            so_far = pc.cumulative_sum(keep.cast(pa.int64()))
            at = pc.if_else(keep, pc.add(so_far, n_shown - 1), None)
            rows = pa.array(range(first, first + table.num_rows), pa.int64())
            places.write_table(pa.table([table["uuid"], table["group_id"], rows, at], schema=where))
            table = table.append_column("thumbnail_row", at).select(schema.CATALOG.columns)
            writer.write_table(table.cast(schema.CATALOG.schema))
            n_shown += pc.sum(keep).as_py() or 0
    if writer is None:
        paths.append(meta / "catalog-000000.parquet")
        writer = sql.parquet_writer(paths[0], schema.CATALOG.schema)
    writer.close()
    return paths


def _groups(query: sql.Query, n_rows: int) -> Iterator[tuple[int, pa.Table]]:
    """The result in tables of exactly `n_rows` rows (the last may be shorter), each with its first row."""
    held, n_held, first = list[pa.RecordBatch](), 0, 0
    for batch in query.batches(n_rows):
        held.append(batch)
        n_held += batch.num_rows
        while n_held >= n_rows:
            table = pa.Table.from_batches(held)
            yield first, table.slice(0, n_rows)
            first, n_held = first + n_rows, n_held - n_rows
            held = table.slice(n_rows).to_batches()
    if n_held:
        yield first, pa.Table.from_batches(held)
