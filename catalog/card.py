"""The dataset's README: front matter that `load_dataset` follows, numbers, fields, and a picture.

Everything in it is computed from the folder it describes; names of fields and their meanings come
from the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from catalog import cite, croissant, figures, schema, stats
from catalog.load import features

SHEET_FILE, TAIL_FILE = "contact_sheet.jpg", "long_tail.png"
MOST = 30  # rows of a table of counts
_METADATA = {"catalog": schema.CATALOG, "taxa": schema.TAXA, "rejects": schema.REJECTS}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
          (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip


def describe(
    con: duckdb.DuckDBPyConnection, folder: Path, *, name: str, title: str, licence: str, release: str,
    authors: Sequence[str] = (), cited: Mapping[str, str] | None = None, prepared: Sequence[str] = (),
    private: bool = False,
) -> None:  # fmt: skip
    """Write what describes a finished dataset folder: README.md, its figures, CITATION.cff, croissant.json.

    `cited` maps the name of a source or taxonomy to its citation; `prepared` says what was done to the pictures.
    A `private` set has captions in place of taxa.
    """
    numbers, sources = stats.Numbers(con, folder, release), dict(cited or {})
    lines = stats.limits_of_captions(numbers) if private else stats.limits(numbers)
    shown = {}
    sheet = None if private else figures.contact_sheet(con, folder / "metadata" / release)
    if sheet is not None:
        sheet.save(folder / SHEET_FILE, "JPEG", quality=85)
        shown[SHEET_FILE] = "pictures of the dataset"
    if tail := numbers.facet("species_at"):
        figures.long_tail(tail, folder / TAIL_FILE)
        shown[TAIL_FILE] = "pictures per species, by rank"
    front = front_matter(folder, title=title, licence=licence, release=release, private=private)
    if private:
        body = _body_of_captions(numbers, lines, title=title, cited=sources, prepared=prepared)
    else:
        body = _body(
            numbers, lines, name=name, title=title, cited=sources, figures=shown, prepared=prepared
        )
    (folder / "README.md").write_text(f"---\n{front}---\n\n{body}", encoding="utf-8")
    cite.cff(folder, title=title, release=release, licence=licence, authors=authors, cited=sources)
    collected = "; ".join(
        f"{row['n_images']:,} pictures from {row['value']}" for row in numbers.facet("source")
    )
    croissant.write(folder, name=name, title=title, release=release, licence=licence, authors=authors, limits=lines,
                    collected=collected, prepared=prepared, private=private)  # fmt: skip


def front_matter(
    folder: Path, *, title: str, licence: str, release: str, private: bool = False
) -> str:
    """The YAML head of the card: configs, features and sizes."""
    splits = [s for s in schema.SPLITS if list((folder / "data" / release).rglob(f"{s}-*.parquet"))]
    configs, infos = [], []
    patterns = {s: f"data/{release}/*/{s}-*.parquet" for s in splits}
    if patterns:
        configs.append({"config_name": "default", "default": True,
                        "data_files": [{"split": s, "path": p} for s, p in patterns.items()]})  # fmt: skip
        infos.append(
            _info(folder, "default", schema.CAPTIONS if private else schema.DATA, patterns)
        )
    for config, table in _METADATA.items():
        pattern = f"metadata/{release}/{config}-*.parquet"
        configs.append({"config_name": config, "data_files": [{"split": "train", "path": pattern}]})
        infos.append(_info(folder, config, table, {"train": pattern}))
    n_images = sum(s["num_examples"] for s in infos[0]["splits"])
    kind = {
        "license": licence.lower(), "language": ["en", "la"],
        "task_categories": ["image-classification", "zero-shot-image-classification"],
        "tags": ["biology", "taxonomy", "species", "clip"],
    }  # fmt: skip
    if private:
        kind = {
            "license": "other",
            "task_categories": ["image-to-text"],
            "tags": ["captions", "private", "clip"],
        }
    head = {
        "pretty_name": title, **kind,
        "size_categories": [next((t for top, t in _SIZES if n_images < top), "n>1B")],
        "configs": configs, "dataset_info": infos,
    }  # fmt: skip
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())


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


def _body(
    numbers: stats.Numbers, lines: Sequence[str], *, name: str, title: str, cited: Mapping[str, str],
    figures: Mapping[str, str], prepared: Sequence[str],
) -> str:  # fmt: skip
    taxa = numbers.taxa()

    def n(rank: str) -> int:
        return int(taxa[rank]["n_taxa"]) if rank in taxa else 0

    n_open = sum(row["n_open"] for row in numbers.facet("source"))
    parts = [f"# {_plain(title)}\n"]
    parts += [f"![{text}]({file})\n" for file, text in figures.items() if file == SHEET_FILE]
    parts.append(
        f"{n_open:,} pictures with pixels; {n('species'):,} species, {n('genus'):,} genera, {n('family'):,} "
        "families in the catalogue. "
        "Every picture keeps its own licence and credit line (`license`, `attribution`); rows that "
        "may not be shipped stay in the config `catalog` with their address, and every row left out "
        "is in `rejects` with its reason. The licence in the head of this card is that of the compilation "
        "alone.\n"
    )
    parts.append('```python\nfrom datasets import load_dataset\n\n'
                 f'data = load_dataset("{name}")  # or the path of this folder\n```\n')  # fmt: skip
    if prepared:
        parts.append("## What was done\n\n" + "".join(f"- {_plain(line)}\n" for line in prepared))
    parts.append("## Known limits\n\n" + "".join(f"- {_plain(line)}\n" for line in lines))
    for heading, facet, head in _SECTIONS:
        parts.append(f"## {heading}\n\n{_table(_counted(numbers.facet(facet), head))}")
    completeness = [{"labelled to": rank, "pictures": taxa[rank]["n_images"], "with pixels": taxa[rank]["n_open"],
                     "taxa": taxa[rank]["n_taxa"]} for rank in schema.RANKS if rank in taxa]  # fmt: skip
    parts.append(f"## Label completeness\n\n{_table(completeness)}")
    for facet in numbers.lists():
        rows = [{"category": row["value"], "species listed": row["n_listed"], "of them with pixels": row["n_taxa"],
                 "percent": f"{100 * row['n_taxa'] / row['n_listed']:.1f}", "pictures with pixels": row["n_open"]}
                for row in numbers.facet(facet)]  # fmt: skip
        parts.append(f"## Coverage of the {_plain(facet)}\n\n{_table(rows)}")
    parts += [
        f"## The long tail\n\n![{text}]({file})\n"
        for file, text in figures.items()
        if file == TAIL_FILE
    ]
    parts.append(
        f"## Names read otherwise than their provider reads them\n\n{_table(numbers.conflicts())}"
    )
    parts.append(f"## Left out, and why\n\n{_table(numbers.rejects())}")
    parts.append(
        "Splits: groups of pictures (one organism, burst or near duplicate) never cross; `unseen` "
        "holds whole genera that are in no other split by their own groups.\n"
    )
    parts.append(_citing(title, cited))
    parts.append(_fields(schema.DATA))
    return "\n".join(parts)


def _body_of_captions(
    numbers: stats.Numbers, lines: Sequence[str], *, title: str, cited: Mapping[str, str], prepared: Sequence[str],
) -> str:  # fmt: skip
    def counted(facet: str) -> str:
        rows = _counted(numbers.facet(facet), facet)
        return _table(
            [{facet: row[facet], "pictures": row["pictures with pixels"]} for row in rows]
        )

    n_open = sum(row["n_open"] for row in numbers.facet("source"))
    parts = [
        f"# {_plain(title)}\n",
        f"A private set of {n_open:,} captioned web pictures for replay: with it a model that learns organisms keeps "
        "what it knew of everything else. It is for training on its owner's machines and is never published, since "
        "the licences of its pictures are unknown (`license` and `license_verbatim` say what was stated). Every row "
        "left out is in `rejects` with its reason.\n",
        '```python\nfrom datasets import load_dataset\n\n'
        'data = load_dataset("…")  # the path of this folder\n```\n',
        "## What was done\n\n" + "".join(f"- {_plain(line)}\n" for line in prepared),
        "## Known limits\n\n" + "".join(f"- {_plain(line)}\n" for line in lines),
        f"## Licences\n\n{counted('license')}",
        f"## What licences allow\n\n{counted('license_status')}",
        f"## Left out, and why\n\n{_table(numbers.rejects())}",
    ]  # fmt: skip
    if cited:
        told = "".join(f"- {_plain(name)}: {_plain(text)}\n" for name, text in cited.items())
        parts.append(f"## Sources\n\n{told}")
    return "\n".join([*parts, _fields(schema.CAPTIONS)])


def _fields(table: schema.Table) -> str:
    fields = [schema.FIELDS[n] for n in table.columns]
    rows = [{"field": f"`{f.name}`", "type": "image" if f.name == "image" else str(f.type),
             "unit": f.unit or "", "meaning": f.meaning, "term": f.term or "",
             "TreeOfLife-200M": f"`{f.tol200m}`" if f.tol200m else ""} for f in fields]  # fmt: skip
    return f"## Fields\n\n{_table(rows, is_ours=True)}"


_SECTIONS = (
    ("Splits", "split", "split"), ("Sources", "source", "source"), ("Kinds of record", "basisOfRecord", "basisOfRecord"),
    ("Image types", "image_type", "image_type"), ("Kingdoms", "kingdom", "kingdom"),
    ("Countries", "countryCode", "countryCode"), ("Years", "year", "year"), ("Licences", "license", "license"),
    ("What licences allow", "license_status", "license_status"),
    ("Labels, by the rule that settled them", "match_rule", "match_rule"), ("Ranks of labels", "taxonRank", "taxonRank"),
    ("Coordinates, by what the policy did to them", "geoprivacy", "geoprivacy"),
)  # fmt: skip


def _counted(rows: Sequence[dict[str, Any]], head: str) -> list[dict[str, Any]]:
    """Rows of a facet for people; what is beyond the first MOST of them in one line."""
    shown = [{head: "not stated" if row["value"] is None else row["value"], "pictures with pixels": row["n_open"],
              "in the catalogue": row["n_images"], "species": row["n_taxa"]} for row in rows[:MOST]]  # fmt: skip
    if rest := rows[MOST:]:
        shown.append({head: f"{len(rest):,} others", "pictures with pixels": sum(r["n_open"] for r in rest),
                      "in the catalogue": sum(r["n_images"] for r in rest), "species": ""})  # fmt: skip
    return shown


def _citing(title: str, cited: Mapping[str, str]) -> str:
    lines = [f"Cite {_plain(title)} (`CITATION.cff`), the datasets in `citations.csv` (ready for a GBIF derived "
             "dataset), the licence and credit line of every picture you show, and these sources:\n"]  # fmt: skip
    lines += [f"- {_plain(name)}: {_plain(text)}" for name, text in cited.items()]
    return "## How to cite\n\n" + "\n".join(lines) + "\n"


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
