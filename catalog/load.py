"""Load a dataset of this contract with `datasets`, from a folder or a Hub repository.

from catalog.load import load
train = load("treeoflife-data/datasets/sample")["train"]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import schema

CONFIGS = ("default", "catalog", "taxa", "rejects")


def load(
    place: str | Path,
    *,
    config: str = "default",
    split: str | None = None,
    streaming: bool = False,
    names: str = "ours",
    **options: Any,
) -> Any:
    """A `DatasetDict` (or one split) of the dataset at `place`.

    `config` is default (pictures), catalog, taxa or rejects. `names="treeoflife-200m"` gives the
    original's column names and meanings, for code written against it: `species` is the epithet,
    unknown text is "". Raises ValueError for an unknown config, for a folder that is no dataset, and
    for a dataset of another schema version.
    """
    import datasets

    if config not in CONFIGS:
        raise ValueError(f"config {config!r} is unknown; choose one of {', '.join(CONFIGS)}")
    if names not in ("ours", "treeoflife-200m"):
        raise ValueError(f"names {names!r} is unknown; choose ours or treeoflife-200m")
    _check_version(place)
    data = datasets.load_dataset(str(place), config, split=split, streaming=streaming, **options)
    return _older(data) if names == "treeoflife-200m" else data


def features(table: schema.Table) -> dict[str, Any]:
    """The features of a table as `datasets` writes them in cards and parquet metadata."""
    return {name: _feature(schema.FIELDS[name].type) for name in table.columns}


def hub_metadata(table: schema.Table) -> dict[bytes, bytes]:
    """Parquet key-value metadata that lets `load_dataset` see pictures with no card at all."""
    info = json.dumps({"info": {"features": features(table)}})
    version = schema.VERSION.encode()
    return {b"huggingface": info.encode(), b"treeoflife_schema": version}


def _feature(kind: pa.DataType) -> dict[str, str]:
    if kind.equals(schema.IMAGE):
        return {"_type": "Image"}
    names = {"double": "float64"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _check_version(place: str | Path) -> None:
    path = Path(place)
    if path.is_dir():
        card = path / "manifest.json"
        if not card.is_file():
            raise ValueError(f"{path} is a folder but no dataset: it has no manifest.json")
        found = json.loads(card.read_text()).get("schema_version")
    else:
        from huggingface_hub import hf_hub_download

        local = hf_hub_download(str(place), "manifest.json", repo_type="dataset")
        found = json.loads(Path(local).read_text()).get("schema_version")
    if found != schema.VERSION:
        raise ValueError(
            f"{place} has schema version {found!r}, this code reads {schema.VERSION!r}; "
            "install the version of treeoflife that wrote it"
        )


_OLDER = {field.tol200m: name for name, field in schema.FIELDS.items() if field.tol200m}
_TEXT_OLDER = ("kingdom", "phylum", "class", "order", "family", "genus", "species", "common")


def _older(data: Any) -> Any:
    """The original's names over our rows; what it had no column for keeps its name."""
    if isinstance(data, dict):
        return type(data)({split: _older(part) for split, part in data.items()})
    have = set(data.column_names or ())
    moved = {old: new for old, new in _OLDER.items() if new in have and old not in (new, None)}
    dropped = [name for name in ("species",) if name in have and "specificEpithet" in have]
    data = data.remove_columns(dropped) if dropped else data
    data = data.rename_columns({new: old for old, new in moved.items() if old != new})
    text = [name for name in _TEXT_OLDER if name in (data.column_names or ())]

    def filled(row: dict[str, Any]) -> dict[str, Any]:
        return {name: row[name] or "" for name in text}

    return data.map(filled) if text else data
