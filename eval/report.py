"""What a judgement says, for people: lines for a terminal, Markdown, and one HTML file with figures and pictures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.benchmarks import MEANS
from catalog.ranks import RANKS
from eval import drawings, page, results
from eval.listing import Planned
from eval.page import Section, number
from eval.results import Outcome


def figures(outcome: Outcome) -> dict[str, Any]:
    """The figures of an outcome as plain data: value, interval, over runs, beside, and what they were measured on."""
    table, metric = outcome.answers, outcome.metric
    low, high = results.interval(table, metric, outcome.groups)
    mean, spread, n_runs = results.over_runs(table, metric)
    told = {
        "model": outcome.model, "benchmark": outcome.benchmark, "task": outcome.task, "track": outcome.track,
        "setting": outcome.setting, "metric": metric, "value": results.value(table, metric), "low": low, "high": high,
        "mean_of_runs": mean, "std_of_runs": spread, "n_runs": n_runs, "chance": outcome.chance,
        "n_examples": len(set(table["example"].to_pylist())),
        "beside": {name: results.value(table, name) for name in outcome.beside}, "notes": list(outcome.notes),
        "published": dict(outcome.published), "provenance": dict(outcome.provenance),
    }  # fmt: skip
    return {key: _plain(value) for key, value in told.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return None if isinstance(value, float) and value != value else value


def line(outcome: Outcome, told: Mapping[str, Any]) -> str:
    """One line for a terminal."""
    runs = f", ±{number(told['std_of_runs'])} over {told['n_runs']} runs" if told["n_runs"] > 1 else ""  # fmt: skip
    chance = f", chance {number(told['chance'])}" if told["chance"] is not None else ""
    beside = "".join(f"; {name} {number(value)}" for name, value in told["beside"].items() if ": " not in name)  # fmt: skip
    notes = "".join(f"\n  {note}" for note in outcome.notes)
    published = "; published: " + ", ".join(f"{who} {value / 100:.3f}" for who, value in outcome.published.items()) if outcome.published else ""  # fmt: skip
    return (f"{outcome.model}  {outcome.benchmark}  {outcome.task}, {outcome.track} ({outcome.setting}): "
            f"{outcome.metric} {number(told['value'])} ({number(told['low'])} to {number(told['high'])}){runs}{chance}{beside}{published}{notes}")  # fmt: skip


def write(out: Path, outcomes: Sequence[Outcome], told: Sequence[Mapping[str, Any]], plans: Sequence[Planned], hits: Mapping[str, pa.Table], undone: Sequence[str] = ()) -> Path:  # fmt: skip
    """report.md and report.html with their figures, in the folder `out`; returns the latter."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    models = list(dict.fromkeys(one["model"] for one in told))
    parts = [Section("All figures", (), ("set", "task", "track", "setting", "figure", "chance", *models), _by_model(told, models))]  # fmt: skip
    drawn = drawings.draw(out / "figures", outcomes, told)
    parts += [Section(title, figure=path) for title, path in drawn]
    if by_rank := _by_rank(told):
        parts.append(Section("How deep answers go (coverage), and how often they are right there (accuracy)", (), ("model", "set", "setting", "", *RANKS), by_rank))  # fmt: skip
    if paired := _pairs(outcomes):
        parts.append(Section("Models compared, on the same pictures", (), ("set", "task", "track", "setting", "figure", "first", "second", "first less second", "95 %"), paired))  # fmt: skip
    if means := _means(outcomes, told):
        parts.append(Section("Means that are published as such", (), ("model", "of", "value", "published"), means))  # fmt: skip
    if hits:
        seen = [(name, rule, f"{n:,}") for name, table in hits.items() for rule, n in _counted(table)]  # fmt: skip
        parts.append(Section("Pictures that training saw, or what they were taken with", (), ("set", "rule", "pictures"), seen or [("none", "", "")]))  # fmt: skip
    if beside := _beside(told, models):
        parts.append(Section("Other figures of the same answers", (), ("set", "task", "track", "setting", "figure", *models), beside))  # fmt: skip
    parts += [Section(group.title, pictures=group.pictures) for group in drawings.mistakes(outcomes, plans)]  # fmt: skip
    if notes := list(dict.fromkeys((o.benchmark, o.task, o.track, o.model, note) for o in outcomes for note in o.notes)):  # fmt: skip
        parts.append(Section("Notes", (), ("set", "task", "track", "model", "note"), notes))
    return page.write(out, "report", "Evaluation", parts, [f"not done: {why}" for why in undone])


def _by_rank(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(one["model"], one["benchmark"], one["setting"], what, *(number(one["beside"][f"{rank}: {what}"]) for rank in RANKS))
            for one in told if one["task"] == "back-off" for what in ("coverage", "accuracy")]  # fmt: skip


def _by_model(told: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[tuple[str, ...]]:
    """A row per judgement, a column per model: the figure and its interval; and what others published of it."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in told:
        key = (one["benchmark"], one["task"], one["track"], one["setting"], one["metric"], number(one["chance"]))  # fmt: skip
        others = "".join(f"; published: {who} {value / 100:.3f}" for who, value in one["published"].items())  # fmt: skip
        rows.setdefault(key, {})[one["model"]] = f"{number(one['value'])} ({number(one['low'])} to {number(one['high'])}){others}"  # fmt: skip
    return [(*key, *(values.get(model, "-") for model in models)) for key, values in rows.items()]


def _beside(told: Sequence[Mapping[str, Any]], models: Sequence[str]) -> list[tuple[str, ...]]:
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for one in told:
        for name, value in one["beside"].items():
            if ": " not in name:  # of ranks, which have a table of their own
                rows.setdefault((one["benchmark"], one["task"], one["track"], one["setting"], name), {})[one["model"]] = number(value)  # fmt: skip
    return [(*key, *(values.get(model, "-") for model in models)) for key, values in rows.items()]


def _pairs(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Every two models that were judged alike: the difference and its interval over the same draws of pictures."""
    found: list[tuple[str, ...]] = []
    by_key: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        by_key.setdefault((*outcome.key(), outcome.metric), []).append(outcome)
    for (benchmark, task, track, setting, metric), alike in by_key.items():
        for one, other in itertools.combinations(alike, 2):
            if set(one.answers["example"].to_pylist()) != set(other.answers["example"].to_pylist()):
                continue
            less, low, high = results.difference(one.answers, other.answers, metric, one.groups)
            found.append((benchmark, task, track, setting, metric, one.model, other.model, f"{less:+.3f}", f"{low:+.3f} to {high:+.3f}"))  # fmt: skip
    return found


def _means(outcomes: Sequence[Outcome], told: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Means over benchmarks that others publish, of models that were judged on all of them, whole."""
    found: list[tuple[str, ...]] = []
    for mean in MEANS:
        for model in dict.fromkeys(one["model"] for one in told):
            values = {o.benchmark: t["value"] for o, t in zip(outcomes, told, strict=True)
                      if o.model == model and o.is_whole and o.track == "compat" and mean.is_of(o.task, o.setting)}  # fmt: skip
            if (made := mean.of(values)) is not None:
                others = ", ".join(f"{who} {value / 100:.3f}" for who, value in mean.published.items())  # fmt: skip
                found.append((model, mean.name, number(made), others))
    return found


def _counted(table: pa.Table) -> list[tuple[str, int]]:
    rules = table["rule"].to_pylist()
    return [(rule, rules.count(rule)) for rule in sorted(set(rules))]
