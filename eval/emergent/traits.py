"""Traits of species from a table that people have: AVONET's beaks, a diet, a habitat; a number or a class for each species.

A CSV or TSV (.gz, too) or a parquet file with a column of names, one of NAMES, and a column per trait. What is a number
in every row is a number, unless there are but two; what has at most MAX_CLASSES values is a class. Of several rows of a
species numbers are averaged, and of classes the commonest counts.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.toml_tree import nearest
from eval.examples import read

NAMES = ("species", "scientificName", "scientific_name", "canonicalName", "Species1", "Species2", "Species3", "taxon")  # fmt: skip
ABSENT = {"", "na", "nan", "none", "null", "unknown"}
MAX_CLASSES = 12
MAX_UNNAMED = 12  # traits of a table that are all looked at unless some are named


@dataclass(frozen=True)
class Trait:
    """A trait by species: numbers, or names of classes."""

    name: str
    values: Mapping[str, float] | Mapping[str, str]
    is_number: bool


def traits(path: Path, wanted: Sequence[str] = ()) -> list[Trait]:
    """The traits of a table, those that are named or all of them.

    Raises ValueError without a column of names, for a trait that is not there or is neither number nor class, and
    where a table has more traits than anybody would look at and none is named.
    """
    fields, rows = _table(path)
    key = next((name for name in NAMES if name in fields), None)
    if key is None:
        raise ValueError(f"{path} has no column of names ({', '.join(NAMES)}); it has {', '.join(fields)}")  # fmt: skip
    for name in wanted:
        if name not in fields:
            raise ValueError(f"{path} has no trait {name!r}{nearest(name, fields)}")
    names = [binomial(str(row[key] or "")) for row in rows]
    found = []
    for field in wanted or [f for f in fields if f not in NAMES]:
        made = _trait(field, names, [row[field] for row in rows])
        if made is not None:
            found.append(made)
        elif field in wanted:
            raise ValueError(f"{path}: {field!r} is no trait: neither a number throughout nor one of 2 to {MAX_CLASSES} classes")  # fmt: skip
    if not found:
        raise ValueError(f"{path} has no column that is a trait")
    if not wanted and len(found) > MAX_UNNAMED:
        raise ValueError(f"{path} has {len(found)} traits: name some with --trait: {', '.join(one.name for one in found)}")  # fmt: skip
    return found


def binomial(name: str) -> str:
    """Genus and epithet of a name, without what stands behind; hybrids whole, for they are neither parent."""
    words = name.replace("_", " ").split()
    return " ".join(words if {"x", "×"} & {word.lower() for word in words} or any("×" in word for word in words) else words[:2])  # fmt: skip


def _table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    if path.suffix != ".parquet":
        fields, rows = read(path)
        return fields, [dict(row) for row in rows]
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return list(table.column_names), table.to_pylist()


def _trait(name: str, species: Sequence[str], values: Sequence[Any]) -> Trait | None:
    said = [(s, str(v).strip()) for s, v in zip(species, values, strict=True) if s and str(v).strip().lower() not in ABSENT and v is not None]  # fmt: skip
    numbers = [(s, _number(v)) for s, v in said]
    kinds = {v for _, v in said}
    if said and all(v is not None for _, v in numbers) and len(kinds) > 2:
        by_species: dict[str, list[float]] = {}
        for s, v in numbers:
            by_species.setdefault(s, []).append(v)  # type: ignore[arg-type]  # none is None
        return Trait(name, {s: math.fsum(vs) / len(vs) for s, vs in by_species.items()}, True)
    if 2 <= len(kinds) <= MAX_CLASSES:
        counts: dict[str, collections.Counter[str]] = {}
        for s, kind in said:
            counts.setdefault(s, collections.Counter())[kind] += 1
        return Trait(name, {s: min(c, key=lambda k: (-c[k], k)) for s, c in counts.items()}, False)
    return None


def _number(said: str) -> float | None:
    try:
        value = float(said)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
