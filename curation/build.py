"""Build a dataset from a recipe.

    python -m curation.build                    the sample world, in a minute, from nothing
    python -m curation.build my_taxa.toml       your own recipe (--new my_taxa.toml writes one)
    python -m curation.build gbif:Geospiza      a dataset of one taxon, from GBIF as it is now

Ends with a summary of every stage and the line that loads the result. Run again, and only what has
changed is done again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalog.artifact import Artifact
    from curation.recipe import Recipe
    from curation.workshop import Build, Made

    Step = Callable[[Build, Made], list[Artifact]]

ENGINES = ("auto", "serial", "process", "slurm", "ray")


@dataclass(frozen=True)
class Stage:
    """One line of the pipeline: its name, the step that makes it, the module its SQL is in."""

    name: str
    step: str
    module: str
    unit: str


STAGES = (
    Stage("scorer", "scoring:scorer", "curation.steps.scoring", "models"),
    Stage("taxon", "tables:taxon", "curation.taxonomy.lineage", "names"),
    Stage("source", "tables:source", "curation.sources.gbif", "media rows"),
    Stage("media", "tables:media_", "curation.media", "media rows"),
    Stage("label", "tables:label", "curation.taxonomy.resolve", "lineages"),
    Stage("vernacular", "tables:vernacular_", "curation.taxonomy.vernacular", "names"),
    Stage("listed", "tables:listed_", "curation.species_list", "names of lists"),
    Stage("eligible", "tables:eligible", "curation.verdict", "pictures"),
    Stage("fetch", "fetching:fetch_", "curation.steps.fetching", "addresses"),
    Stage("phash", "pictures:phash_", "curation.steps.pictures", "pictures"),
    Stage("score", "scoring:score_", "curation.steps.scoring", "pictures"),
    Stage("benchmark", "pictures:benchmark", "curation.steps.pictures", "held-out pictures"),
    Stage("dedup", "duplicates:dedup_", "curation.dedup", "pictures"),
    Stage("geoprivacy", "tables:geoprivacy_", "curation.geoprivacy", "coordinates"),
    Stage("verdict", "tables:verdict_", "curation.verdict", "media rows"),
    Stage("shard", "pictures:shard_", "curation.shard", "pictures"),
)


def build(recipe: Recipe, root: Path, **options: Any) -> dict[str, list[Artifact]]:
    """Run every stage that has work to do; return the artifacts by stage.

    Options are those of the command line (engine, workers, only, dry_run), `view` (another name for the dataset folder) and `host_map`,
    which sends hosts to loopback ports for tests. Raises ValueError for what
    the recipe or the command got wrong.
    """
    from catalog import artifact, sql
    from curation import engine, report, workshop

    root = root.resolve()
    only = options.get("only")
    if options.get("dry_run") and recipe.expect:
        from curation import estimate

        for line in estimate.estimate(recipe, root):
            report.say(line)
        if workshop.missing_places(recipe):
            return {}
    with artifact.locked(root):
        artifact.heal(root)
        if options.get("dry_run") and recipe.sample and not _drawn(recipe, root):
            report.say("would draw the sample world; every stage would run, for none has yet")
            return {}
        with _world(recipe, root) as (recipe, host_map):
            workshop.check_places(recipe)
            host_map = {**host_map, **options.get("host_map", {})}
            con = sql.connect(memory_limit=recipe.memory_limit, spill_dir=root / "tmp" / "spill")
            work = workshop.Build(
                recipe=recipe, root=root, con=con, host_map=host_map,
                engine=options.get("engine", "auto"), workers=options.get("workers", 0),
                dry_run=options.get("dry_run", False))  # fmt: skip
            try:
                made = _run(work, only)
            finally:
                engine.release()
            view = options.get("view") or recipe.name
            con.close()
            if not work.dry_run and "shard" in made:  # `prune` goes by whole runs
                report.place_view(root, view, made["shard"][0])
                report.note_run(root, view, made, work.n_made)
    return made


def _run(work: Build, only: str | None) -> dict[str, list[Artifact]]:
    from curation import report, workshop

    made: dict[str, list[Artifact]] = {}
    names = [stage.name for stage in STAGES]
    for stage in STAGES:
        if stage.name == "scorer" and only and names.index(only) < names.index("score"):
            made[stage.name] = []  # nobody will look at a picture
            continue
        before, started = work.n_made, time.monotonic()
        module, _, function = stage.step.partition(":")
        step: Step = getattr(importlib.import_module(f"curation.steps.{module}"), function)
        try:
            made[stage.name] = step(work, made)
        except workshop.WouldRun as pending:
            why = pending.why or report.why(
                work.root, work.recipe.name, pending.stage, pending.identity
            )
            report.say(f"{stage.name:<11} would run: {why}; so would every stage that reads it")
            break
        seconds = time.monotonic() - started
        report.stage_done(work.root, stage.name, made[stage.name], work.n_made - before, seconds)
        if stage.name == only:
            break
    return made


def _drawn(recipe: Recipe, root: Path) -> bool:
    from catalog import artifact
    from curation import report

    return artifact.find(root, "sample-world", report.world_address(recipe)) is not None


@contextlib.contextmanager
def _world(recipe: Recipe, root: Path) -> Iterator[tuple[Recipe, dict[str, str]]]:
    """For a recipe with a sample world: draw it, serve it, and start the recipe's paths there."""
    if recipe.sample is None:
        yield recipe, {}
        return
    from catalog import artifact
    from curation import report, sample

    key = report.world_address(recipe)
    if not _drawn(recipe, root):
        with artifact.making(root, "sample-world", key) as folder:
            sample.world(recipe.sample, folder)
            artifact.commit(root, "sample-world", key, folder, identity={}, counts={})
    folder = root / "sample-world" / key
    with sample.serve(sample.plan(recipe.sample)) as port:
        yield dataclasses.replace(recipe, folder=folder), {"*.invalid": port}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from catalog import terminal

    args = _parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        return _main(args)
    except (ValueError, FileExistsError) as error:
        terminal.error(error)
        return 2
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None
        return 141
    except KeyboardInterrupt:
        terminal.tell("stopped; run the same command again to go on", to=sys.stderr)
        return 130


def _main(args: argparse.Namespace) -> int:
    from catalog import toml_tree
    from curation import recipe, report

    if args.show:
        report.show_sql(next(stage.module for stage in STAGES if stage.name == args.show))
        return 0
    if args.new:
        report.new_recipe(Path(args.new))
        return 0
    root = Path(args.root)
    if args.recipe.startswith("gbif:"):
        from curation import live

        chosen = live.recipe_for(args.recipe.removeprefix("gbif:"), root)
    else:
        chosen = recipe.read(args.recipe)
    if args.support:
        from curation import support

        support.make(chosen, root.resolve(), Path(args.support))
        return 0
    if args.what_if:
        key, _, value = (part.strip() for part in args.what_if.partition("="))
        changed = recipe.changed(chosen, key, toml_tree.as_toml_value(value))
        if key.startswith("verdict."):
            from curation import what_if

            what_if.what_if(chosen, root.resolve(), key, changed)
            return 0
        chosen = changed
    if args.explain is not None:
        from curation.taxonomy import explain

        made = build(chosen, root, only="taxon")
        explain.explain(chosen, root.resolve(), made["taxon"], args.explain, args.lineage)
        return 0
    started = time.monotonic()
    view = f"{chosen.name}-what-if" if args.what_if else chosen.name
    leading: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if args.engine == "slurm":
        from curation import engine_slurm

        if engine_slurm.place().rank:
            n_units = engine_slurm.serve(root.resolve(), args.workers)
            report.say(f"this rank ran {n_units} units; rank 0 has the summary")
            return 0
        leading = engine_slurm.leading(root.resolve())
    with leading:
        made = build(chosen, root, engine=args.engine, workers=args.workers, only=args.only,
                     dry_run=args.dry_run, view=view)  # fmt: skip
    if args.dry_run:
        report.say("that was a dry run: nothing was done")
    elif "shard" in made:
        report.summary(root, view, chosen, made, time.monotonic() - started)
    if args.prune:
        report.prune(root)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m curation.build", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__)  # fmt: skip
    names = [stage.name for stage in STAGES]
    parser.add_argument(
        "recipe",
        nargs="?",
        default="sample",
        metavar="RECIPE",
        help="built-in name, TOML file or gbif:<taxon name or key> (default: sample)",
    )
    parser.add_argument(
        "--root", default="treeoflife-data", metavar="DIR", help="where everything goes"
    )
    parser.add_argument(
        "--engine",
        default="auto",
        choices=ENGINES,
        help="who runs picture work: this machine, the ranks of a Slurm job, or Ray",
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes (0: one per core)"
    )
    parser.add_argument("--only", choices=names, metavar="STAGE", help="stop after this stage")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and do nothing")
    parser.add_argument("--show", choices=names, metavar="STAGE", help="print the stage's SQL")
    parser.add_argument("--explain", metavar="NAME", help="say how a scientific name is resolved")
    parser.add_argument("--lineage", default="", metavar="RANK=NAME,…",
                        help="with --explain: what is stated beside the name")  # fmt: skip
    parser.add_argument(
        "--what-if",
        metavar="KEY=VALUE",
        help="verdict.KEY=VALUE: count what another threshold would change; of other fields: build with it changed",
    )
    parser.add_argument(
        "--support",
        metavar="DIR",
        help="make the museum's support set of folders of labelled pictures",
    )
    parser.add_argument("--new", metavar="FILE", help="write a commented recipe for your own taxa")
    parser.add_argument("--prune", action="store_true", help="remove artifacts no dataset uses")
    return parser


if __name__ == "__main__":
    sys.exit(main())
