"""Whose keys lead where: loaded taxonomies, the checklists their ids answer to, and mappings.

GBIF's backbone was frozen in 2023; its rows carry numeric keys of that checklist, newer ones the
alphanumeric ids of the Catalogue of Life. A row resolves by its key where a loaded taxonomy is that
checklist, or comes with a table that leads from the backbone's keys to its own ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from catalog import schema

GBIF_BACKBONE = "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"


@dataclass(frozen=True)
class Authority:
    """A loaded taxonomy: its name, and which checklist's keys its ids (or its mapping) answer to."""

    name: str
    checklist_key: str = ""
    mapping: Path | None = None


def tables(authorities: Sequence[Authority]) -> tuple[pa.Table, pa.Table]:
    """Whose keys lead where: by taxonomy and checklist, directly or through a mapping."""
    keyed = [{"taxonomy": a.name, "checklistKey": a.checklist_key, "mapped": False}
             for a in authorities if a.checklist_key]  # fmt: skip
    mapped = [a for a in authorities if a.mapping is not None]
    keyed += [{"taxonomy": a.name, "checklistKey": GBIF_BACKBONE, "mapped": True} for a in mapped]
    pairs = [{"taxonomy": a.name, "checklistKey": GBIF_BACKBONE, "taxonKey": old, "taxonID": new}
             for a in mapped if a.mapping for old, new in _mapping(a.mapping)]  # fmt: skip
    text = schema.STR
    return (
        pa.Table.from_pylist(keyed, schema=pa.schema(
            [("taxonomy", text), ("checklistKey", text), ("mapped", schema.BOOL)])),
        pa.Table.from_pylist(pairs, schema=pa.schema(
            [("taxonomy", text), ("checklistKey", text), ("taxonKey", text), ("taxonID", text)])),
    )  # fmt: skip


def _mapping(path: Path) -> list[tuple[str, str]]:
    """(old key, new id) of a table of two columns, split by tab, comma or semicolon, header or none."""
    pairs = []
    with path.open(encoding="utf-8-sig") as lines:
        for n, line in enumerate(lines):
            parts = [part.strip().strip('"') for part in re.split("[\t,;]", line.rstrip("\n"))]
            header = n == 0 and not parts[0].isdecimal()
            if len(parts) > 1 and parts[0] and parts[1] and not header:
                pairs.append((parts[0], parts[1]))
    if not pairs:
        raise ValueError(
            f"{path} holds no pairs of a GBIF backbone key and an id; is it the mapping?"
        )
    return pairs
