"""Does training learn, and do taxonomic captions help where the paper says they do? Where must they not?

A tiny model on a sample world of 20,000 drawings, three seeds. First, held-out individuals of known species, zero-shot
among all species of the training data (peer: chance). Second, the claim: pictures of genera that training never saw are
named among the known species; at the ranks of family and order, how often is the name's family (order) the right one,
for a model trained on taxonomic captions (ours) and one trained on species names alone (peer), all else equal? Two
controls in which the gain must vanish: a world whose looks are not inherited, and a tree whose lineages were dealt out
anew among the genera. A fifth of the genera is kept out of training, so that there are enough to compare. Intervals
resample species, since pictures of one are alike.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks import _tiny, _worlds
from tests.benchmarks.harness import Result, Row, Target, target

N_PICTURES, STEPS, SEEDS = 20_000, 200, (1, 2, 3)
QUICK = (1_000, 12, (1,))
RANKS = ("family", "order")


def run(*, quick: bool) -> Result:
    """Train all models, one after another; about forty minutes on two cores."""
    n, steps, seeds = QUICK if quick else (N_PICTURES, STEPS, SEEDS)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        rows, targets = _individuals(n, steps, seeds, work, judged=not quick)
        if not quick:
            more, others = _hierarchy(n, steps, seeds, work)
            rows, targets = [*rows, *more], [*targets, *others]
    return Result("learns", "chance; species-only captions", "-", tuple(rows), tuple(targets))


def _individuals(n: int, steps: int, seeds: tuple[int, ...], work: Path, *, judged: bool) -> tuple[list[Row], list[Target]]:  # fmt: skip
    place = _worlds.dataset(n)
    taxa = _tiny.species(place)
    right, who = [], []
    for seed in seeds:
        made = _tiny.train(place, work / f"mixed-{seed}", seed=seed, steps=steps)
        named, rows = made.named("test", taxa, "taxon_com")
        for answer, row in zip(named, rows, strict=True):
            if row["species"] in {taxon["species"] for taxon in taxa}:
                right.append(float(taxa[answer]["species"] == row["species"]))
                who.append(row["species"])
    low, _ = _tiny.interval(np.array(right), who)
    chance = 1 / len(taxa)
    return [Row("held-out individuals, zero-shot top-1", "share", float(np.mean(right)), chance)], [
        target("held-out individuals: at least 5 times chance, lower 95 % bound", low >= 5 * chance,
               f"{low / chance:.1f} times of {len(taxa)} species, {len(seeds)} seeds", judged=judged)]  # fmt: skip


def _hierarchy(
    n: int, steps: int, seeds: tuple[int, ...], work: Path
) -> tuple[list[Row], list[Target]]:
    real = _worlds.dataset(n, unseen_genera=0.2)
    control = _worlds.dataset(n, inherited=False, unseen_genera=0.2)
    rows, targets = [], []
    for world, place in (("drawn by the tree", real), ("looks not inherited", control), ("tree dealt out anew", _worlds.shuffled(real))):  # fmt: skip
        gains: dict[str, list[float]] = {rank: [] for rank in RANKS}
        scores = {(kind, rank): list[float]() for kind in ("taxon", "sci") for rank in RANKS}
        who: list[str] = []
        for seed in seeds:
            hits = {}
            for kind in ("taxon", "sci"):
                made = _tiny.train(
                    place,
                    work / f"{world}-{kind}-{seed}",
                    seed=seed,
                    steps=steps,
                    text__types=[kind],
                )
                taxa = _tiny.species(place)
                named, found = made.named("unseen", taxa, kind)
                for rank in RANKS:
                    known = {taxon[rank] for taxon in taxa}
                    hits[kind, rank] = [float(taxa[a][rank] == row[rank]) if row[rank] in known else np.nan
                                        for a, row in zip(named, found, strict=True)]  # fmt: skip
                    scores[kind, rank] += [hit for hit in hits[kind, rank] if not np.isnan(hit)]
            who += [str(row["species"]) for row in found]
            for rank in RANKS:
                gains[rank] += [
                    a - b for a, b in zip(hits["taxon", rank], hits["sci", rank], strict=True)
                ]
        for rank in RANKS:
            ours, theirs = (float(np.mean(scores[kind, rank])) for kind in ("taxon", "sci"))
            rows.append(Row(f"unseen genera, right {rank}: {world}", "share", ours, theirs))
            gain = np.array(gains[rank])
            kept = ~np.isnan(gain)
            low, high = _tiny.interval(gain[kept], [w for w, k in zip(who, kept, strict=True) if k])
            found_ = f"{gain[kept].mean():+.3f} ({low:+.3f} to {high:+.3f})"
            if world == "drawn by the tree":
                targets.append(target(f"unseen genera: taxonomic captions name the {rank} better than species names", low > 0, found_))  # fmt: skip
            else:
                targets.append(target(f"{world}: the gain at the {rank} vanishes", low <= 0 <= high or high < 0, found_))  # fmt: skip
    return rows, targets
