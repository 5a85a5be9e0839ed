"""Writes a planned world in its providers' own formats; equal plans give equal bytes."""

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.sample.gbif_records import MULTIMEDIA_COLUMNS, OCCURRENCE_COLUMNS
from curation.sample.item import Item, Row
from curation.sample.lists import (
    HIERARCHY_COLUMNS,
    TAXON_COLUMNS,
    VERNACULAR_COLUMNS,
    lists,
)
from curation.sample.other_records import BIOSCAN_COLUMNS, EOL_COLUMNS
from curation.sample.planning import World, truth_row
from curation.sample.shot import Shot, broken, render

TRUTH = pa.schema(
    [
        *((n, pa.string()) for n in ("source", "record_key", "source_id", "identifier", "crop")),
        *((n, pa.string()) for n in ("species", "name_kind", "true_rank")),
        ("resolvable", pa.bool_()),
        *((n, pa.string()) for n in ("duplicate_cluster", "duplicate_kind")),
        *((n, pa.bool_()) for n in ("detectable", "leak")),
        *((n, pa.string()) for n in ("fault", "behaviour", "record_fault", "licence_kind")),
        *((n, pa.string()) for n in ("image_kind", "provider_split", "habitat")),
        ("trait_beak", pa.float64()),
        ("individual", pa.int64()),
    ]
)
_VERBATIM = tuple(
    name
    for name in OCCURRENCE_COLUMNS
    if name not in ("hasCoordinate", "hasGeospatialIssues", "lastInterpreted", "protocol", "issue")
    and not name.endswith("Key")
)
_DUBLIN = frozenset(
    (
        *("accessRights", "bibliographicCitation", "identifier", "language", "license", "modified"),
        *("publisher", "references", "rightsHolder", "type", "format", "title", "description"),
        *("source", "audience", "created", "creator", "contributor"),
    )
)
_GBIF = frozenset(
    (
        *("gbifID", "datasetKey", "publishingCountry", "lastInterpreted", "elevation", "depth"),
        *("issue", "mediaType", "hasCoordinate", "hasGeospatialIssues", "species", "genericName"),
        *("acceptedScientificName", "verbatimScientificName", "protocol", "canonicalName"),
        *("taxonKey", "acceptedTaxonKey", "kingdomKey", "genusKey", "speciesKey", "checklistKey"),
    )
)
N_SUPPORT = 24  # pictures of a class of the support set
_DWC = "http://rs.tdwg.org/dwc/terms/"


def write(world: World, folder: Path) -> None:
    """Write every provider file of the world below `folder`, and the truth last."""
    folder.mkdir(parents=True, exist_ok=True)
    _zip(folder / "gbif.zip", _gbif(world))
    _zip(folder / "backbone.zip", _backbone())
    _eol(world, folder)
    _bioscan(world, folder / "bioscan")
    text = json.dumps(world.sea, indent=1, ensure_ascii=False)
    (folder / "fathomnet.json").write_text(text + "\n", encoding="utf-8")
    held_out = folder / "benchmark" / "rare_species"
    held_out.mkdir(parents=True, exist_ok=True)
    for name, shot in world.benchmark.items():
        (held_out / name).write_bytes(render(shot, world.looks))
    _support(world, folder / "support")
    rows = [truth_row(item, world.looks) for item in world.items]
    rows.sort(key=lambda r: [str(r[k]) for k in ("source", "record_key", "identifier", "crop")])
    pq.write_table(pa.Table.from_pylist(rows, schema=TRUTH), folder / "truth.parquet")


def _support(world: World, folder: Path) -> None:
    """A small support set for the museum scorer: organisms and labels that are nowhere else in the world."""
    species = list(world.looks)
    for number in range(N_SUPPORT):
        organism = Shot(
            "organism", species[number * len(species) // N_SUPPORT], 10_000_000 + number
        )
        for label, shot in (
            ("specimen", organism),
            ("text", Shot("museum_label", individual=10_000_000 + number)),
        ):
            path = folder / label / f"{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(render(shot, world.looks))


def _zip(path: Path, members: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as box:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            info.create_system = 3
            box.writestr(info, members[name].encode())


def _tsv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    lines = ["\t".join(columns)]
    lines += ["\t".join(row[name] for name in columns) for row in rows]
    return "\n".join(lines) + "\n"


def _gbif(world: World) -> dict[str, str]:
    items = [item for item in world.items if item.source == "gbif"]
    records = {item.record["gbifID"]: item.record for item in items}
    lines, again = ["\t".join(OCCURRENCE_COLUMNS)], []
    for record in records.values():
        quirk = record.get("_quirk", "")
        if quirk != "no_occurrence":
            lines.append(_occurrence_line(record, quirk))
        if quirk == "repeated_id":
            other = {"scientificName": "Passer domesticus (Linnaeus, 1758)", "sex": "MALE"}
            again.append(_occurrence_line(record | other, ""))
    names = ("occurrence.txt", "verbatim.txt", "multimedia.txt")
    columns = (OCCURRENCE_COLUMNS, _VERBATIM, MULTIMEDIA_COLUMNS)
    types = (f"{_DWC}Occurrence", f"{_DWC}Occurrence", "http://rs.gbif.org/terms/1.0/Multimedia")
    kept = [record for record in records.values() if record.get("_quirk") != "no_occurrence"]
    return {
        "occurrence.txt": "\n".join([*lines, *again]) + "\n",
        "verbatim.txt": _tsv(_VERBATIM, kept),
        "multimedia.txt": _multimedia(items),
        "meta.xml": _meta(list(zip(names, types, columns, strict=True)), "metadata.xml"),
        "metadata.xml": _METADATA,
        "citations.txt": "When using this dataset please use the following citation:\n"
        "Sample world (2024). Made-up occurrences of real species.\n",
        "rights.txt": "Dataset: Sample world\nRights as supplied: see each picture's licence\n",
    }


def _occurrence_line(record: Row, quirk: str) -> str:
    values = [record[name] for name in OCCURRENCE_COLUMNS]
    if quirk == "blank_id":
        values[0] += "  "
    if quirk.startswith("shifted"):  # a stray value moves every rank one column to the right
        at = OCCURRENCE_COLUMNS.index("kingdom")
        values.insert(at, "1758" if quirk == "shifted_year" else "")
        values[at + 1], values[at + 2] = values[at], values[at + 1]
        values.pop()
    return "\t".join(values)


def _multimedia(items: Sequence[Item]) -> str:
    lines = ["\t".join(MULTIMEDIA_COLUMNS)]
    for item in items:
        if item.media:
            values = [item.media[name] for name in MULTIMEDIA_COLUMNS]
            if item.media.get("_quirk") == "ragged_row":
                values[MULTIMEDIA_COLUMNS.index("title")] = "Left side\tright side"
            lines.append("\t".join(values))
    return "\n".join(lines) + "\n"


def _meta(tables: Sequence[tuple[str, str, Sequence[str]]], metadata: str) -> str:
    parts = [f'<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="{metadata}">']
    for i, (name, row_type, columns) in enumerate(tables):
        tag, key = ("extension", "coreid") if i else ("core", "id")
        parts.append(
            f'  <{tag} encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" '
            f'fieldsEnclosedBy="" ignoreHeaderLines="1" rowType="{row_type}">'
        )
        parts.append(f"    <files>\n      <location>{name}</location>\n    </files>")
        parts.append(f'    <{key} index="0" />')
        fields = enumerate(columns)
        parts += [f'    <field index="{k}" term="{_term(column)}"/>' for k, column in fields]
        parts.append(f"  </{tag}>")
    return "\n".join([*parts, "</archive>"]) + "\n"


def _term(column: str) -> str:
    if column in _DUBLIN:
        return f"http://purl.org/dc/terms/{column}"
    return f"http://rs.gbif.org/terms/1.0/{column}" if column in _GBIF else _DWC + column


def _backbone() -> dict[str, str]:
    known = lists()
    tables = (
        ("Taxon.tsv", f"{_DWC}Taxon", TAXON_COLUMNS),
        ("VernacularName.tsv", "http://rs.gbif.org/terms/1.0/VernacularName", VERNACULAR_COLUMNS),
    )
    return {
        "Taxon.tsv": _tsv(TAXON_COLUMNS, known.taxa),
        "VernacularName.tsv": _tsv(VERNACULAR_COLUMNS, known.vernacular),
        "meta.xml": _meta(tables, "eml.xml"),
        "eml.xml": _METADATA,
    }


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] for row in rows)
    return out.getvalue().encode()


def _eol(world: World, folder: Path) -> None:
    rows = [item.media for item in world.items if item.source == "eol"]
    half = (len(rows) + 1) // 2
    with (
        (folder / "eol_media_manifest.tgz").open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as box,
    ):
        for i, part in enumerate((rows[:half], rows[half:]), 1):
            data = _csv(EOL_COLUMNS, part)
            info = tarfile.TarInfo(f"media_manifest/media_manifest_{i}.csv")
            info.size = len(data)
            box.addfile(info, io.BytesIO(data))
    table = _tsv(HIERARCHY_COLUMNS, lists().hierarchy)
    (folder / "eol_taxon.tab").write_text(table, encoding="utf-8", newline="")


def _bioscan(world: World, folder: Path) -> None:
    rows = [item.record for item in world.items if item.source == "bioscan"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "BIOSCAN_5M_metadata.csv").write_bytes(_csv(BIOSCAN_COLUMNS, rows))
    for name, (behaviour, shot) in world.tree.items():
        if behaviour != "file_not_found":
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(broken(render(shot, world.looks), behaviour))


_METADATA = """<?xml version="1.0" encoding="utf-8"?>
<eml:eml xmlns:eml="eml://ecoinformatics.org/eml-2.1.1" packageId="sample" system="sample">
  <dataset>
    <title>Sample world</title>
    <abstract><para>Real names of species; everything said about them is made up.</para></abstract>
  </dataset>
</eml:eml>
"""
