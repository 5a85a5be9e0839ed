"""What a build tells people: stage lines, the summary table, SQL, explanations; and its log.

Times and hosts go to `<root>/log/build.jsonl`, never into an artifact.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import artifact, sql, terminal
from catalog.artifact import MANIFEST, Artifact

if TYPE_CHECKING:
    import duckdb

    from curation.recipe import Recipe

Made = Mapping[str, list[Artifact]]

REJECTS_SQL = """
select reject_stage, reject_reason, count(*) as n from verdict
where not keep group by all order by n desc, reject_stage, reject_reason
"""
KEPT_SQL = "select count(*) filter (keep) as kept, count(*) as n from verdict"
OUTCOMES_SQL = 'select status, count(*) as n from "fetch" group by status order by status'
RULES_SQL = """
select coalesce(match_rule, 'unresolved: ' || match_reason) as rule, count(*) as n
from label group by rule order by n desc, rule
"""
PROBLEMS_SQL = """
select problem, count(*) as n, min(coalesce(taxonID, '-') || ' ' || coalesce(detail, '')) as example
from problem group by problem order by problem
"""


def say(text: str = "") -> None:
    """One line for the person at the terminal."""
    terminal.tell(text)


def stage_done(root: Path, stage: str, made: list[Artifact], n_new: int, seconds: float) -> None:
    """Tell and log that a stage is done."""
    rows = sum(a.counts.get("rows", 0) for a in made)
    what = f"{rows:,} rows" if n_new else f"{rows:,} rows, already there"
    say(f"{stage:<11} {what:<28} {seconds:6.1f} s")
    _log(
        root,
        {
            "event": "stage",
            "stage": stage,
            "rows": rows,
            "new": n_new,
            "seconds": round(seconds, 3),
        },
    )


def problems(con: duckdb.DuckDBPyConnection, taxon: Artifact) -> None:
    """Say what is not sound in a taxonomy that was loaded; the whole list lies beside it."""
    path = taxon.path("problem.parquet")
    for problem, n, example in sql.query(con, PROBLEMS_SQL, problem=path).rows():
        say(f"            {taxon.manifest['params']['name']}: {n:,} {problem}, such as {example}")


def note_run(root: Path, name: str, made: Made, n_made: int) -> None:
    """Log the run, and say so when there was nothing to do."""
    addresses = {stage: [a.address for a in artifacts] for stage, artifacts in made.items()}
    _log(root, {"event": "run", "recipe": name, "n_made": n_made, "artifacts": addresses,
                "host": platform.node(), "python": platform.python_version()})  # fmt: skip
    if not n_made:
        say("nothing to do: everything was already there")


def summary(root: Path, view: str, recipe: Recipe, made: Made, seconds: float) -> None:
    """The table at the end, truth scores of a sample world, and the line that loads the result."""
    con = sql.connect()
    verdict = made["verdict"][0].paths[0]
    ((kept, n_rows),) = sql.query(con, KEPT_SQL, verdict=verdict).rows()
    rejects = sql.query(con, REJECTS_SQL, verdict=verdict).rows()
    say(f"\n{n_rows:,} media rows: {kept:,} kept, {n_rows - kept:,} left out, in {seconds:.1f} s\n")
    say("labels     " + ", ".join(f"{r} {n:,}" for r, n in
                                  sql.query(con, RULES_SQL, label=made["label"][0].paths[0]).rows()))  # fmt: skip
    say("addresses  " + ", ".join(f"{s} {n:,}" for s, n in
                                  sql.query(con, OUTCOMES_SQL, fetch=made["fetch"][0].paths[0]).rows()))  # fmt: skip
    say(f"\n{'left out at':<11} {'reason':<28} {'rows':>8}")
    for stage, reason, n in rejects:
        say(f"{stage:<11} {reason:<28} {n:>8,}")
    assert kept + sum(n for *_, n in rejects) == n_rows, (
        "rows in are not rows kept plus rows rejected"
    )
    if recipe.sample is not None:
        _scores(root, recipe, made)
    place = root / "datasets" / view
    n_unlabelled = sum(n for stage, _, n in rejects if stage == "label")
    if n_unlabelled > n_rows / 2:
        say("\nmost rows have no label: load a [[taxonomy]] that holds their names, state a kingdom beside "
            'them, or let them in with verdict.min_rank = "any"')  # fmt: skip
    if not kept:
        say(
            f'\nno picture was kept: load_dataset("{place}", "rejects") has the reason of every row'
        )
        con.close()
        return
    say(f'\nload it:   from datasets import load_dataset; data = load_dataset("{place}")')
    con.close()


def world_address(recipe: Recipe) -> str:
    """Where the sample world of a recipe lies under `sample-world`."""
    assert recipe.sample is not None
    return artifact.address("sample-world", 3, dataclasses.asdict(recipe.sample), [])


def _scores(root: Path, recipe: Recipe, made: Made) -> None:
    from curation import sample

    key = world_address(recipe)
    folder = made["shard"][0].dir / "metadata" / recipe.shard.release
    con = sql.connect()
    scores = sample.score(
        con, truth=root / "sample-world" / key / "truth.parquet",
        catalog=sorted(folder.glob("catalog-*.parquet")),
        rejects=sorted(folder.glob("rejects-*.parquet")))  # fmt: skip
    say(f"\n{'against the planted truth':<40} {'precision':>9} {'recall':>7} {'n':>6}")
    for score in scores:
        numbers = [f"{v:.3f}" if v is not None else "-" for v in (score.precision, score.recall)]
        say(f"{score.name:<40} {numbers[0]:>9} {numbers[1]:>7} {score.n:>6}")
    con.close()


def place_view(root: Path, name: str, shard: Artifact) -> None:
    """Make `<root>/datasets/<name>` show the finished dataset, by hard links (copies where it must)."""
    view = root / "datasets" / name
    there = view / MANIFEST
    if there.exists() and there.read_bytes() == (shard.dir / MANIFEST).read_bytes():
        return
    fresh, old = (view.with_name(f".tmp-{kind}-{name}") for kind in ("new", "old"))
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    view.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(shard.dir, fresh, copy_function=_link)
    if view.exists():
        view.rename(old)
    fresh.rename(view)
    shutil.rmtree(old, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def show_sql(module: str) -> None:
    """Print every query of a stage's module."""
    loaded = importlib.import_module(module)
    for name, text in vars(loaded).items():
        if name.isupper() and isinstance(text, str) and "select" in text:
            say(f"-- {module}.{name}\n{text.strip()}\n")


def new_recipe(path: Path) -> None:
    """Write the commented template; FileExistsError rather than overwrite."""
    if path.exists():
        raise FileExistsError(f"{path} exists; choose another name")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"{path.parent} is no folder; make it first")
    template = Path(__file__).parent / "recipes" / "own_taxa.toml"
    path.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    say(f"wrote {path}; edit it, then run: python -m curation.build {path}")


def why(root: Path, name: str, stage: str, identity: Mapping[str, object]) -> str:
    """What about a stage is new since the last run of a recipe."""
    last = last_run(root, name, stage)
    manifests = [root / stage / key / MANIFEST for key in last.get(stage, ())]
    known = [json.loads(path.read_text()) for path in manifests if path.exists()]
    if not known:
        return "it has not run yet"
    old, new = known[0], json.loads(json.dumps(identity))
    if old["version"] != new["version"]:
        return f"its version is {new['version']}, was {old['version']}"
    changed = [
        f"{key} is {new['params'].get(key)!r}, was {old['params'].get(key)!r}"
        for key in sorted({*old["params"], *new["params"]})
        if old["params"].get(key) != new["params"].get(key)
    ]
    return ", ".join(changed) or "what it reads has changed"


def last_run(root: Path, name: str, stage: str = "") -> dict[str, list[str]]:
    """Addresses by stage of the last finished run of a recipe (that has `stage`); {} where there is none."""
    log = root / "log" / "build.jsonl"
    last: dict[str, list[str]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        event = json.loads(line)
        if event.get("event") == "run" and event["recipe"] == name:
            last = event["artifacts"] if not stage or event["artifacts"].get(stage) else last
    return last


def prune(root: Path) -> None:
    """Remove artifacts that the last run of no recipe used."""
    used: dict[str, set[str]] = {}
    log = root / "log" / "build.jsonl"
    for line in log.read_text().splitlines() if log.exists() else ():
        event = json.loads(line)
        if event.get("event") == "run":
            used[event["recipe"]] = {
                f"{s}/{a}" for s, keys in event["artifacts"].items() for a in keys
            }
    keep = set().union(*used.values()) if used else set()
    n_gone = 0
    for manifest in sorted(root.glob(f"*/*/{MANIFEST}")):
        folder = manifest.parent
        if folder.parent.name not in ("datasets", "sample-world", "store") and (
            f"{folder.parent.name}/{folder.name}" not in keep
        ):
            shutil.rmtree(folder)
            n_gone += 1
    say(f"removed {n_gone} artifacts that no recipe's last run used")


def _log(root: Path, event: Mapping[str, object]) -> None:
    path = root / "log" / "build.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **event}) + "\n")
