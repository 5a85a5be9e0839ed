"""The steps of a build that touch picture bytes: hashing, held-out pictures, writing the data files.

They go through the store, so that a new recipe or a larger archive only pays for what is new.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from catalog import artifact, card, schema, sql
from catalog.artifact import Artifact
from curation import metadata, shard
from curation.engine import run_units
from curation.images import render
from curation.recipe import Recipe
from curation.sources.captions import MAX_CHARACTERS
from curation.steps.rendering import VERSION, Rendering
from curation.store import Ledger
from curation.workshop import Build, Made, sha256

HELD_SIDE_PX, HELD_QUALITY = 128, 80  # held-out pictures are compared, never shipped
HELD_PER_UNIT = 256  # whatever the workers: the packs belong to the artifact

HELD_SQL = """
select * exclude (seq), $name as benchmark from ledger order by pack, "offset", md5
"""


def benchmark(build: Build, _: Made) -> list[Artifact]:
    """Hashes and thumbnails of the held-out pictures."""
    made = []
    for item in build.recipe.benchmark:
        folder = build.path(item.path)
        if not folder.is_dir():
            raise ValueError(f"benchmark {item.name}: {folder} is no folder of pictures")

        def write(target: Path, folder: Path = folder, name: str = item.name) -> dict[str, Any]:
            return _held_out(build, folder, name, target)

        made.append(
            build.make("benchmark", 3, {"name": item.name}, [sha256(build.root, folder)], write)
        )
    return made


def _held_out(build: Build, folder: Path, name: str, target: Path) -> dict[str, Any]:
    """Look at every file of a folder; rows and packs go to `target`."""
    work = build.scratch("benchmark")
    limits = render.Limits(build.recipe.pixels.max_megapixels * 10**6, HELD_SIDE_PX, HELD_QUALITY)
    files = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file())
    contents = [render.Content("", None, name_, -1) for name_ in files]
    units = (render.Unit(some, str(folder), str(work), limits)
             for some in render.batches(contents, HELD_PER_UNIT))  # fmt: skip
    with build.progress(f"benchmark {name}", len(contents)) as bar:
        for looked in run_units(render.render_unit, units, engine=build.engine, workers=build.workers,
                                root=build.root, alone=render.render_alone):  # fmt: skip
            bar.step(True, len(looked))
    path = target / "part-000000.parquet"
    rows = sql.query(
        build.con, HELD_SQL, {"name": name}, ledger=Ledger(work, render.RENDERED).input()
    )
    n_rows = rows.copy_to(path)
    assert n_rows == len(contents), f"{name}: {n_rows} rows for {len(contents)} files"
    for pack in work.glob("*/*.pack"):
        place = target / pack.relative_to(work)
        place.parent.mkdir(exist_ok=True)
        os.replace(pack, place)
    return {"rows": n_rows, "unhashed": pq.read_table(path, columns=["phash"])["phash"].null_count}


HASHED_SQL = """
select l.md5, l.crop, l.phash, l.phash_quality, l.probes, l.pixel_xxh3, l.original_width, l.original_height,
  l.error
from content c join ledger l on l.md5 = c.md5 and l.crop is not distinct from c.crop
qualify row_number() over (partition by l.md5, l.crop order by l.phash, l.phash_quality, l.pixel_xxh3, l.error) = 1
order by l.md5, l.crop
"""


def phash_(build: Build, made: Made) -> list[Artifact]:
    """Hashes of every fetched picture and crop."""
    rendering = Rendering.of(build)

    def query() -> sql.Query:
        content = rendering.ensure(build, made, "phash")
        return sql.query(build.con, HASHED_SQL, content=content, ledger=rendering.ledger.input())

    params = dataclasses.asdict(rendering.limits)
    reads = [*made["media"], *made["fetch"]]
    return [build.make_table(schema.PHASH, VERSION, params, reads, query)]


def _prepared(recipe: Recipe) -> list[str]:
    """What this recipe does to names and pictures, in words for the card."""
    loaded = ", ".join(item.name for item in recipe.taxonomy)
    held_out = ", ".join(item.name for item in recipe.benchmark)
    size = (
        f", at most {recipe.pixels.max_side_px} px on the long side"
        if recipe.pixels.max_side_px
        else ""
    )
    equal = ", ".join(recipe.dedup.classes)
    pictures = [
        f"Pictures were decoded, turned upright and stripped of location tags{size}.",
        f"Of equal pictures one stayed; equal by {equal} (hashes within {recipe.dedup.near_max_bits} of 256 bits)." if equal
        else "Equal pictures were left as they are.",
        *([f"Held-out pictures and their copies were left out: {held_out}."] if held_out else []),
    ]  # fmt: skip
    if recipe.is_private:
        return [f"Captions lost control characters, repeated white space and what is beyond {MAX_CHARACTERS:,} characters.",
                *pictures]  # fmt: skip
    return [
        f"Names were read through {loaded}, with rule and score." if loaded
        else "Names are the providers' own; no taxonomy was loaded.",
        *pictures,
        *_scored(recipe),
        f"Coordinates follow the policy {recipe.geoprivacy.policy}.",
        f"Labels reach the rank {recipe.verdict.min_rank}." if recipe.verdict.min_rank != "any"
        else "Pictures without a label are in the data too.",
    ]  # fmt: skip


def _scored(recipe: Recipe) -> list[str]:
    """Which scores there are, what they were made with and what they dropped; and which there are not."""
    how, lines, without = recipe.verdict, list[str](), list[str]()
    if how.drop_types:
        lines.append(
            f"Left out by their metadata: pictures of the kinds {', '.join(how.drop_types)}."
        )

    def scored(name: str, columns: str, model: str, sha256: str, does: str) -> None:
        if not model:
            without.append(f"{name} ({columns})")
            return
        weights = f", sha256 {sha256}" if sha256 else ""
        lines.append(f"{name}: {columns} by {model}{weights}; {does}.")

    scored("Pictures of collections", "museum_label, museum_score", recipe.museum.model, recipe.museum.sha256,
           f"classes {', '.join(how.drop_museum) or 'none'} were left out where the margin is {how.min_museum_score:g} or more")  # fmt: skip
    scored("Camera traps", "animal_score", recipe.camera_trap.detector, recipe.camera_trap.sha256,
           f"frames below {how.min_animal_score:g} were left out")  # fmt: skip
    fate = {"drop": "were left out", "blur": "had their faces blurred", "keep": "were kept"}[
        how.on_face
    ]
    scored("Faces of people", "face_score", recipe.faces.detector, recipe.faces.sha256,
           f"pictures with a score of {how.max_face_score:g} or more {fate}")  # fmt: skip
    scored("Quality", "sharpness, subject_contrast, clipped_share", "plain measures" if recipe.quality.measure else "", "",
           f"limits {how.min_sharpness:g}, {how.min_subject_contrast:g}, {how.max_clipped_share:g}")  # fmt: skip
    if without:
        lines.append(
            f"Not scored, so that these columns are null and nothing was dropped by them: {'; '.join(without)}."
        )
    return lines


def _told(recipe: Recipe) -> dict[str, Any]:
    """What the card tells of the recipe."""
    archives = [(item.name, item.citation) for item in recipe.source]
    archives += [(f"{item.name} (taxonomy)", item.citation) for item in recipe.taxonomy]
    cited = {name: text for name, text in archives if text}
    told: dict[str, Any] = {"title": recipe.title or recipe.name, "licence": recipe.licence, "authors": recipe.authors,
            "cited": cited, "prepared": _prepared(recipe)}  # fmt: skip
    if recipe.is_private:  # what is not given away has no licence of its own
        told |= {"licence": "", "private": True}
    return told


def shard_(build: Build, made: Made) -> list[Artifact]:
    """The dataset folder; that of a private set has captions in place of labels, and one split."""
    recipe, how = build.recipe, dataclasses.asdict(build.recipe.shard)
    data = schema.CAPTIONS if recipe.is_private else schema.DATA
    if recipe.is_private:
        how |= {"validation": 0.0, "test": 0.0, "unseen_genera": 0.0}
    told = _told(recipe)
    judging = {
        n: getattr(recipe.verdict, n) for n in ("min_museum_score", "on_face", "max_face_score")
    }
    params = {**how, **judging, **dataclasses.asdict(recipe.pixels), "name": recipe.name, **told}
    names = (
        "media",
        "label",
        "vernacular",
        "fetch",
        "phash",
        "score",
        "dedup",
        "geoprivacy",
        "verdict",
    )
    inputs: dict[str, Any] = {name: made[name][0].paths[0] for name in names}
    rendering = Rendering.of(build)

    def write(folder: Path) -> dict[str, Any]:
        rendering.ensure(build, made, "shard")
        work = build.scratch("shard")
        shares = {k: how[k] for k in ("release", "seed", "validation", "test", "unseen_genera")}
        joined = metadata.tables(build.con, folder, work, **shares, **inputs, judging=judging, listed=made["listed"][0].paths[0],
                                 taxon=[a.path("taxon.parquet") for a in made["taxon"]],
                                 common=[a.path("vernacular.parquet") for a in made["taxon"]])  # fmt: skip
        if recipe.is_private:
            joined = shard.captioned(build.con, joined, inputs["media"], work)
        plan = shard.plan(build.con, joined, work, seed=how["seed"], n_buckets=how["n_buckets"],
                          rendered=rendering.ledger.input(), packs=rendering.packs.names(), score=inputs["score"])  # fmt: skip
        units = shard.units(build.con, plan, folder, how["release"], packs=rendering.ledger.dir,
                            rows_per_group=how["rows_per_group"], data=data, blur=judging["max_face_score"],
                            quality=recipe.pixels.quality)  # fmt: skip
        n_planned, n_written = pq.read_metadata(plan.data).num_rows, 0
        with build.progress("shard", n_planned) as bar:
            for n_rows in run_units(shard.shard, units, engine=build.engine, workers=build.workers,
                                    root=build.root):  # fmt: skip
                n_written += n_rows
                bar.step(True, n_rows)
        for unfinished in folder.rglob(".tmp-*"):  # of a worker that died; its unit was run again
            unfinished.unlink()
        n_thumbs = pq.read_metadata(plan.thumbnails).num_rows
        assert n_written == n_planned + n_thumbs, (
            f"shard: {n_planned} + {n_thumbs} planned, {n_written} written"
        )
        for unit in units:
            artifact.check(unit.target, schema.TABLES[unit.table])
        card.describe(build.con, folder, name=recipe.name, release=how["release"], **told)
        return {"rows": n_planned}

    reads = [made[name][0].address for name in (*names, "listed")]
    return [build.make("shard", 10, params, [*reads, *(a.address for a in made["taxon"])], write)]
