"""All tasks on all test sets by all models, and what is left of it on disk."""

from __future__ import annotations

import argparse
import collections
import csv
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import terminal
from catalog.benchmarks import Benchmark
from catalog.ranks import RANKS
from eval import backoff, contamination, few_shot, listing, report, zero_shot
from eval.examples import Examples
from eval.features import Features, features
from eval.listing import Planned
from eval.model import Model, opened
from eval.results import TRACKS, Outcome
from eval.tasks import awa2, fishnet, herbarium19, newt, plantdoc

WORDS = ("zero-shot", "back-off")  # tasks that ask in words
UNCAST = (
    "newt",
    "fishnet",
    "awa2",
    "herbarium19",
)  # BioCLIP 2's figures of these are of fp32 features
PACKAGES = ("treeoflife", "torch", "open_clip_torch", "timm", "numpy", "scikit-learn")


@dataclass
class Made:
    """What a judgement has come to so far."""

    outcomes: list[Outcome] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[tuple[str, str, str], None] = field(default_factory=dict)  # set, picture, reason
    undone: list[str] = field(default_factory=list)  # what was to be done and could not be, and why
    hits: dict[str, pa.Table] = field(default_factory=dict)


def judge(args: argparse.Namespace) -> Made:
    """Everything that the command line asks for.

    Raises ValueError for what the user has to mend, before any work; what turns out later to be impossible is told,
    and the rest done.
    """
    if not args.models:
        raise ValueError("name at least one model, such as local-dir:treeoflife-data/runs/sample/export; --list shows the benchmarks")  # fmt: skip
    checked(args)
    plans = listing.planned(args.on, args.tasks, args.data)
    given = _given(args, plans)
    models = [opened(name, precision=args.precision) for name in dict.fromkeys(args.models)]
    _can_be_asked(models, plans, args)
    made = Made()
    with (
        contamination.trained(args.against) if args.against else contamination.nothing() as trained
    ):
        for plan in plans:
            for model in models:
                try:
                    _ask(plan, model, args, given, trained, made)
                except ValueError as error:  # of one set: the others are judged
                    _undone(made, f"{model.name} on {plan.examples.name}: {error}")
            _tell_left_out(plan, made)
    _write(args.out, made)
    where = report.write(args.out, made.outcomes, made.told, plans, made.hits, made.undone)
    terminal.tell(f"report: {where}")
    return made


def checked(args: argparse.Namespace) -> None:
    """Raises ValueError for what no judgement can do with."""
    if args.labels and args.labels not in zero_shot.KINDS:
        raise ValueError(f"--labels {args.labels!r} is unknown; choose of {', '.join(zero_shot.KINDS)}")  # fmt: skip
    if any(k < 1 for k in args.shots):
        raise ValueError("--shots are whole numbers from 1")
    if args.batch < 1:
        raise ValueError("--batch is a whole number from 1")


def _given(args: argparse.Namespace, plans: Sequence[Planned]) -> few_shot.Splits | None:
    if not args.splits:
        return None
    if len(plans) > 1:
        raise ValueError("--splits goes with one test set")
    return few_shot.read_splits(args.splits, plans[0].examples.column("example"))


def _can_be_asked(
    models: Sequence[Model], plans: Sequence[Planned], args: argparse.Namespace
) -> None:
    """Refuses labels that a set has not, and models without words where words were asked for by name."""
    for plan in plans:
        if args.labels not in ("", "asis") and "zero-shot" in plan.tasks:
            zero_shot.strings(plan.examples, args.labels, TRACKS[-1])
    for model in models:
        if model.has_text:
            continue
        if asked := [task for task in WORDS if task in args.tasks]:
            raise ValueError(f"{model.name} has no text tower, so it cannot be asked {asked[0]}: leave it out, or ask --tasks few-shot")  # fmt: skip
        if any(set(WORDS) & set(plan.tasks) for plan in plans):
            terminal.tell(f"{model.name} has no text tower: zero-shot and back-off are left out for it")  # fmt: skip


def _ask(plan: Planned, model: Model, args: argparse.Namespace, given: few_shot.Splits | None,
         trained: contamination.Trained | None, made: Made) -> None:  # fmt: skip
    """All tasks of a set by one model; each outcome is told as it comes."""
    asked = plan.examples
    if not args.precision and set(plan.tasks) & set(UNCAST):
        model = replace(model, precision="fp32")
    made.left_out.update(dict.fromkeys((asked.name, *row) for row in asked.left_out))
    found = features(model, asked, args.out, workers=args.workers, batch=args.batch)
    unread = ((row["example"], row["error"]) for row in found.pictures.to_pylist() if row["error"] is not None)  # fmt: skip
    made.left_out.update(dict.fromkeys((asked.name, *row) for row in unread))
    is_new = asked.name not in {o.benchmark for o in made.outcomes}
    if plan.benchmark and is_new and not _is_whole(plan.benchmark, found):
        terminal.tell(f"{asked.name}: {int(found.good.sum()):,} pictures can be used; the benchmark has {plan.benchmark.n_images:,}: "
                      "figures of others do not compare")  # fmt: skip
    if trained and asked.name not in made.hits:
        made.hits[asked.name] = contamination.hits(asked, found.pictures, trained)
    groups = {e: g for e, g in zip(asked.column("example"), asked.column("group_id"), strict=True) if g}  # fmt: skip
    provenance = _provenance(model, asked)
    for task in plan.tasks:
        if task in WORDS and not model.has_text:
            continue
        before = len(made.outcomes)
        try:
            for one in _task(task, model, asked, found, args, given):
                one = replace(_compared(one, plan, found), groups=groups, provenance=provenance)
                for outcome in (one, *(_less(one, made.hits[asked.name]) if trained else ())):
                    made.outcomes.append(outcome)
                    made.told.append(report.figures(outcome))
                    terminal.tell(report.line(outcome, made.told[-1]))
        except ValueError as error:
            _undone(made, f"{model.name} on {asked.name}, {task}: {error}")
        else:
            if len(made.outcomes) == before and task in args.tasks:
                _undone(made, f"{model.name} on {asked.name}, {task}: {_why_nothing(task, asked, args)}")  # fmt: skip
            elif len(made.outcomes) == before and task == "few-shot":
                terminal.tell(f"{asked.name}, few-shot: {_why_nothing(task, asked, args)}")
    if given is None and "few-shot" in plan.tasks:
        _write_splits(args, asked, found)


def _task(task: str, model: Model, asked: Examples, found: Features, args: argparse.Namespace, given: few_shot.Splits | None) -> Iterator[Outcome]:  # fmt: skip
    """The outcomes of one task on the tracks that are asked for; none where nothing can be asked."""
    own: dict[str, Callable[..., Iterator[Outcome]]] = {
        "fishnet": fishnet.fishnet, "awa2": awa2.awa2, "herbarium19": herbarium19.herbarium19, "plantdoc": plantdoc.plantdoc}  # fmt: skip
    tracks = TRACKS if args.track == "both" else (args.track,)
    if task == "few-shot" and given is not None:
        yield from few_shot.few_shot(model.name, asked, found, sorted({k for k, _ in given}), "given", given=given)  # fmt: skip
    elif task == "back-off":
        if "fixed" in tracks and any(asked.column("genus")):
            yield from backoff.back_off(model, asked, found)
    else:
        for track in tracks:
            if task in own:
                yield from own[task](model.name, asked, found, track)
            elif task == "newt":
                yield from newt.newt(model.name, asked, found, track, workers=args.workers)
            elif task == "few-shot":
                yield from few_shot.few_shot(model.name, asked, found, tuple(args.shots), track)
            else:
                yield zero_shot.zero_shot(model, asked, found, args.labels or asked.kind, track)


def _why_nothing(task: str, asked: Examples, args: argparse.Namespace) -> str:
    if task == "back-off":
        return "it has no track compat" if args.track == "compat" else "the set states no lineages to back off to"  # fmt: skip
    most = max(collections.Counter(asked.column("label")).values())
    return f"no class has more pictures than are learned from; the largest has {most}"


def _undone(made: Made, why: str) -> None:
    made.undone.append(why)
    terminal.tell(f"not done: {why}")


def _compared(outcome: Outcome, plan: Planned, found: Features) -> Outcome:
    """With what others published, where it is of the same pictures, asked in the same way."""
    benchmark = plan.benchmark
    if benchmark is None or outcome.track != "compat" or not _is_whole(benchmark, found):
        return outcome
    if outcome.task == "zero-shot" and not outcome.setting.startswith(f"{benchmark.kind}, 81 "):
        return outcome
    is_published = outcome.task in ("zero-shot", *listing.READERS)
    return replace(outcome, is_whole=True, published=benchmark.published if is_published else {})


def _is_whole(benchmark: Benchmark, found: Features) -> bool:
    """True where all but a hundredth of a benchmark's pictures were read."""
    return abs(int(found.good.sum()) / benchmark.n_images - 1) <= 0.01


def _less(outcome: Outcome, found: pa.Table) -> Iterator[Outcome]:
    """The same without pictures that training saw, and without those taken where and when it saw others."""
    seen = contamination.named(found, contamination.PICTURE_RULES)
    near = seen | contamination.named(found, contamination.CONTEXT_RULES)
    asked = set(outcome.answers["example"].to_pylist())
    if n := len(seen & asked):
        yield outcome.without(seen, f"without {n} seen in training")
    if (near - seen) & asked:
        yield outcome.without(near, f"without {len(near & asked)} seen, or of the same observer-day or deployment")  # fmt: skip


def _provenance(model: Model, asked: Examples) -> dict[str, str]:
    """What names the weights, the preprocessing, the pictures and the code."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"weights": model.digest, "preprocessing": model.seeing.text, "precision": model.precision, "device": model.device.type,
            "pictures": asked.digest, **versions}  # fmt: skip


def _tell_left_out(plan: Planned, made: Made) -> None:
    asked = plan.examples
    own = [why for name, _, why in made.left_out if name == asked.name]
    if own:
        counts = ", ".join(f"{why} {own.count(why):,}" for why in sorted(set(own))[:5])
        terminal.tell(f"{asked.name}: {len(own):,} rows left out ({counts}); see left_out.csv")
    if asked.kind != "asis" and "zero-shot" in plan.tasks:
        rows = asked.table.select(list(RANKS)).to_pylist()
        unknown = {label for label, row in zip(asked.column("label"), rows, strict=True) if not any(row.values())}  # fmt: skip
        if unknown:
            terminal.tell(f"{asked.name}: {len(unknown):,} classes have no lineage and are asked by their label alone, such as {min(unknown)}")  # fmt: skip


def _write_splits(args: argparse.Namespace, asked: Examples, found: Features) -> None:
    """What few-shot learns from, as a file that `--splits` reads."""
    keep = np.flatnonzero(found.good)
    labels, names = asked.column("label"), asked.column("example")
    folder = args.out / "splits"
    folder.mkdir(parents=True, exist_ok=True)
    for track in TRACKS if args.track == "both" else (args.track,):
        drawn = few_shot.splits([labels[i] for i in keep], args.shots, track=track)
        few_shot.write_splits(folder / f"{file_of(asked.name)}--{track}.csv", drawn, [names[i] for i in keep])  # fmt: skip


def _write(out: Path, made: Made) -> None:
    """Answers, figures, and what was left out."""
    (out / "predictions").mkdir(parents=True, exist_ok=True)
    for model, benchmark in dict.fromkeys((o.model, o.benchmark) for o in made.outcomes):
        its = [o for o in made.outcomes if (o.model, o.benchmark) == (model, benchmark) and ", without " not in o.setting]  # fmt: skip
        table = pa.concat_tables([_told(o) for o in its]).replace_schema_metadata(its[0].provenance)
        pq.write_table(table, out / "predictions" / f"{file_of(benchmark)}--{file_of(model)}.parquet")  # fmt: skip
    with (out / "left_out.csv").open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("benchmark", "example", "reason"))
        lines.writerows(made.left_out)
    for name, found in made.hits.items():
        pq.write_table(found, out / f"contamination--{file_of(name)}.parquet")
    (out / "metrics.json").write_text(json.dumps(made.told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")  # fmt: skip


def _told(outcome: Outcome) -> pa.Table:
    """Answers with what they are answers to, in front."""
    table = outcome.answers
    for name in ("setting", "track", "task", "benchmark", "model"):
        column = pa.array(
            [getattr(outcome, name)] * table.num_rows, pa.string()
        ).dictionary_encode()
        table = table.add_column(0, name, column)
    return table.unify_dictionaries()


def file_of(name: str) -> str:
    """A name as part of a file's: its plain letters, and what keeps it apart from others that share them."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[-60:]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
