"""All that is asked of what emerged, of every model and control, on every set; and the page that says so."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog import terminal
from catalog.ranks import RANKS
from eval import backoff, listing, zero_shot
from eval.emergent import (
    alignment,
    ancestry,
    drawings,
    orthogonality,
    report,
    theory,
    traits,
    variants,
)
from eval.emergent.alignment import Alignment, Space
from eval.emergent.ancestry import Lineages
from eval.emergent.orthogonality import Orthogonality
from eval.emergent.theory import Check
from eval.emergent.traits import Trait
from eval.emergent.variants import Variants
from eval.examples import Examples
from eval.features import Features, features
from eval.judge import checked, file_of
from eval.model import PIXELS, RANDOM, UNTRAINED, Model, opened
from training import text

LEAST_PICTURES = 2  # of a species, for its mean to count
MAX_SPECIES = 1_000  # of a trait: pairs of more take gigabytes
MAX_NAMES = 20_000  # that are prototypes of the check of the theorem
SCALES = (1.0, 10.0, 100.0)  # inverse temperatures of that check, beside the model's own

Floats = NDArray[np.float64]


@dataclass
class Found:
    """What was measured, by set and model; `undone` says what could not be, and why."""

    alignments: list[tuple[str, str, str, int, Alignment]] = field(
        default_factory=list
    )  # set, model, trait, species
    shares: list[tuple[str, str, int, tuple[float, ...]]] = field(
        default_factory=list
    )  # set, trait, species, by rank
    variants: list[tuple[str, str, str, str, Orthogonality]] = field(
        default_factory=list
    )  # set, model, variant, vectors
    checks: list[tuple[str, str, Check]] = field(default_factory=list)
    drawn: list[tuple[str, Path]] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Means:
    """The species of a set that have a trait and enough pictures, in the space of a model."""

    names: tuple[str, ...]
    vectors: Floats  # (K, D), means of unit vectors
    lineages: Lineages
    example: tuple[int, ...]  # of each, one picture's place in the set


def judge(args: argparse.Namespace) -> Found:
    """Everything that the command line asks for.

    Raises ValueError for what the user has to mend, before any work; what turns out later to be impossible is told, and
    the rest done.
    """
    if not args.models or not args.on:
        raise ValueError("--emergence needs models, and labelled pictures: python -m eval.run MODEL --emergence --on SET [--traits TABLE]")  # fmt: skip
    if args.trait and not args.traits:
        raise ValueError("--trait names columns of a table: say which with --traits")
    if args.against or args.splits or args.tasks:
        raise ValueError("--emergence does not go with --against, --splits or --tasks")
    checked(args)
    sets = [listing.read(name, args.data) for name in dict.fromkeys(args.on)]
    listing.distinct(sets)
    kinds = [variants.found(asked) for asked in sets]
    known = traits.traits(args.traits, args.trait) if args.traits else []
    if not known and not any(kinds):
        raise ValueError(f"{', '.join(one.name for one in sets)}: no sex, no life stage, and no --traits TABLE: there is nothing to look for")  # fmt: skip
    models = [opened(name, precision=args.precision) for name in controlled(args.models)]
    found = Found(checks=[("", "", check) for check in theory.toys()])
    (args.out / "figures").mkdir(parents=True, exist_ok=True)
    for asked, own in zip(sets, kinds, strict=True):
        seen = []
        for model in models:
            try:
                seen.append((model, features(model, asked, args.out, workers=args.workers, batch=args.batch)))  # fmt: skip
            except ValueError as error:  # of one model or set: the others are judged
                _undone(found, f"{model.name}: {error}")
        if not seen:
            continue
        for trait in known:
            _trait(asked, seen, trait, args.out, found)
        for kind in own:
            _variant(asked, seen, kind, args.out, found)
        for model, _ in seen:
            _theory(asked, model, found)
    _write(args.out, found)
    terminal.tell(f"page: {report.write(args.out, found)}")
    return found


def _undone(found: Found, why: str) -> None:
    if why not in found.undone:
        found.undone.append(why)
        terminal.tell(f"not done: {why}")


def controlled(models: Sequence[str]) -> list[str]:
    """The models asked for, behind two that learned nothing: pixels alone, and the first model with random weights."""
    first = next((name for name in models if name != PIXELS), "")
    bare = [] if not first or first.startswith(UNTRAINED) or first.endswith(f":{RANDOM}") else [f"{UNTRAINED}{first}"]  # fmt: skip
    return list(dict.fromkeys([PIXELS, *bare, *models]))


def means(asked: Examples, found: Features, wanted: Sequence[str] = ()) -> Means:
    """The means of species with enough readable pictures, of MAX_SPECIES at most; of those in `wanted` where any are named."""
    labels = [traits.binomial(s or label) for s, label in zip(asked.column("species"), asked.column("label"), strict=True)]  # fmt: skip
    chosen, by_species = set(wanted), dict[str, list[int]]()
    for i in np.flatnonzero(found.good):
        if not chosen or labels[i] in chosen:
            by_species.setdefault(labels[i], []).append(int(i))
    names = sorted(name for name, places in by_species.items() if len(places) >= LEAST_PICTURES)
    if len(names) > MAX_SPECIES:  # the same for every model
        names = sorted(random.Random(0).sample(names, MAX_SPECIES))
    unit, rows = found.unit(), asked.rows()
    vectors = np.stack([unit[by_species[name]].mean(0, dtype=np.float64) for name in names]) if names else np.zeros((0, unit.shape[1]))  # fmt: skip
    paths = [backoff.path(rows[by_species[name][0]])[:-1] for name in names]
    lineages = Lineages.of(paths) if names else Lineages(np.zeros((len(RANKS) - 1, 0), dtype=np.int64), np.zeros(0, dtype=np.bool_))  # fmt: skip
    return Means(tuple(names), vectors, lineages, tuple(by_species[name][0] for name in names))


def _trait(asked: Examples, seen: Sequence[tuple[Model, Features]], trait: Trait, out: Path, found: Found) -> None:  # fmt: skip
    shown = list[tuple[str, Means, Floats]]()
    for model, its in seen:
        try:
            own = means(asked, its, list(trait.values))
            values, classes = coded(own, trait)
            space = Space.of(own.vectors, own.lineages)
            told = alignment.of_number(space, values) if trait.is_number else alignment.of_classes(space, values.astype(np.int64))  # fmt: skip
        except ValueError as error:
            _undone(found, f"{asked.name}, {trait.name}: {error}")
            return
        if not shown:
            _note(asked, trait, own, found)
            found.shares.append((asked.name, trait.name, len(own.names), _shares(own.lineages, values, trait.is_number)))  # fmt: skip
        found.alignments += [(asked.name, model.name, trait.name, len(own.names), one) for one in told]  # fmt: skip
        best = next(one for one in told if one.figure.startswith(alignment.HARDEST))
        terminal.tell(f"{model.name}  {asked.name}  {trait.name}: {best.figure} {best.value:.3f} ({best.low:.3f} to {best.high:.3f}), by ancestry {best.kin:.3f}: {best.verdict}")  # fmt: skip
        shown.append((model.name, own, values))
    title = f"{trait.name}: species of {asked.name}"
    path = out / "figures" / f"trait-{file_of(asked.name)}-{file_of(trait.name)}.png"
    drawings.species(path, title, asked, shown, classes)
    found.drawn.append((title, path))


def _note(asked: Examples, trait: Trait, own: Means, found: Found) -> None:
    """What a reader has to know of the species that a trait is asked of."""
    rows = asked.rows()
    bare = sum(not rows[i]["family"] for i in own.example)
    if bare:
        found.notes.append(f"{asked.name}, {trait.name}: {bare} of {len(own.names)} species state no family, so that their ancestry is hardly known")  # fmt: skip
    named = {traits.binomial(s or label) for s, label in zip(asked.column("species"), asked.column("label"), strict=True)}  # fmt: skip
    if without := sorted(named - set(trait.values)):
        found.notes.append(f"{asked.name}, {trait.name}: {len(without)} of {len(named)} species are not in the table, or it says nothing of them, such as {without[0]}")  # fmt: skip
    if len(own.names) == MAX_SPECIES:
        found.notes.append(f"{asked.name}, {trait.name}: asked of {MAX_SPECIES:,} species drawn by chance")  # fmt: skip


def _shares(lineages: Lineages, values: Floats, is_number: bool) -> tuple[float, ...]:
    parts = ancestry.normal_scores(values)[:, None] if is_number else ancestry.one_hot(values.astype(np.int64))  # fmt: skip
    return tuple(ancestry.shares(lineages, parts).by_rank.tolist())


def coded(own: Means, trait: Trait) -> tuple[Floats, list[str]]:
    """The trait of each species, and the names of its classes; classes of too few species are a class of others.

    Raises ValueError where all species are alike.
    """
    if trait.is_number:
        made, classes = np.array([float(trait.values[name]) for name in own.names]), list[str]()
    else:
        said = [str(trait.values[name]) for name in own.names]
        kept = sorted({s for s in said if said.count(s) >= alignment.LEAST_OF_CLASS})
        classes = [*kept, *(["others"] if set(said) - set(kept) else [])]
        made = np.array([classes.index(s if s in kept else "others") for s in said], dtype=np.float64)  # fmt: skip
    if len(own.names) >= alignment.LEAST_SPECIES and len(set(made.tolist())) < 2:
        raise ValueError(f"all {len(own.names)} species with the trait and {LEAST_PICTURES} pictures are alike")  # fmt: skip
    return made, classes


def _variant(asked: Examples, seen: Sequence[tuple[Model, Features]], kind: Variants, out: Path, found: Found) -> None:  # fmt: skip
    groups = asked.column("group_id")
    for model, its in seen:
        for words, vectors in (("unit", its.unit()), ("as they are", its.vectors)):
            keep = np.where(its.good, kind.variant, -1)
            apart = orthogonality.units(vectors.astype(np.float64), kind.species, keep, groups)
            try:
                told = [
                    orthogonality.orthogonality(*apart, by_three=three) for three in (True, False)
                ]
            except ValueError as error:
                _undone(found, f"{asked.name}, {kind.name}: {error}")
                return
            found.variants += [(asked.name, model.name, kind.name, words, one) for one in told]
            if words == "unit":
                one = told[0]
                terminal.tell(f"{model.name}  {asked.name}  {kind.name}: rho {one.rho.value:.3f} ({one.rho.low:.3f} to {one.rho.high:.3f}), by chance {one.by_chance:.3f}; "
                              f"Fisher's ratio {one.fdr.value:.3f} ({one.fdr.low:.3f} to {one.fdr.high:.3f}), {one.n_species} species")  # fmt: skip
    title = f"{kind.name}: three species of {asked.name}"
    path = out / "figures" / f"variants-{file_of(asked.name)}-{file_of(kind.name)}.png"
    drawings.variants(path, title, seen, kind)
    found.drawn.append((title, path))


def _theory(asked: Examples, model: Model, found: Found) -> None:
    """The theorem on the names of the set's species as the model's text tower embeds them."""
    if not model.has_text or model.name.startswith(UNTRAINED):
        return
    first: dict[str, dict[str, Any]] = {}
    for row, label in zip(asked.rows(), asked.column("label"), strict=True):
        first.setdefault(row["species"] or label, row)
    names = sorted(first)
    if len(names) < 3:
        return
    if len(names) > MAX_NAMES:
        names = random.Random(0).sample(names, MAX_NAMES)
        found.notes.append(f"{asked.name}: the theorem is checked on {MAX_NAMES:,} names drawn by chance")  # fmt: skip
    words = [text.words({**first[name], "canonicalName": name, "infraspecificEpithet": None}, backoff.KIND) or name for name in names]  # fmt: skip
    prototypes = zero_shot.classifier(model, words, [text.PROMPT.format]).astype(np.float64)
    for scale in (*SCALES, model.scale):
        for normalised in (False, True):
            found.checks.append((asked.name, model.name, theory.check(f"names of {asked.name}", prototypes, scale, normalised=normalised)))  # fmt: skip


def _write(out: Path, found: Found) -> None:
    """Every figure as plain data, emergence.json."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def rows() -> Iterator[dict[str, Any]]:
        for asked, model, trait, n, one in found.alignments:
            yield {"set": asked, "model": model, "trait": trait, "species": n, **dataclasses.asdict(one), "verdict": one.verdict}  # fmt: skip
        for asked, model, kind, vectors, measured in found.variants:
            yield {"set": asked, "model": model, "variant": kind, "vectors": vectors, **dataclasses.asdict(measured), "by_chance": measured.by_chance}  # fmt: skip
        for asked, model, check in found.checks:
            yield {"set": asked, "model": model, **dataclasses.asdict(check), "says": check.says}

    (out / "emergence.json").write_text(json.dumps([plain(row) for row in rows()], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")  # fmt: skip
