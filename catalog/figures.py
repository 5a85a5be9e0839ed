"""Figures of a dataset's card: a sheet of its pictures over the tree, and the long tail of its species."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from PIL import Image

from catalog import sql

SHEET_COLUMNS, SHEET_ROWS, TILE_PX = 8, 5, 160
INK, LEAF = "#22302a", "#2f7d4f"

SHEET_SQL = """
with taxon as (             -- one picture of each
  select kingdom, family, canonicalName, min(uuid) as uuid
  from catalog semi join thumbnails using (uuid) group by kingdom, family, canonicalName
),
numbered as (
  select uuid, row_number() over (order by kingdom, family, canonicalName, uuid) - 1 as place,
    count(*) over () as n_taxa
  from taxon
),
chosen as (
  select uuid, place from numbered
  where place * least($n_tiles, n_taxa) // n_taxa
     <> (place - 1) * least($n_tiles, n_taxa) // n_taxa or place = 0
)
select filename, file_row_number from thumbnails join chosen using (uuid) order by place
"""


def contact_sheet(con: duckdb.DuckDBPyConnection, meta_dir: Path) -> Image.Image | None:
    """Thumbnails spread over the tree: 8 × 5 tiles of 160 px, or None where there are none."""
    thumbnails = sql.Placed(sorted(meta_dir.glob("thumbnails-*.parquet")))
    if not thumbnails.paths:
        return None
    chosen = sql.query(con, SHEET_SQL, {"n_tiles": SHEET_COLUMNS * SHEET_ROWS}, thumbnails=thumbnails,
                       catalog=sorted(meta_dir.glob("catalog-*.parquet"))).rows()  # fmt: skip
    n_rows = -(-len(chosen) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * TILE_PX, n_rows * TILE_PX), "white")
    for i, (name, row) in enumerate(chosen):
        tile = Image.open(io.BytesIO(_thumbnail(Path(name), row))).convert("RGB")
        side = min(tile.size)
        left, top = (tile.width - side) // 2, (tile.height - side) // 2
        square = tile.crop((left, top, left + side, top + side)).resize((TILE_PX - 4, TILE_PX - 4))
        sheet.paste(square, (i % SHEET_COLUMNS * TILE_PX + 2, i // SHEET_COLUMNS * TILE_PX + 2))
    return sheet


def _thumbnail(path: Path, row: int) -> bytes:
    reader = pq.ParquetFile(path)
    for group in range(reader.num_row_groups):
        n_rows = reader.metadata.row_group(group).num_rows
        if row < n_rows:
            data: bytes = reader.read_row_group(group, ["thumbnail"])["thumbnail"][row].as_py()[
                "bytes"
            ]
            return data
        row -= n_rows
    raise IndexError(f"{path} has no such row")


def long_tail(species: Sequence[dict[str, Any]], path: Path) -> None:
    """Pictures of the species at each rank, on two logarithmic scales, as a PNG of 1,200 × 700 px."""
    from matplotlib.figure import Figure  # slow to import, and no display is asked for

    points = sorted((int(row["value"]), row["n_open"]) for row in species)
    figure = Figure(figsize=(8, 4.67), dpi=150)
    axes = figure.add_subplot()
    axes.plot(*zip(*points, strict=True), color=LEAF, marker="o", markersize=3)
    axes.set(xscale="log", yscale="log", xlabel="species, by their number of pictures (rank)",
             ylabel="pictures with pixels")  # fmt: skip
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(which="major", alpha=0.25)
    axes.tick_params(colors=INK)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})  # the same bytes for the same numbers
