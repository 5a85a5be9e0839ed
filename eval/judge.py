"""All tasks on all test sets by all models, and what is left of it on disk."""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import place as places
from catalog import terminal
from eval import backoff, contamination, few_shot, listing, report, zero_shot
from eval.examples import Examples
from eval.features import Features, features
from eval.listing import Planned
from eval.model import Model, opened
from eval.results import TRACKS, Outcome
from eval.tasks import awa2, fishnet, herbarium19, newt, plantdoc


def judge(args: argparse.Namespace) -> list[Outcome]:
    """Everything that the command line asks for. Raises ValueError for what the user has to mend, before any work."""
    if not args.models:
        raise ValueError("name at least one model, such as local-dir:treeoflife-data/runs/sample/export; --list shows the benchmarks")  # fmt: skip
    _checked(args)
    plans = listing.planned(args.on, args.tasks, args.data)
    if args.splits and len(plans) > 1:
        raise ValueError("--splits goes with one test set")
    given = few_shot.read_splits(args.splits, plans[0].examples.column("example")) if args.splits else None  # fmt: skip
    if args.against:
        places.find(args.against, ("catalog",))
    models = [opened(name, precision=args.precision) for name in dict.fromkeys(args.models)]
    tracks = TRACKS if args.track == "both" else (args.track,)
    _can_be_asked(models, plans, args)
    outcomes, left_out, hits = list[Outcome](), list[tuple[str, str, str]](), dict[str, pa.Table]()
    told = list[dict[str, Any]]()
    for plan in plans:
        for model in models:
            found = features(model, plan.examples, args.out, workers=args.workers, batch=args.batch)
            if args.against and plan.examples.name not in hits:
                hits[plan.examples.name] = contamination.hits(plan.examples, found.pictures, args.against)  # fmt: skip
            groups = {e: g for e, g in zip(plan.examples.column("example"), plan.examples.column("group_id"), strict=True) if g}  # fmt: skip
            made = [replace(one, groups=groups) for task in plan.tasks for track in tracks for one in _task(task, model, plan.examples, found, track, args, given)]  # fmt: skip
            if args.against:
                made += [less for one in made for less in _less(one, hits[plan.examples.name])]
            for one in made:
                outcomes.append(one)
                told.append(report.figures(one))
                terminal.tell(report.line(one, told[-1], plan))
            if "few-shot" in plan.tasks and given is None:
                _write_splits(args, plan.examples, found)
        left_out += _left_out(plan.examples, found)
        _tell_left_out(plan, left_out)
    _write(args.out, outcomes, told, left_out, hits)
    where = report.write(args.out, outcomes, told, plans, hits)
    terminal.tell(f"report: {where}")
    return outcomes


def _checked(args: argparse.Namespace) -> None:
    if args.labels and args.labels not in zero_shot.KINDS:
        raise ValueError(f"--labels {args.labels!r} is unknown; choose of {', '.join(zero_shot.KINDS)}")  # fmt: skip
    if any(k < 1 for k in args.shots):
        raise ValueError("--shots are whole numbers from 1")
    if args.batch < 1:
        raise ValueError("--batch is a whole number from 1")


def _can_be_asked(
    models: Sequence[Model], plans: Sequence[Planned], args: argparse.Namespace
) -> None:
    """A model without words is an error where zero-shot tasks were asked for by name; else they are passed over, and told."""
    for model in models:
        if model.has_text:
            continue
        if asked := [task for task in ("zero-shot", "back-off") if task in args.tasks]:
            raise ValueError(f"{model.name} has no text tower, so it cannot be asked {asked[0]}: leave it out, or ask --tasks few-shot")  # fmt: skip
        if any({"zero-shot", "back-off"} & set(plan.tasks) for plan in plans):
            terminal.tell(
                f"{model.name} has no text tower: zero-shot and back-off are left out for it"
            )


def _task(task: str, model: Model, asked: Examples, found: Features, track: str, args: argparse.Namespace,
          given: few_shot.Splits | None) -> Iterator[Outcome]:  # fmt: skip
    """The outcomes of one task on one track; none where the task has another track, or cannot be asked of the model."""
    own = {"fishnet": fishnet.fishnet, "awa2": awa2.awa2,
           "herbarium19": herbarium19.herbarium19, "plantdoc": plantdoc.plantdoc}  # fmt: skip
    if task == "newt":
        yield from newt.newt(model.name, asked, found, track, workers=args.workers)
    elif task in own:
        yield from own[task](model.name, asked, found, track)
    elif task == "few-shot":
        if given is None or track == TRACKS[-1]:
            yield from few_shot.few_shot(model.name, asked, found, tuple(args.shots), track, given=given)  # fmt: skip
    elif not model.has_text:
        return
    elif task == "zero-shot":
        yield zero_shot.zero_shot(model, asked, found, args.labels or asked.kind, track)
    elif track == "fixed" and any(asked.column("genus")):
        yield from backoff.back_off(model, asked, found)


def _less(outcome: Outcome, found: pa.Table) -> Iterator[Outcome]:
    """The same without pictures that training saw, and without those taken where and when it saw others."""
    seen = contamination.named(found, contamination.PICTURE_RULES)
    near = seen | contamination.named(found, contamination.CONTEXT_RULES)
    asked = set(outcome.answers["example"].to_pylist())
    if n := len(seen & asked):
        yield outcome.without(seen, f"without {n} seen in training")
    if (near - seen) & asked:
        yield outcome.without(near, f"without {len(near & asked)} seen, or of the same observer-day or deployment")  # fmt: skip


def _left_out(asked: Examples, found: Features) -> list[tuple[str, str, str]]:
    unread = [(row["example"], row["error"]) for row in found.pictures.to_pylist() if row["error"] is not None]  # fmt: skip
    return [(asked.name, example, why) for example, why in (*asked.left_out, *unread)]


def _tell_left_out(plan: Planned, left_out: Sequence[tuple[str, str, str]]) -> None:
    own = [why for name, _, why in left_out if name == plan.examples.name]
    if own:
        counts = ", ".join(f"{why} {own.count(why):,}" for why in sorted(set(own))[:5])
        terminal.tell(
            f"{plan.examples.name}: {len(own):,} rows left out ({counts}); see left_out.csv"
        )
    if plan.benchmark and (n := len(plan.examples)) != plan.benchmark.n_images:
        terminal.tell(f"{plan.examples.name}: {n:,} pictures; the benchmark has {plan.benchmark.n_images:,}: figures of others do not compare")  # fmt: skip


def _write_splits(args: argparse.Namespace, asked: Examples, found: Features) -> None:
    """What few-shot learns from, as a file that `--splits` reads."""
    keep = np.flatnonzero(found.good)
    labels, names = asked.column("label"), asked.column("example")
    folder = args.out / "splits"
    folder.mkdir(parents=True, exist_ok=True)
    for track in TRACKS if args.track == "both" else (args.track,):
        drawn = few_shot.splits([labels[i] for i in keep], args.shots, track=track)
        few_shot.write_splits(folder / f"{_file(asked.name)}--{track}.csv", drawn, [names[i] for i in keep])  # fmt: skip


def _write(out: Path, outcomes: Sequence[Outcome], told: Sequence[dict[str, Any]], left_out: Sequence[tuple[str, str, str]],
           hits: dict[str, pa.Table]) -> None:  # fmt: skip
    """Answers, figures, and what was left out."""
    (out / "predictions").mkdir(parents=True, exist_ok=True)
    for model, benchmark in dict.fromkeys((o.model, o.benchmark) for o in outcomes):
        tables = [_told(o) for o in outcomes if (o.model, o.benchmark) == (model, benchmark) and ", without " not in o.setting]  # fmt: skip
        pq.write_table(pa.concat_tables(tables), out / "predictions" / f"{_file(benchmark)}--{_file(model)}.parquet")  # fmt: skip
    with (out / "left_out.csv").open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("benchmark", "example", "reason"))
        lines.writerows(left_out)
    for name, found in hits.items():
        pq.write_table(found, out / f"contamination--{_file(name)}.parquet")
    (out / "metrics.json").write_text(json.dumps(list(told), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")  # fmt: skip


def _told(outcome: Outcome) -> pa.Table:
    """Answers with what they are answers to, in front."""
    table = outcome.answers
    for name in ("setting", "track", "task", "benchmark", "model"):
        column = pa.array(
            [getattr(outcome, name)] * table.num_rows, pa.string()
        ).dictionary_encode()
        table = table.add_column(0, name, column)
    return table.unify_dictionaries()


def _file(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[-80:]
