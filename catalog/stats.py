"""Numbers about a dataset folder, for its card and for people: SQL over its own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from catalog import reasons, sql

SPLITS_SQL = """
select split, count(*) as n_images, count(distinct canonicalName) as n_taxa
from data group by split order by split
"""
RANKS_SQL = """
select count(*) as n_images, count(kingdom) as kingdom, count(phylum) as phylum,
  count("class") as "class", count("order") as "order", count(family) as family,
  count(genus) as genus, count(species) as species,
  count(distinct species) as n_species, count(distinct genus) as n_genera,
  count(distinct family) as n_families
from data
"""
LICENCES_SQL = """
select coalesce(license, license_status || ' (no SPDX id)') as licence, count(*) as n_images
from data group by licence order by n_images desc, licence
"""
SOURCES_SQL = "select source, count(*) as n_images from data group by source order by source"
KINGDOMS_SQL = """
select coalesce(kingdom, 'unknown') as kingdom, count(*) as n_images
from data group by kingdom order by n_images desc, kingdom
"""
RULES_SQL = """
select coalesce(match_rule, 'unresolved') as label_by, count(*) as n_images,
  round(100.0 * count(*) / sum(count(*)) over (), 1) as percent
from catalog group by label_by order by n_images desc, label_by
"""
COORDINATES_SQL = """
select coalesce(geoprivacy, 'no coordinates') as policy_and_action, count(*) as n_images
from catalog group by geoprivacy order by n_images desc, policy_and_action
"""
CONFLICTS_SQL = """
select cause, count(*) as n_lineages, sum(n_rows)::bigint as n_rows
from conflicts group by cause order by n_rows desc, cause
"""
REJECTS_SQL = """
select reject_stage, reject_reason, count(*) as n_rows
from rejects group by all order by n_rows desc, reject_stage, reject_reason
"""

_DATA = {"splits": SPLITS_SQL, "ranks": RANKS_SQL, "licences": LICENCES_SQL, "sources": SOURCES_SQL,
         "kingdoms": KINGDOMS_SQL}  # fmt: skip


def statistics(
    con: duckdb.DuckDBPyConnection, folder: Path, release: str
) -> dict[str, list[dict[str, Any]]]:
    """Tables of counts, by name: splits, ranks, licences, sources, kingdoms, rejects."""
    data = sorted((folder / "data" / release).rglob("*.parquet"))
    found = {name: [] if not data else sql.query(con, text, data=data).table().to_pylist()
             for name, text in _DATA.items()}  # fmt: skip
    meta = folder / "metadata" / release
    for name, table, text in (
        ("rules", "catalog", RULES_SQL),
        ("coordinates", "catalog", COORDINATES_SQL),
        ("conflicts", "conflicts", CONFLICTS_SQL),
    ):
        files = sorted(meta.glob(f"{table}-*.parquet"))
        found[name] = sql.Query(con, text, {table: files}).table().to_pylist()
    rejects = sorted((folder / "metadata" / release).glob("rejects-*.parquet"))
    left_out = sql.query(con, REJECTS_SQL, rejects=rejects).table().to_pylist()
    for row in left_out:
        row["meaning"] = reasons.meaning(row["reject_reason"])
        assert row["meaning"], f"the reject reason {row['reject_reason']!r} is in no glossary"
    found["rejects"] = left_out
    return found
