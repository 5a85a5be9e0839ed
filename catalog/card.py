"""The dataset's README: front matter that `load_dataset` follows, numbers, fields, and a picture.

Everything in it is computed from the folder it describes; names of fields and their meanings come
from the schema.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from PIL import Image

from catalog import schema, sql, stats
from catalog.load import features

SHEET_COLUMNS, SHEET_ROWS, TILE_PX = 8, 5, 160
_METADATA = {"catalog": schema.CATALOG, "taxa": schema.TAXA, "rejects": schema.REJECTS}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip


def describe(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    name: str,
    title: str,
    licence: str,
    release: str,
) -> None:
    """Write README.md and contact_sheet.jpg into a finished dataset folder."""
    numbers = stats.statistics(con, folder, release)
    front = front_matter(folder, title=title, licence=licence, release=release)
    sheet = contact_sheet(con, folder / "metadata" / release)
    if sheet is not None:
        sheet.save(folder / "contact_sheet.jpg", "JPEG", quality=85)
    body = _body(numbers, name=name, title=title, with_sheet=sheet is not None)
    (folder / "README.md").write_text(f"---\n{front}---\n\n{body}", encoding="utf-8")


def front_matter(folder: Path, *, title: str, licence: str, release: str) -> str:
    """The YAML head of the card: configs, features and sizes."""
    splits = [s for s in schema.SPLITS if list((folder / "data" / release).rglob(f"{s}-*.parquet"))]
    configs, infos = [], []
    patterns = {s: f"data/{release}/*/{s}-*.parquet" for s in splits}
    if patterns:
        configs.append({"config_name": "default", "default": True,
                        "data_files": [{"split": s, "path": p} for s, p in patterns.items()]})  # fmt: skip
        infos.append(_info(folder, "default", schema.DATA, patterns))
    for config, table in _METADATA.items():
        pattern = f"metadata/{release}/{config}-*.parquet"
        configs.append({"config_name": config, "data_files": [{"split": "train", "path": pattern}]})
        infos.append(_info(folder, config, table, {"train": pattern}))
    n_images = sum(s["num_examples"] for s in infos[0]["splits"])
    head = {
        "pretty_name": title, "license": licence.lower(), "language": ["en", "la"],
        "task_categories": ["image-classification", "zero-shot-image-classification"],
        "tags": ["biology", "taxonomy", "species", "clip"],
        "size_categories": [next((t for top, t in _SIZES if n_images < top), "n>1B")],
        "configs": configs, "dataset_info": infos,
    }  # fmt: skip
    return "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in head.items()
    )


def _info(
    folder: Path, config: str, table: schema.Table, patterns: dict[str, str]
) -> dict[str, Any]:
    listed = []
    for split, pattern in patterns.items():
        files = sorted(folder.glob(pattern))
        listed.append({"name": split, "num_bytes": sum(f.stat().st_size for f in files),
                       "num_examples": sum(pq.read_metadata(f).num_rows for f in files)})  # fmt: skip
    n_bytes = sum(s["num_bytes"] for s in listed)
    kinds = [{"name": n, "dtype": "image" if f["_type"] == "Image" else f["dtype"]}
             for n, f in features(table).items()]  # fmt: skip
    return {"config_name": config, "features": kinds, "splits": listed,
            "download_size": n_bytes, "dataset_size": n_bytes}  # fmt: skip


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


def _body(
    numbers: dict[str, list[dict[str, Any]]], *, name: str, title: str, with_sheet: bool
) -> str:
    ranks = numbers["ranks"][0] if numbers["ranks"] else {"n_images": 0}
    parts = [f"# {_plain(title)}\n"]
    if with_sheet:
        parts.append("![pictures of the dataset](contact_sheet.jpg)\n")
    parts.append(
        f"{ranks['n_images']:,} pictures with pixels, {ranks.get('n_species', 0):,} species, "
        f"{ranks.get('n_genera', 0):,} genera, {ranks.get('n_families', 0):,} families. "
        "Every picture keeps its own licence and credit line (`license`, `attribution`); rows that "
        "may not be shipped stay in the config `catalog` with their address, and every row left out "
        "is in `rejects` with its reason. The licence in the head of this card is that of the compilation "
        "alone.\n"
    )
    parts.append('```python\nfrom datasets import load_dataset\n\n'
                 f'data = load_dataset("{name}")  # or the path of this folder\n```\n')  # fmt: skip
    for heading, key in (("Splits", "splits"), ("Sources", "sources"), ("Kingdoms", "kingdoms"),
                         ("Licences", "licences"), ("Labels, by the rule that settled them", "rules"),
                         ("Names read otherwise than their provider reads them", "conflicts"),
                         ("Coordinates, by what the policy did to them", "coordinates"),
                         ("Left out, and why", "rejects")):  # fmt: skip
        parts.append(f"## {heading}\n\n{_table(numbers[key])}\n")
    parts.append(
        "Splits: groups of pictures (one organism, burst or near duplicate) never cross; `unseen` "
        "holds whole genera that are in no other split by their own groups. `image_type`, "
        "`museum_label`, `museum_score`, `animal_score` and `face_score` are null in this release: "
        "the filters that fill them are not part of it yet.\n"
    )
    fields = [schema.FIELDS[n] for n in schema.DATA.columns]
    rows = [{"field": f"`{f.name}`", "type": "image" if f.name == "image" else str(f.type),
             "unit": f.unit or "", "meaning": f.meaning, "term": f.term or "",
             "TreeOfLife-200M": f"`{f.tol200m}`" if f.tol200m else ""} for f in fields]  # fmt: skip
    parts.append(f"## Fields\n\n{_table(rows, is_ours=True)}\n")
    return "\n".join(parts)


def _table(rows: list[dict[str, Any]], *, is_ours: bool = False) -> str:
    """A Markdown table; what others wrote shows as text, `is_ours` may hold Markdown."""
    if not rows:
        return "none\n"
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    shown = _escaped if is_ours else _plain
    lines += ["| " + " | ".join(shown(row[h]) for h in heads) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    """Text that Markdown and HTML show as it is."""
    text = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", _escaped(value)
    )
    return re.sub(r"[`*\[\]~#!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", text)


def _escaped(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
    for old, new in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("\n", " "),
    ):
        text = text.replace(old, new)
    return text
