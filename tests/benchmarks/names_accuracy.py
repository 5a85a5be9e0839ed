"""Names against real gold: how many find their taxon, and how few find another.

Worlds and gold: `_names_world`. Of the checklists an answer is right when the accepted name and its
kingdom are the gold's; further lines ask for the backbone's very record. In the other classes the
accepted canonical name decides, and edited names that are another real name are left out.
`higher_rank` labels are no answers. Peer: thirty lines of regular
expressions and string similarity (`_names_baseline`). Limit: every name right. Where an expert rejected GBIF's match the name
has no gold taxon; where one corrected it, the expert's is the gold. Without the real data all is unmeasured.
"""

from __future__ import annotations

import collections
import os
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog.schema import RANKS
from curation.taxonomy import names
from tests.benchmarks import _names_baseline as baseline
from tests.benchmarks import _names_world as worlds
from tests.benchmarks._names_world import Row, World, edited, label_of
from tests.benchmarks.harness import Result, Target, target
from tests.benchmarks.harness import Row as Line

DATA = Path(os.environ.get("TREEOFLIFE_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")
N_CORRUPTED, N_QUICK = 3_000, 400
PLAIN = re.compile(r"^[A-Z][a-z]+ [a-z-]{3,}$")


def run(*, quick: bool) -> Result:
    """Every class of names; the misses go to stderr."""
    peer = "regex + string similarity"
    if not (DATA / "taxonomy").is_dir():
        none = (Target("everything (the real data is not at hand)", "unmeasured", "-"),)
        return Result("names_accuracy", peer, "every name right", (), none)
    with tempfile.TemporaryDirectory() as name:
        bench = _Bench(Path(name), N_QUICK if quick else N_CORRUPTED)
        bench.closed_world()
        bench.open_world()
        bench.corrupted()
        bench.homonyms()
        bench.asterales()
        bench.taxonopy()
        bench.themselves()
        return Result(
            "names_accuracy", peer, "every name right", tuple(bench.lines), tuple(bench.targets)
        )


class _Bench:
    def __init__(self, work: Path, n: int) -> None:
        self.work, self.n = work, n
        self.lines: list[Line] = []
        self.targets: list[Target] = []
        self.rows = worlds.taxonomy(DATA)
        self.given = worlds.given(DATA)
        self.world = World(self.rows, work)

    def line(
        self, what: str, ours: float | None, peer: float | None = None, unit: str = "share"
    ) -> None:
        if ours is not None:
            self.lines.append(Line(what, unit, ours, peer, 1.0 if unit == "share" else None))

    def judge(self, what: str, good: bool | None, found: str) -> None:
        self.targets.append(target(what, good, found))

    def closed_world(self) -> None:
        texts = [row["scientificName"] for row in self.given]
        found = self.world.resolve({"text": text} for text in texts)
        ours = [label if label["match_rule"] in worlds.BY_NAME else None for label in found]
        theirs, both = baseline.answers(self.rows, texts), []
        for what, gold_of, answer_of in (
            ("the taxon", _gold_taxon, _taxon), ("the very record", _gold_record, _record)
        ):  # fmt: skip
            golds = [(row["scientificName"], gold_of(row)) for row in self.given]
            precision, recall, wrong = _scored(golds, [answer_of(answer) for answer in ours])
            peers, their_recall, _ = _scored(golds, [answer_of(answer) for answer in theirs])
            n_gold = sum(bool(gold) for _, gold in golds)
            self.line(f"checklists, {what} ({n_gold:,} names): precision", precision, peers)
            self.line(f"checklists, {what} ({n_gold:,} names): recall", recall, their_recall)
            both += [(precision, peers), (recall, their_recall)]
            for given, gold, answer in wrong:
                _say(f"checklists, {what}: {given!r} is {gold!r}, resolved to {answer!r}")
        for row, label in zip(self.given, found, strict=True):
            if (
                row["expert"]
                and row["gold"] != row["gbif"]
                and label_of(label) not in (None, row["gold"])
            ):
                _say(
                    f"against the expert ({row['expert']}): {row['scientificName']!r} -> {label_of(label)!r}"
                )
        self.judge("checklists: precision and recall beat the baseline, by taxon and by record",
                   all(mine > peer for mine, peer in both),
                   "; ".join(f"{mine:.4f} against {peer:.4f}" for mine, peer in both))  # fmt: skip
        wanted = [_gold_taxon(row) for row in self.given]
        pairs = [(label["match_score"], _taxon(label) == gold)
                 for label, gold in zip(ours, wanted, strict=True) if label and gold]  # fmt: skip
        for least in (0.80, 0.85, 0.91, 0.95, 0.99):
            kept = [good for score, good in pairs if score >= least]
            self.line(f"at score {least:.2f} or more: precision", sum(kept) / max(1, len(kept)))
            self.line(f"at score {least:.2f} or more: coverage", len(kept) / sum(map(bool, wanted)))

    def open_world(self) -> None:
        rng = random.Random(20)
        hidden = [row for row in self.given if row["gold"] and rng.random() < 0.2]
        golds = {row["gold"] for row in hidden}
        keys = {row["bb_acceptedKey"] or row["bb_key"] for row in hidden}
        left = [row for row in self.rows if row["taxonID"] not in keys
                and row.get("acceptedNameUsageID") not in keys
                and " ".join(row["scientificName"].split()[:2]) not in golds]  # fmt: skip
        found = World(left, self.work, "open").resolve(
            {"text": row["scientificName"]} for row in hidden
        )
        wrong = [(row, label_of(label)) for row, label in zip(hidden, found, strict=True)
                 if label_of(label) and not _same_species(label_of(label), row["gold"])]  # fmt: skip
        for row, answer in wrong:
            _say(
                f"open world: {row['scientificName']!r}, whose record is removed, resolved to {answer!r}"
            )
        share = len(wrong) / len(hidden)
        self.line(f"open world ({len(hidden):,} removed): resolved to another species", share)
        self.judge(
            "open world: at most 1 % resolve to another species", share <= 0.01, f"{share:.4f}"
        )

    def corrupted(self) -> None:
        rng = random.Random(3)
        known = {row["scientificName"] for row in self.rows}
        every = {label: row for row in self.rows
                 if (row.get("taxonomicStatus") or "").lower() == "accepted"
                 and PLAIN.match(label := names.parse(row["scientificName"]).canonical or "")}  # fmt: skip
        sample = rng.sample(sorted(every), min(self.n, len(every)))
        classes: dict[str, list[tuple[Row, str]]] = collections.defaultdict(list)
        for name in sample:
            row, parsed = every[name], names.parse(every[name]["scientificName"])
            ranks = {r: row.get(r, "") for r in ("kingdom", "phylum", "class", "order", "family")}
            author = parsed.authorship or row.get("scientificNameAuthorship", "")
            for n_edits in (1, 2):
                text = edited(name, n_edits, rng)
                if text in known:
                    continue  # another real name, rightly found
                classes[f"{n_edits} edit, name alone"].append(({"text": text}, name))
                classes[f"{n_edits} edit, with ranks"].append(({"text": text, **ranks}, name))
                if author:
                    classes[f"{n_edits} edit, with author"].append(
                        ({"text": f"{text} {author}"}, name)
                    )
            other = {"Plantae": "Animalia"}.get(ranks["kingdom"], "Plantae")
            classes["wrong kingdom"].append(({"text": name, "kingdom": other}, name))
            classes["bare epithet, with ranks"].append(({"text": name.split()[1], **ranks}, name))
            classes["epithet beside its genus"].append(
                ({"text": name.split()[1], "genus": name.split()[0], **ranks}, name)
            )
            donor = every[rng.choice(sample)]
            shuffled = {r: donor.get(r, "") for r in ranks}
            if shuffled["family"] != ranks["family"]:
                classes["lineage of another"].append(({"text": name, **shuffled}, name))
        said = [item for items in classes.values() for item in items]
        found = iter(self.world.resolve(row for row, _ in said))
        for what, items in classes.items():
            labels = [next(found) for _ in items]
            golds = [(row["text"], gold) for row, gold in items]
            precision, recall, wrong = _scored(golds, [label_of(label) for label in labels])
            for text, gold, answer in wrong[:20]:
                _say(f"{what}: {text!r} is {gold!r}, resolved to {answer!r}")
            self.line(f"{what} ({len(items):,}): precision", precision)
            self.line(f"{what} ({len(items):,}): recall", recall)
            n_answered = sum(label_of(label) is not None for label in labels)
            self.judge(f"{what}: precision at least 0.99", precision >= 0.99,
                       f"{precision:.4f} of {n_answered:,} answered")  # fmt: skip

    def homonyms(self) -> None:
        folder = DATA / "taxonomy/taxonopy_examples/tests_inputs"
        listed = {line.strip() for file in ("homonyms.txt", "homonyms_from_sanches-gonzalez.txt")
                  for line in (folder / file).read_text(encoding="utf-8").splitlines() if line.strip()}  # fmt: skip
        whole = sorted(name for name in listed if names.parse(name).canonical == name)
        _say(
            f"homonyms: {len(listed) - len(whole)} entries are no whole names: {sorted(listed - set(whole))}"
        )
        rows = [{"taxonID": f"{k}:{name}", "scientificName": name, "kingdom": k, "taxonomicStatus": "accepted",
                 "taxonRank": "species" if " " in name else "genus"}
                for name in whole for k in ("Animalia", "Plantae")]  # fmt: skip
        world = World(rows, self.work, "homonyms")
        alone = world.resolve({"text": name} for name in whole)
        with_kingdom = world.resolve(
            {"text": r["scientificName"], "kingdom": r["kingdom"]} for r in rows
        )
        n_open = sum(
            label["match_rule"] is None and label["match_reason"] == "homonym" for label in alone
        )
        n_right = sum(
            label["taxonID"] == row["taxonID"]
            for label, row in zip(with_kingdom, rows, strict=True)
        )
        self.line(f"{len(whole):,} homonyms alone: left ambiguous", n_open / len(whole))
        self.line("homonyms with their kingdom: right", n_right / len(rows))
        self.judge("homonyms: ambiguous alone, right with each kingdom",
                   n_open == len(whole) and n_right == len(rows),
                   f"{n_open:,} of {len(whole):,}, {n_right:,} of {len(rows):,}")  # fmt: skip

    def asterales(self) -> None:
        rows = worlds.asterales(DATA)
        world = World(rows, self.work, "asterales")
        meant: dict[str | None, set[str]] = collections.defaultdict(set)
        for row in rows:
            canonical = _folded(row)
            meant[canonical].add(row.get("acceptedNameUsageID") or row["taxonID"])
        synonyms = [row for row in rows if row["taxonID"].startswith("synonym:")]
        keys = {row["taxonID"] for row in rows}
        found = world.resolve(
            {"text": row["scientificName"], "kingdom": "Plantae"} for row in synonyms
        )
        right, homonyms, lost = 0, 0, 0
        for row, label in zip(synonyms, found, strict=True):
            canonical = _folded(row)
            if label["taxonID"] == row["acceptedNameUsageID"]:
                right += 1
            elif canonical is None or len(meant[canonical]) > 1:
                homonyms += (
                    1  # no name, or one that several taxa bear: nothing tells which is meant
                )
            else:
                lost += 1
                _say(f"Asterales: {row['scientificName']!r} of {row['acceptedNameUsageID']} -> "
                     f"{label['canonicalName']!r} ({label['match_rule']}, {label['match_reason']})")  # fmt: skip
        self.line(
            f"Asterales: {len(synonyms):,} synonyms on their accepted taxon", right / len(synonyms)
        )
        self.line("Asterales: synonyms that several taxa bear, or no names", homonyms, unit="names")
        self.judge("Asterales: every synonym lands on its accepted taxon", right == len(synonyms),
                   f"{right:,} of {len(synonyms):,}; {homonyms:,} name several taxa; {lost:,} lost")  # fmt: skip
        self.shared_ids(world, keys)

    def shared_ids(self, world: World, keys: set[str]) -> None:
        """Names of Open Tree and NCBI that share an id with GBIF's taxon."""
        folder = DATA / "taxonomy/asterales"
        ott = list(worlds.bars(folder / "ott/taxonomy.tsv.gz"))
        ncbi = {row["uid"]: row["name"] for row in worlds.bars(folder / "ncbi/taxonomy.tsv.gz")}
        shared = [(row["name"], re.search(r"ncbi:(\d+)", row["sourceinfo"]), gbif[1]) for row in ott
                  if (gbif := re.search(r"gbif:(\d+)", row.get("sourceinfo", ""))) and gbif[1] in keys]  # fmt: skip
        pairs = {"Open Tree": [(name, key) for name, _, key in shared],
                 "NCBI": [(ncbi[n[1]], key) for _, n, key in shared if n and n[1] in ncbi]}  # fmt: skip
        for other, names_and_keys in pairs.items():
            labels = world.resolve(
                {"text": name, "kingdom": "Plantae"} for name, _ in names_and_keys
            )
            answered = [(label["taxonID"], key) for label, (_, key) in zip(labels, names_and_keys, strict=True)
                        if label_of(label)]  # fmt: skip
            agree = sum(mine == key for mine, key in answered) / len(answered)
            self.line(
                f"{other}: {len(answered):,} of {len(labels):,} names with a shared id: agree",
                agree,
            )
            self.judge(
                f"{other}: names with a shared id agree at least 0.98",
                agree >= 0.98,
                f"{agree:.4f}",
            )

    def taxonopy(self) -> None:
        """TaxonoPy's six examples, its empty row, and the beetle epithet that it made a bird genus."""
        folder = DATA / "taxonomy/taxonopy_examples/examples"
        golds = pq.read_table(folder / "resolved/sample.resolved.parquet").to_pylist()
        given = pq.read_table(folder / "input/sample.parquet").to_pylist()
        tree: dict[str, Row] = {}
        bird = dict(zip(RANKS, ("Animalia", "Chordata", "Aves", "Passeriformes", "Xidae", "Rufipes", "Rufipes albus"),
                        strict=True))  # fmt: skip
        for lineage in (*golds, bird):
            for depth, rank in enumerate(RANKS):
                path = "|".join(lineage[r] for r in RANKS[: depth + 1])
                tree[path] = {"taxonID": path, "parentNameUsageID": path.rpartition("|")[0],
                              "scientificName": lineage[rank], "taxonRank": rank, "taxonomicStatus": "accepted"}  # fmt: skip
        beetle = {"text": "rufipes", "species": "rufipes", "kingdom": "Animalia", "phylum": "Arthropoda",
                  "class": "Insecta", "order": "Coleoptera"}  # fmt: skip
        said = [{"text": row["scientific_name"], **{r: row[r] for r in RANKS}} for row in given]
        *labels, refused = World(tree.values(), self.work, "taxonopy").resolve([*said, beetle])
        wanted = {row["uuid"]: tuple(row[r] for r in RANKS) for row in golds}
        same = [tuple(label[r] for r in RANKS) == wanted.get(row["uuid"], (None,) * 7)
                for row, label in zip(given, labels, strict=True)]  # fmt: skip
        self.judge("TaxonoPy's examples: the same lineage, Laelia rosea apart, the empty row unresolved, "
                   "rufipes refused", all(same) and label_of(refused) is None and refused["genus"] is None,
                   f"{sum(same)} of {len(same)}, rufipes is {refused['canonicalName']!r}")  # fmt: skip

    def themselves(self) -> None:
        for what, prefix in (("AviList", "bird:"), ("FishBase", "fish:")):
            rows = [row for row in self.rows if row["taxonID"].startswith(prefix)]
            found = World(rows, self.work, what).resolve(
                {"text": row["scientificName"]} for row in rows
            )
            n_right = sum(label["canonicalName"] == _spaced(row) and label["match_rule"] == "exact"
                          for label, row in zip(found, rows, strict=True))  # fmt: skip
            for label, row in zip(found, rows, strict=True):
                if label["canonicalName"] != _spaced(row):
                    _say(f"{what}: {row['scientificName']!r} -> {label['canonicalName']!r} "
                         f"({label['match_reason']})")  # fmt: skip
            self.line(f"{what}: {len(rows):,} names resolve to themselves", n_right / len(rows))
            self.judge(
                f"{what}: every name resolves to itself",
                n_right == len(rows),
                f"{n_right:,} of {len(rows):,}",
            )


def _gold_taxon(row: Row) -> str:
    return f"{row['gold']} ({row['gold_kingdom']})" if row["gold"] else ""


def _gold_record(row: Row) -> str:
    return row["bb_acceptedKey"] or row["bb_key"]


def _taxon(answer: dict[str, Any] | None) -> str | None:
    return answer and f"{answer['canonicalName']} ({answer.get('kingdom') or ''})"


def _record(answer: dict[str, Any] | None) -> str | None:
    return answer and answer["taxonID"]


def _scored(
    golds: list[tuple[str, str]], answers: list[str | None]
) -> tuple[float, float, list[tuple[str, str, str]]]:
    """Precision and recall over names with a gold, and the wrong answers."""
    pairs = [
        (given, gold, answer) for (given, gold), answer in zip(golds, answers, strict=True) if gold
    ]
    right = sum(gold == answer for _, gold, answer in pairs)
    wrong = [(given, gold, answer) for given, gold, answer in pairs if answer and answer != gold]
    return right / max(1, right + len(wrong)) if right or wrong else 1.0, right / len(pairs), wrong


def _folded(row: Row) -> str | None:
    return (names.parse(row["scientificName"]).canonical or "").lower() or None


def _spaced(row: Row) -> str:
    return " ".join(row["scientificName"].split())


def _same_species(answer: str | None, gold: str) -> bool:
    return (answer or "").split()[:2] == gold.split()[:2] or " " not in (answer or " ")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
