"""Labelled pictures to judge a model on, in the forms that people have them.

    dataset      a published dataset, folder or ORG/NAME, `#SPLIT` behind it (default: test); the label is the species
    folders      one folder per class, named as the class
    table        CSV or TSV (.gz, too): `filepath` and `class`, as BioCLIP 2's annotations; or Darwin Core's names

A row that cannot be used does not stop anything: it is left out, with its reason.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.ranks import RANKS
from eval.sources import Files, Shards, Source
from training import text
from training.reading import Published

CONTEXT = (
    "recordedBy",
    "eventDate",
    "deploymentID",
    "group_id",
)  # what makes pictures belong together
VARIANT = ("sex", "lifeStage")
TASK = (
    "split",
    "question",
    "cluster",
)  # what the files of a benchmark say of a picture beside its label
COLUMNS = ("example", "label", *text.COLUMNS, *CONTEXT, *VARIANT, *TASK)
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".jp2"}
PATHS, LABELS = ("filepath", "file", "path", "filename", "file_name", "image"), ("label", "class", "scientificName", "scientific_name")  # fmt: skip
NAMES = ("scientificName", "scientific_name")
BINOMIAL = re.compile(r"(([A-Z][a-z-]+) [a-z][a-z-]+)(?: [a-z-]+)?$")
SPELLINGS = {"cls": "class", "common_name": "vernacularName", "subspecies": "infraspecificEpithet",
             "deployment_id": "deploymentID", "life_stage": "lifeStage", "observer": "recordedBy", "date": "eventDate"}  # fmt: skip


@dataclass(frozen=True)
class Examples:
    """A test set: `table` has a row per picture (SCHEMA), `source` its bytes in that order.

    `left_out` lists rows that cannot be used, with reasons; `digest` names the pictures, for what is kept of them.
    """

    name: str
    table: pa.Table
    source: Source
    digest: str
    left_out: tuple[tuple[str, str], ...] = ()
    kind: str = (
        "asis"  # how its classes are named to a model, unless asked otherwise: zero_shot.KINDS
    )
    cleaning: str = ""  # of its labels: zero_shot.CLEANING

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """A column of the table."""
        found: list[Any] = self.table[name].to_pylist()
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The rows with the columns that captions are made of."""
        found: list[dict[str, Any]] = self.table.select(list(text.COLUMNS)).to_pylist()
        return found


def found(place: str, *, images: Path | None = None) -> Examples:
    """The test set at a place. Raises ValueError where there is none; `images` is the folder that a table's paths start in."""
    name, _, split = place.partition("#")
    path = Path(name).expanduser()
    if path.is_file():
        return from_table(path, images=images)
    if path.is_dir() and not (path / "manifest.json").is_file():
        if (path / "metadata.csv").is_file() or (path / "metadata.csv.gz").is_file():
            return from_table(next(p for p in (path / "metadata.csv", path / "metadata.csv.gz") if p.is_file()), images=images)  # fmt: skip
        return from_folders(path)
    return from_dataset(name, split or "test")


def from_folders(root: Path, *, name: str = "") -> Examples:
    """One folder per class, whatever lies below it. Raises ValueError where there is no such folder or no picture."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder, table or dataset")
    classes = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))  # fmt: skip
    rows, left_out = list[dict[str, Any]](), list[tuple[str, str]]()
    for folder in classes:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        for path in files:
            example = path.relative_to(root).as_posix()
            if not _is_text(example):
                left_out.append((ascii(example), "name_not_utf8"))
            elif path.suffix.lower() in SUFFIXES:
                rows.append({"example": example, "label": folder.name})
            else:
                left_out.append((example, "not_a_picture"))
        if not files:
            left_out.append((folder.name, "empty_class"))
    if not rows:
        raise ValueError(f"{root} has no folder per class with pictures in it; or give a CSV with filepath and class")  # fmt: skip
    return from_rows(name or root.resolve().name, root, rows, left_out)


def from_table(path: Path, *, images: Path | None = None, name: str = "") -> Examples:
    """A CSV or TSV of paths and labels; pictures lie in `images`, else in `images/` beside it, else beside it.

    `class` is a label where nothing else says the rank (BioCLIP 2 spells the rank `cls`), else the rank. Raises
    ValueError where columns are missing, and when no picture is where its path says.
    """
    fields, lines = read(path)
    at = next((f for f in PATHS if f in fields), None)
    has_rank = "cls" not in fields and ("kingdom" in fields or "phylum" in fields)
    label = next((f for f in LABELS if f in fields and not (f == "class" and has_rank)), "")
    if at is None or not (label or "species" in fields):
        raise ValueError(f"{path} needs a column of paths ({', '.join(PATHS[:2])}) and one of labels ({', '.join(LABELS[:3])}); "
                         f"it has {', '.join(fields)}")  # fmt: skip
    root = images or (path.parent / "images" if (path.parent / "images").is_dir() else path.parent)
    rows, left_out = list[dict[str, Any]](), list[tuple[str, str]]()
    seen = dict[str, str]()
    for line in lines:
        taxon = _taxon(line, has_rank)
        example, said = line[at].strip(), line[label].strip() if label else _lowest(taxon)
        if label in NAMES and not taxon.get("species") and (parts := BINOMIAL.match(said)):
            taxon |= {"genus": taxon.get("genus") or parts[2], "species": parts[1], "canonicalName": said}  # fmt: skip
        if not example or not said:
            left_out.append((example or "?", "no_label" if example else "no_path"))
        elif example in seen:
            left_out.append((example, "duplicate_row" if seen[example] == said else "conflicting_labels"))  # fmt: skip
        else:
            rows.append({"example": example, "label": said, **taxon})
        seen.setdefault(example, said)
    conflicts = {example for example, why in left_out if why == "conflicting_labels"}
    left_out += [(row["example"], "conflicting_labels") for row in rows if row["example"] in conflicts]  # fmt: skip
    rows = [row for row in rows if row["example"] not in conflicts]
    if not any((root / row["example"]).is_file() for row in rows):
        raise ValueError(f"none of the {len(rows)} pictures of {path} is under {root}; the first would be {root / rows[0]['example'] if rows else '?'}")  # fmt: skip
    return from_rows(name or (path.parent.name if path.name.partition(".")[0] in ("metadata", "labels") else path.name.partition(".")[0]), root, rows, left_out)  # fmt: skip


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV or TSV, gzipped or not. Raises ValueError where it is none."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        said = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a table in UTF-8: {error}") from error
    delimiter = "\t" if "\t" in said.partition("\n")[0] else ","
    reader = csv.DictReader(io.StringIO(said), delimiter=delimiter)
    fields = [f for f in reader.fieldnames or [] if f]
    try:
        return fields, [{f: row[f] or "" for f in fields} for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _taxon(line: Mapping[str, str], has_rank: bool) -> dict[str, str | None]:
    """Ranks, names and context of a table's row: capitals as names have them, the species as a binomial."""
    said = {SPELLINGS.get(key, key): value.strip() or None for key, value in line.items() if key != "class" or has_rank}  # fmt: skip
    made = {key: value for key, value in said.items() if key in COLUMNS and key not in ("example", "label")}  # fmt: skip
    for rank in RANKS[:-1]:
        if value := made.get(rank):
            made[rank] = value[0].upper() + value[1:]
    genus, species = made.get("genus"), made.get("species")
    if species and genus and not species.lower().startswith(f"{genus.lower()} "):
        made["species"] = f"{genus} {species.lower()}"
    elif species:
        made["species"] = species[0].upper() + species[1:]
    made.setdefault("canonicalName", made.get("species"))
    return made


def _lowest(taxon: Mapping[str, str | None]) -> str:
    """A label where the table has none: the species, else the common name, else the lowest rank; "" where nothing is known."""
    ranks = [taxon.get(rank) for rank in reversed(RANKS[:-1])]
    return next(
        (name for name in (taxon.get("species"), taxon.get("vernacularName"), *ranks) if name), ""
    )


def from_rows(name: str, root: Path, rows: Sequence[Mapping[str, Any]], left_out: Sequence[tuple[str, str]] = ()) -> Examples:  # fmt: skip
    """A test set from rows with some of COLUMNS; `example` is a path under `root`. Raises ValueError where there are none."""
    if not rows:
        first = f"; the first: {left_out[0][0]}, {left_out[0][1]}" if left_out else ""
        raise ValueError(f"{name} has no picture that can be used, of {len(left_out)}{first}")
    table = pa.Table.from_pylist([{key: row.get(key) for key in COLUMNS} for row in rows], schema=SCHEMA)  # fmt: skip
    source = Files(root, [row["example"] for row in rows])
    digest = hashlib.sha256("\n".join(source.stamps()).encode()).hexdigest()
    has_ranks = any(row.get(rank) for row in rows for rank in RANKS)
    return Examples(
        name, table, source, digest, tuple(left_out), "taxon_com" if has_ranks else "asis"
    )


def _is_text(name: str) -> bool:
    """False for a file's name that is no UTF-8: it could not be written into any table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_dataset(where: str, split: str = "test") -> Examples:
    """A split of a published dataset; pictures whose species is not known are left out.

    Raises ValueError where there is no such dataset, and for a split that it lacks.
    """
    place = Published(where, split)
    if place.has_captions:
        raise ValueError(f"{where} is a replay set: its pictures have captions, no labels")
    wanted = ["uuid", *text.COLUMNS, *CONTEXT, *VARIANT]
    rows, groups, at, left_out = list[dict[str, Any]](), list[int](), list[int](), list[tuple[str, str]]()  # fmt: skip
    for first, handle in place.opened():
        with handle:
            file = pq.ParquetFile(handle)
            for k in range(file.num_row_groups):
                for i, row in enumerate(file.read_row_group(k, wanted).to_pylist()):
                    example = row.pop("uuid")
                    if not row["species"]:
                        left_out.append((example, "not_known_to_species"))
                        continue
                    rows.append({"example": example, "label": row["species"], **row})
                    groups.append(first + k)
                    at.append(i)
    if not rows:
        raise ValueError(f"{where} has no picture in its split {split!r} whose species is known")
    table = pa.Table.from_pylist([{key: _said(row.get(key)) for key in COLUMNS} for row in rows], schema=SCHEMA)  # fmt: skip
    name = f"{where.rstrip('/').rpartition('/')[2]}#{split}"
    digest = hashlib.sha256(f"{place.revision}#{split}".encode()).hexdigest()
    return Examples(name, table, Shards(place, groups, at), digest, tuple(left_out), "taxon_com")


def _said(value: Any) -> str | None:
    return None if value is None else str(value)
