"""How to cite a dataset: `citations.csv` for GBIF, `CITATION.cff` for people and reference managers.

GBIF's derived datasets ask for the keys of the datasets that records came from, with how many records each gave
(https://www.gbif.org/derived-dataset/about). CITATION.cff follows version 1.2.0 of the Citation File Format
(https://doi.org/10.5281/zenodo.5171937).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from catalog import sql

CSV_FILE, CFF_FILE = "citations.csv", "CITATION.cff"
BIOCLIP_2 = {
    "type": "article", "title": "BioCLIP 2: Emergent Properties from Scaling Hierarchical Contrastive Learning",
    "authors": [{"name": "Gu, Jianyang, et al."}], "year": 2025, "url": "https://arxiv.org/abs/2505.23883",
    "notes": "the method this dataset follows",
}  # fmt: skip

CITATIONS_SQL = """
select datasetKey, count(distinct source_id) as n_records, count(*) as n_images,
  any_value(coalesce(datasetName, '')) as datasetName
from catalog where keep and datasetKey is not null group by datasetKey order by datasetKey
"""


def citations(con: duckdb.DuckDBPyConnection, catalog: Path, folder: Path) -> None:
    """Write `citations.csv`: records and pictures of each dataset that has pixels here, by datasetKey."""
    rows = sql.query(con, CITATIONS_SQL, catalog=catalog).rows()
    lines = ["datasetKey,n_records,n_images,datasetName"]
    lines += [
        f"{_cell(key)},{n_records},{n_images},{_cell(name)}"
        for key, n_records, n_images, name in rows
    ]
    (folder / CSV_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def cff(folder: Path, *, title: str, release: str, licence: str, authors: Sequence[str],
        cited: Mapping[str, str]) -> None:  # fmt: skip
    """Write `CITATION.cff`; `cited` maps the name of a source or taxonomy to its citation."""
    said: dict[str, Any] = {
        "cff-version": "1.2.0", "type": "dataset", "title": title, "version": release,
        "message": "Cite this dataset, and the sources under references. Every picture keeps its own licence and "
                   f"credit line; {CSV_FILE} lists the GBIF datasets, ready for a derived-dataset DOI.",
        "authors": [{"name": author} for author in authors or (f"The makers of {title}",)],
        "license": licence, "keywords": ["biology", "taxonomy", "species", "images"],
        "references": [
            BIOCLIP_2,
            *({"type": "data", "title": name, "authors": [{"name": f"The publishers of {name}"}], "notes": text}
              for name, text in cited.items()),
        ],
    }  # fmt: skip
    lines = [f"{key}: {json.dumps(value)}" for key, value in said.items() if value]
    (folder / CFF_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula."""
    safe = f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text
    return '"' + safe.replace('"', '""') + '"'
