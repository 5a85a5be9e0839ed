"""What another threshold would change: counted from what is known, without a picture being touched.

`--what-if verdict.KEY=VALUE` judges a finished build anew with one field changed, and counts the rows that would come in and go
out, by reason, source and taxon. Which pictures are duplicates stays as that build found it. A field of any other section changes more than the verdict; such a build is made beside.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from catalog import artifact, sql
from curation import report
from curation.recipe import Recipe
from curation.steps import tables
from curation.workshop import Build

SECTION = "verdict."
N_SHOWN = 20

DIFFERENCE_SQL = """
select archive, source_table, source_row, media_index, o.source,
  case when o.keep then 'out' else 'in' end as goes,
  case when o.keep then n.reject_reason else o.reject_reason end as reason,
  coalesce(l.canonicalName, 'unlabelled') as taxon, coalesce(l."class", 'unlabelled') as "class"
from before o join after n using (archive, source_table, source_row, media_index)
left join media m using (archive, source_table, source_row, media_index) left join label l using (lineage)
where o.keep <> n.keep
order by archive, source_table, source_row, media_index
"""

OTHERWISE_SQL = """
select o.reject_reason as was, n.reject_reason as becomes, count(*) as n
from before o join after n using (archive, source_table, source_row, media_index)
where not o.keep and not n.keep and o.reject_reason <> n.reject_reason
group by was, becomes order by n desc, was, becomes
"""

KEPT_SQL = "select count(*) filter (keep) from verdict"

BY_SQL = """
select case $what when 'reason' then reason when 'source' then source when 'class' then "class" else taxon end as name,
  count(*) filter (goes = 'in') as n_in, count(*) filter (goes = 'out') as n_out
from difference group by name order by n_in + n_out desc, name
"""


def what_if(recipe: Recipe, root: Path, key: str, changed: Recipe) -> dict[str, list[tuple[Any, ...]]]:  # fmt: skip
    """Print and return what the changed recipe would keep and drop: rows (name, in, out) by reason, source, class, taxon.

    `otherwise` are rows (reason, other reason, n) that stay out for another reason: what was left out before its
    picture was asked for has no scores yet. Raises ValueError where no build of the recipe has finished.
    """
    with artifact.locked(root):
        inputs = _last_build(recipe, root, key)
        con = sql.connect(memory_limit=recipe.memory_limit, spill_dir=root / "tmp" / "spill")
        build = Build(recipe=recipe, root=root, con=con)
        work = build.scratch("what-if")
        both: dict[str, Any] = {"before": work / "before.parquet", "after": work / "after.parquet"}
        for name, which in (("before", recipe), ("after", changed)):
            tables.judged(dataclasses.replace(build, recipe=which), inputs).copy_to(both[name])
        difference = work / "difference.parquet"
        sql.query(con, DIFFERENCE_SQL, **both, media=inputs["media"], label=inputs["label"]).copy_to(difference)  # fmt: skip
        found = {
            what: sql.query(con, BY_SQL, {"what": what}, difference=difference).rows()
            for what in ("reason", "source", "class", "taxon")
        }
        found["otherwise"] = sql.query(con, OTHERWISE_SQL, **both).rows()
        _tell(build, key, changed, found, [_kept(build, path) for path in both.values()])
        con.close()
    return found


def _last_build(recipe: Recipe, root: Path, key: str) -> dict[str, Path]:
    """The tables that the last finished build of a recipe was judged by."""
    made = report.last_run(root, recipe.name)
    found = {}
    for name in tables.JUDGED:
        kept = [artifact.find(root, name, address) for address in made.get(name, ())]
        if not kept or kept[0] is None:
            raise ValueError(f"--what-if {key} asks a finished build, and {root} has none of {recipe.name!r}; build it first")  # fmt: skip
        found[name] = kept[0].path("part-000000.parquet")
    return found


def _kept(build: Build, path: Path) -> int:
    return int(sql.query(build.con, KEPT_SQL, verdict=path).scalar())


def _tell(build: Build, key: str, changed: Recipe, found: dict[str, list[tuple[Any, ...]]], kept: list[int]) -> None:  # fmt: skip
    name = key.removeprefix(SECTION)
    old, new = (getattr(recipe.verdict, name) for recipe in (build.recipe, changed))
    n_in, n_out = (sum(row[i] for row in found["reason"]) for i in (1, 2))
    report.say(f"\n{key} = {_shown(new)} in place of {_shown(old)}: {n_in:,} pictures more, {n_out:,} fewer; {kept[1]:,} kept, not {kept[0]:,}")  # fmt: skip
    for what in ("reason", "source", "class", "taxon"):
        rows = found[what]
        if not rows:
            continue
        report.say(f"\n{'by ' + what:<44} {'in':>8} {'out':>8}")
        for label, more, fewer in rows[:N_SHOWN]:
            report.say(f"{label or '-':<44.44} {more or '':>8} {fewer or '':>8}")
        if rest := rows[N_SHOWN:]:
            report.say(f"{f'{len(rest):,} others':<44} {sum(r[1] for r in rest) or '':>8} {sum(r[2] for r in rest) or '':>8}")  # fmt: skip
    for was, becomes, n in found["otherwise"][:N_SHOWN]:
        unknown = " (nobody has asked for them: a build with the changed recipe would)" if becomes == "not_fetched" else ""  # fmt: skip
        report.say(f"{n:,} would be left out as {becomes}, not {was}{unknown}")
    report.say(
        "\nduplicates stay as the build found them: a build with the changed recipe compares anew what it keeps"
    )
    report.say(f"nothing was changed; to have it so, write {name} = {_shown(new)} under [verdict] in the recipe and build")  # fmt: skip


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"
