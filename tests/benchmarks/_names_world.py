"""The names of the real data as one taxonomy in GBIF's shape, and the names that must find it.

`gbif_backbone_matches_trias` holds 6,132 names as 13 checklists published them, the backbone record
that GBIF matched each to, and what experts decided. The taxonomy is assembled from its own backbone
columns and `taxa_unified.csv`, with the order Asterales (GBIF), all birds (AviList) and all fishes
(FishBase) mixed in. Kingdoms of answers are never given as hints.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import schema, sql
from curation.taxonomy import backbone, names, resolve
from curation.taxonomy.authority import Authority

COLUMNS = ("taxonID parentNameUsageID acceptedNameUsageID taxonomicStatus taxonRank scientificName "
           "scientificNameAuthorship kingdom phylum class order family genus").split()  # fmt: skip
BY_NAME = ("exact", "synonym", "key", "variant", "fuzzy")
Row = dict[str, str]


def rows_of(path: Path, mark: str = ",") -> list[Row]:
    """The rows of a delimited table, gzipped or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=mark))


def bars(path: Path) -> Iterator[Row]:
    """The rows of a table split by tab, bar, tab (Open Tree's form)."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        head = [word.strip("\t|\n ") for word in next(stream).split("\t|\t")]
        for line in stream:
            yield dict(
                zip(head, line.rstrip("\n").removesuffix("\t|").split("\t|\t"), strict=False)
            )


def given(data: Path) -> list[Row]:
    """The published names with `gold`, the canonical name of the accepted taxon they belong to.

    Where an expert rejected GBIF's match, or matched by hand, `gold` is the expert's or empty.
    """
    folder = data / "taxonomy/gbif_backbone_matches_trias"
    expert = {row["taxonKey"]: row for row in rows_of(folder / "verification.tsv", "\t")}
    unified = {row["verificationKey"]: row for row in rows_of(folder / "taxa_unified.csv")}
    found = []
    for row in rows_of(folder / "taxa_with_verification.csv"):
        said = expert.get(row["taxonKey"], {}).get("remarks", "")
        gbif = row["bb_acceptedName"] or row["bb_scientificName"]
        gold, kingdom = gbif, row["bb_kingdom"]
        if said.startswith(("reject", "no match", "not accepted")):
            gold = ""
        elif said.startswith("manual match"):
            final = unified.get(row["verificationKey"].split(",")[0].strip(), {})
            gold = final.get("acceptedName") or final.get("scientificName") or ""
            kingdom = final.get("kingdom") or kingdom
        gold, gbif = (names.parse(text).canonical or "" for text in (gold, gbif))
        found.append({**row, "gold": gold, "gold_kingdom": kingdom, "expert": said, "gbif": gbif})
    return found


def taxonomy(data: Path) -> list[Row]:
    """The mixed taxonomy, rows in GBIF's columns."""
    root = data / "taxonomy"
    rows: dict[str, Row] = {}

    def add(key: str, **row: str) -> None:
        if key and key not in rows:
            rows[key] = {"taxonID": key, **{k.rstrip("_"): v for k, v in row.items()}}

    folder = root / "gbif_backbone_matches_trias"
    for r in rows_of(folder / "taxa_unified.csv"):
        add(r["verificationKey"], acceptedNameUsageID=r["acceptedKey"], taxonomicStatus=r["taxonomicStatus"],
            taxonRank=r["rank"], scientificName=r["scientificName"], kingdom=r["kingdom"],
            scientificNameAuthorship=r["authorship"].strip(), phylum=r["phylum"], class_=r["class"],
            order=r["order"], family=r["family"], genus=r["genus"])  # fmt: skip
    matched = rows_of(folder / "taxa_with_verification.csv")
    for r in matched:
        add(r["bb_key"], acceptedNameUsageID=r["bb_acceptedKey"], taxonomicStatus=r["bb_taxonomicStatus"],
            taxonRank=r["bb_rank"], scientificName=r["bb_scientificName"], kingdom=r["bb_kingdom"])  # fmt: skip
    for r in matched:
        add(r["bb_acceptedKey"], taxonomicStatus="ACCEPTED", scientificName=r["bb_acceptedName"],
            kingdom=r["bb_kingdom"])  # fmt: skip
    for r in asterales(data):
        rows.setdefault(r["taxonID"], r)
    for i, r in enumerate(rows_of(root / "birds_avilist/avilist_2025.csv.gz")):
        if r["Taxon_rank"] in ("genus", "species", "subspecies"):
            add(f"bird:{i}", scientificName=r["Scientific_name"], scientificNameAuthorship=r["Authority"],
                taxonRank=r["Taxon_rank"], order=r["Order"], family=r["Family"], kingdom="Animalia",
                phylum="Chordata", class_="Aves", taxonomicStatus="accepted")  # fmt: skip
    for i, r in enumerate(rows_of(root / "fishes_fishbase/fishbase_taxa.csv.gz")):
        add(f"fish:{i}", scientificName=f"{r['Genus']} {r['Species']}", taxonRank="species", order=r["Order"],
            family=r["Family"], kingdom="Animalia", phylum="Chordata", class_=r["Class"],
            taxonomicStatus="accepted")  # fmt: skip
    return list(rows.values())


def asterales(data: Path) -> list[Row]:
    """The order Asterales as GBIF's backbone has it: 11,221 taxa, 12,540 synonyms."""
    folder = data / "taxonomy/asterales/gbif"
    taxa = [{"taxonID": r["uid"], "parentNameUsageID": r["parent_uid"], "scientificName": r["name"],
             "taxonRank": r["rank"], "taxonomicStatus": "accepted", "kingdom": "Plantae"}
            for r in bars(folder / "taxonomy.tsv.gz")]  # fmt: skip
    synonyms = [{"taxonID": f"synonym:{i}", "acceptedNameUsageID": r["uid"], "scientificName": r["name"],
                 "taxonomicStatus": "synonym", "kingdom": "Plantae"}
                for i, r in enumerate(bars(folder / "synonyms.tsv.gz"))]  # fmt: skip
    return taxa + synonyms


class World:
    """A taxonomy loaded as a build loads it, ready to resolve names."""

    def __init__(
        self, rows: Iterable[Row], work: Path, name: str = "world", path: Path | None = None
    ):
        self.work, self.name = work / name, name
        self.work.mkdir(parents=True, exist_ok=True)
        if path is None:
            path = self.work / "Taxon.tsv"
            with path.open("w", encoding="utf-8") as out:
                out.write("\t".join(COLUMNS) + "\n")
                for row in rows:
                    cells = ((row.get(c) or "").replace("\t", " ") for c in COLUMNS)
                    out.write("\t".join(cells) + "\n")
        self.con = sql.connect(memory_limit="4GB", spill_dir=self.work / "spill")
        found = backbone.taxon(self.con, name=name, path=path, work_dir=self.work / "load")
        self.taxon = self.work / "taxon.parquet"
        found.names.copy_to(self.taxon)
        self.problems = found.problems.table()

    def resolve(
        self, said: Iterable[Row], min_score: float = resolve.MIN_SCORE
    ) -> list[dict[str, Any]]:
        """The label of each row (keys: text, ranks, scientificNameAuthorship), in order."""
        columns = ("lineage source kingdom phylum class order family genus species taxonRank text "
                   "scientificNameAuthorship taxonKey checklistKey").split()  # fmt: skip
        lines = [{"lineage": f"{i:08}", "source": "fathomnet", **row} for i, row in enumerate(said)]
        table = pa.Table.from_pylist([{c: line.get(c) or None for c in columns} for line in lines],
                                     schema=pa.schema([(c, schema.STR) for c in columns]))  # fmt: skip
        query = resolve.judged(
            self.con, table, [self.taxon], [Authority(self.name)], self.work / "r", min_score
        )
        return list(query.table().to_pylist())


def label_of(row: dict[str, Any]) -> str | None:
    """The accepted canonical name a label gives by the name itself, or None."""
    return row["canonicalName"] if row["match_rule"] in BY_NAME else None


def edited(text: str, n_edits: int, rng: random.Random) -> str:
    """A canonical name with `n_edits` random edits (insert, delete, replace, swap) in its letters."""
    for _ in range(n_edits):
        i = rng.randrange(1, len(text))
        letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
        kind = rng.randrange(4)
        if text[i] == " " or (kind == 3 and (i + 1 >= len(text) or text[i + 1] == " ")):
            kind, i = 0, i
        if kind == 0:
            text = text[:i] + letter + text[i:]
        elif kind == 1:
            text = text[:i] + text[i + 1 :]
        elif kind == 2:
            text = text[:i] + letter + text[i + 1 :]
        else:
            text = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text
