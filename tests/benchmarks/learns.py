"""Does training learn, and do taxonomic captions help where the paper says they do? Where must they not?

A tiny model on a sample world of 20,000 drawings, three seeds. First, held-out individuals of known species, zero-shot
among all species of the training data (peer: chance). Second, the claim: species of genera that training never saw are
told apart by their own captions; how often is the family (the order) of the answer the right one, for a model trained on
taxonomic captions (ours) and one trained on species names alone (peer), all else equal? Two controls in which the gain
must vanish: a world whose looks are not inherited, and a tree whose lineages were dealt out anew among the genera. A
fifth of the genera is kept out of training (the split `unseen`, less what its groups bring along of seen genera), so
that there are enough to compare, and training sees only pictures whose
species a taxonomy accepts, so that no unseen species hides there under another name. Intervals resample species, since
pictures of one are alike. Limit: what chance gives.
"""

from __future__ import annotations

import collections
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import _tiny, _worlds
from tests.benchmarks.harness import Result, Row, Target, target

N_PICTURES, STEPS, SEEDS = 20_000, 150, (4, 5, 6)
WORLD = 2  # not the one on which the protocol was found (DECISIONS.md)
QUICK = (1_000, 12, (1,))
RANKS, KINDS = ("family", "order"), ("taxon", "sci")


def run(*, quick: bool) -> Result:
    """Train all models, one after another; about an hour on two cores."""
    n, steps, seeds = QUICK if quick else (N_PICTURES, STEPS, SEEDS)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        rows, targets = _individuals(n, steps, seeds, work, judged=not quick)
        if not quick:
            more, others = _hierarchy(n, steps, seeds, work)
            rows, targets = [*rows, *more], [*targets, *others]
    return Result("learns", "chance; species-only captions", "chance", tuple(rows), tuple(targets))


def _individuals(n: int, steps: int, seeds: tuple[int, ...], work: Path, *, judged: bool) -> tuple[list[Row], list[Target]]:  # fmt: skip
    place = _worlds.dataset(n, seed=WORLD)
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
    """The claim and its two controls."""
    real = _worlds.accepted(_worlds.dataset(n, seed=WORLD, unseen_genera=0.2))
    control = _worlds.accepted(_worlds.dataset(n, seed=WORLD, inherited=False, unseen_genera=0.2))
    rows, targets = [], []
    for world, place in (("drawn by the tree", real), ("looks not inherited", control), ("tree dealt out anew", _worlds.shuffled(real))):  # fmt: skip
        seen = {row["genus"] for row in _tiny.rows(place, "train").values()}
        taxa = [taxon for taxon in _tiny.species(place, "unseen") if taxon["genus"] not in seen]
        names = {taxon["species"] for taxon in taxa}
        hits: dict[tuple[str, str], list[float]] = {}
        who: list[str] = []
        for seed, kind in itertools.product(seeds, KINDS):
            made = _tiny.train(
                place, work / f"{world}-{kind}-{seed}", seed=seed, steps=steps, text__types=[kind]
            )
            named, found = made.named("unseen", taxa, kind)
            answers = [
                (taxa[a], row)
                for a, row in zip(named, found, strict=True)
                if row["species"] in names
            ]
            who += [row["species"] for _, row in answers] if kind == KINDS[0] else []
            for rank in RANKS:
                right = [float(answer[rank] == row[rank]) for answer, row in answers]
                hits.setdefault((kind, rank), []).extend(right)
        for rank in RANKS:
            ours, theirs = (np.array(hits[kind, rank]) for kind in KINDS)
            low, high = _tiny.interval(ours - theirs, who)
            said = f"{(ours - theirs).mean():+.3f} ({low:+.3f} to {high:+.3f})"
            rows.append(Row(f"unseen genera, right {rank}: {world}", "share", ours.mean(), theirs.mean(), _chance(taxa, who, rank)))  # fmt: skip
            if world == "drawn by the tree":
                targets.append(target(f"unseen genera: taxonomic captions tell the {rank} better than species names", low > 0, said))  # fmt: skip
            else:
                targets.append(
                    target(f"{world}: the gain at the {rank} vanishes", low <= 0 <= high, said)
                )
    return rows, targets


def _chance(taxa: list[dict[str, Any]], who: list[str], rank: str) -> float:
    """How often a name drawn at random would be of the right family (order)."""
    share = {
        value: n / len(taxa)
        for value, n in collections.Counter(taxon[rank] for taxon in taxa).items()
    }
    of = {taxon["species"]: taxon[rank] for taxon in taxa}
    return float(np.mean([share[of[name]] for name in who]))
