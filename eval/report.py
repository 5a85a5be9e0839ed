"""What a judgement says, for people: lines for a terminal, Markdown, and one HTML file with figures and pictures."""

from __future__ import annotations

import base64
import html
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog.benchmarks import MEANS
from catalog.ranks import RANKS
from eval import drawings, results
from eval.listing import Planned
from eval.results import Outcome

Part = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # title, heads and rows of a table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22302a; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .7em; text-align: left; border-bottom: 1px solid #dde5e0 }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums } img { max-width: 100% } figure { margin: 1em 0 }
.mistakes { display: flex; flex-wrap: wrap; gap: 1em } .mistakes figure { width: 10em; margin: 0 } .mistakes img { width: 100% }
figcaption { font-size: 13px } .wrong { color: #a33 } .track { color: #667 }
"""


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
    runs = f", ±{_number(told['std_of_runs'])} over {told['n_runs']} runs" if told["n_runs"] > 1 else ""  # fmt: skip
    chance = f", chance {_number(told['chance'])}" if told["chance"] is not None else ""
    beside = "".join(f"; {name} {_number(value)}" for name, value in told["beside"].items() if ": " not in name)  # fmt: skip
    notes = "".join(f"\n  {note}" for note in outcome.notes)
    published = "; published: " + ", ".join(f"{who} {value / 100:.3f}" for who, value in outcome.published.items()) if outcome.published else ""  # fmt: skip
    return (f"{outcome.model}  {outcome.benchmark}  {outcome.task}, {outcome.track} ({outcome.setting}): "
            f"{outcome.metric} {_number(told['value'])} ({_number(told['low'])} to {_number(told['high'])}){runs}{chance}{beside}{published}{notes}")  # fmt: skip


def write(out: Path, outcomes: Sequence[Outcome], told: Sequence[Mapping[str, Any]], plans: Sequence[Planned], hits: Mapping[str, pa.Table], undone: Sequence[str] = ()) -> Path:  # fmt: skip
    """report.md and report.html with their figures, in the folder `out`; returns the latter."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    drawn = drawings.draw(out / "figures", outcomes, told)  # fmt: skip
    heads = (
        "model",
        "set",
        "task",
        "track",
        "setting",
        "figure",
        "value",
        "95 %",
        "chance",
        "beside",
    )
    rows = [_row(one) for one in told]
    parts: list[Part] = [("All figures", heads, rows)]
    if by_rank := _by_rank(told):
        parts.append(("How deep answers go (coverage), and how often they are right there (accuracy)", ("model", "set", "setting", "", *RANKS), by_rank))  # fmt: skip
    if paired := _pairs(outcomes):
        parts.append(("Models compared, on the same pictures", ("set", "task", "track", "setting", "figure", "first", "second", "first less second", "95 %"), paired))  # fmt: skip
    if means := _means(outcomes, told):
        parts.append(
            ("Means that are published as such", ("model", "of", "value", "published"), means)
        )
    if hits:
        seen = [
            (name, rule, f"{n:,}") for name, table in hits.items() for rule, n in _counted(table)
        ]
        parts.append(("Pictures that training saw, or what they were taken with", ("set", "rule", "pictures"), seen or [("none", "", "")]))  # fmt: skip
    notes = [*(f"not done: {why}" for why in undone), *(f"{o.benchmark}, {o.task}, {o.track}: {note}" for o in outcomes for note in o.notes)]  # fmt: skip
    _markdown(out / "report.md", parts, drawn, notes)
    _html(out / "report.html", parts, drawn, notes, drawings.mistakes(outcomes, plans))
    return out / "report.html"


def _by_rank(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(one["model"], one["benchmark"], one["setting"], what, *(_number(one["beside"][f"{rank}: {what}"]) for rank in RANKS))
            for one in told if one["task"] == "back-off" for what in ("coverage", "accuracy")]  # fmt: skip


def _row(told: Mapping[str, Any]) -> tuple[str, ...]:
    beside = ", ".join(f"{name} {_number(value)}" for name, value in told["beside"].items() if ": " not in name)  # fmt: skip
    return (told["model"], told["benchmark"], told["task"], told["track"], told["setting"], told["metric"], _number(told["value"]),
            f"{_number(told['low'])} to {_number(told['high'])}", _number(told["chance"]), beside)  # fmt: skip


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
                found.append((model, mean.name, _number(made), others))
    return found


def _counted(table: pa.Table) -> list[tuple[str, int]]:
    rules = table["rule"].to_pylist()
    return [(rule, rules.count(rule)) for rule in sorted(set(rules))]


def _markdown(path: Path, parts: Sequence[Part], drawn: Sequence[tuple[str, Path]], notes: Sequence[str]) -> None:  # fmt: skip
    lines = ["# Evaluation", "", *(f"- {_cell(note)}" for note in dict.fromkeys(notes)), ""]
    for title, heads, rows in parts:
        lines += [f"## {title}", "", _table_line(heads), _table_line(["---"] * len(heads)), *map(_table_line, rows), ""]  # fmt: skip
    for title, figure in drawn:
        lines += [f"## {title}", "", f"![{title}](figures/{figure.name})", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(words: str) -> str:
    """Text that Markdown takes as text."""
    return (
        html.escape(" ".join(words.split()), quote=False)
        .replace("|", "\\|")
        .replace("[", "\\[")
        .replace("*", "\\*")
    )


def _html(path: Path, parts: Sequence[Part], drawn: Sequence[tuple[str, Path]],
          notes: Sequence[str], mistakes: Sequence[drawings.Mistakes]) -> None:  # fmt: skip
    e = html.escape
    body = ["<h1>Evaluation</h1>", "<ul>", *(f"<li>{e(note)}</li>" for note in dict.fromkeys(notes)), "</ul>"]  # fmt: skip
    for title, heads, rows in parts:
        body += [
            f"<h2>{e(title)}</h2><table><tr>",
            *(f"<th>{e(head)}</th>" for head in heads),
            "</tr>",
        ]
        body += ["<tr>" + "".join(f'<td{" class=n" if _is_number(cell) else ""}>{e(cell)}</td>' for cell in row) + "</tr>" for row in rows]  # fmt: skip
        body.append("</table>")
    for title, figure in drawn:
        body.append(f'<h2>{e(title)}</h2><img alt="{e(title)}" src="{_embedded(figure.read_bytes(), "png")}">')  # fmt: skip
    for group in mistakes:
        body.append(f'<h2>{e(group.title)}</h2><div class="mistakes">')
        body += [f'<figure><img alt="" src="{_embedded(data, "jpeg")}"><figcaption>{e(truth)}<br><span class="wrong">{e(answer)}</span></figcaption></figure>'
                 for data, truth, answer in group.pictures]  # fmt: skip
        body.append("</div>")
    page = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Evaluation</title><style>{STYLE}</style></head><body>{"".join(body)}</body></html>'  # fmt: skip
    path.write_text(page + "\n", encoding="utf-8")


def _embedded(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _is_number(cell: str) -> bool:
    return (
        cell.replace(" to ", "")
        .replace(".", "")
        .replace("-", "")
        .replace("+", "")
        .replace(",", "")
        .isdigit()
    )


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"
