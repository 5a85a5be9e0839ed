"""The steps that score pictures: models opened and checked before any work, then every picture shown to them once.

Scores lie in ledgers of the store by picture and scorer, so that a new recipe or a larger archive scores what is new.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, schema, sql
from catalog.artifact import Artifact
from curation.engine import run_units, run_with
from curation.images import camera_trap, embedding, faces, museum, scoring
from curation.images.scoring import Content, Spec, Unit
from curation.images.weights import HUB, weights
from curation.steps.rendering import VERSION, Rendering
from curation.store import Ledger
from curation.workshop import Build, Made, WouldRun, file_sha256, sha256

CONTENT_SQL = """
with shown as (
  select p.md5, p.crop, coalesce(m.image_type, 'unknown') as image_type, m.uuid, m.archive, m.eventDate,
    m.deploymentID as deployment, m.eventID
  from media m semi join eligible e on e.uuid = m.uuid
  join "fetch" f on f.url = m.url and f.status = 'ok'
  join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop and p.error is null
  where m.reject_reason is null
),
frame as (
  select *, try_cast(split_part(eventDate, '/', 1) as timestamp) as taken,
    lag(try_cast(split_part(eventDate, '/', 1) as timestamp)) over (partition by archive, deployment order by eventDate, uuid) as taken_before
  from shown semi join wanted w on w.image_type = shown.image_type and w.kind = 'background' where deployment is not null
),
timed as (
  select *, coalesce(eventID, case when taken is not null then (sum((taken_before is null or taken - taken_before > interval 60 seconds)::integer)
      over (partition by archive, deployment order by eventDate, uuid))::varchar end) as event,
    (row_number() over (partition by archive, deployment order by eventDate, uuid) - 1) // $max_burst as part
  from frame
),
deployed as (
  select archive, deployment, part, list(distinct struct_pack(md5 := md5, crop := crop, event := event)
      order by struct_pack(md5 := md5, crop := crop, event := event)) as frames
  from timed where event is not null group by archive, deployment, part having count(distinct event) > 1
)
select distinct w.kind, md5, crop, null::varchar as unit, null::varchar as event
from shown join wanted w using (image_type) where w.kind <> 'background'
union all
select 'background', f.md5, f.crop, md5(frames::varchar), f.event from deployed, unnest(frames) as u(f)
order by kind, unit, md5, crop, event
"""

TODO_SQL = """
with missing as (
  select c.kind, c.md5, c.crop, c.unit, c.event from content c
  where not exists (select 1 from scored s where s.kind = c.kind and s.md5 = c.md5
    and s.crop is not distinct from c.crop and s.unit is not distinct from c.unit)
),
whole as (select * from missing where unit is null
          union all select c.* from content c semi join missing m on c.unit = m.unit),
place as (
  select r.md5, r.crop, first(struct_pack(pack := r.pack, "offset" := r."offset", n_bytes := r.n_bytes, image_xxh3 := r.image_xxh3,
    n_thumb_bytes := r.n_thumb_bytes, thumb_xxh3 := r.thumb_xxh3) order by r.pack, r."offset") as r
  from rendered r semi join packs using (pack) semi join whole w on w.md5 = r.md5 and w.crop is not distinct from r.crop
  where r.pack is not null group by r.md5, r.crop
)
select w.md5, w.crop, r.pack as pack, r."offset" as "offset", r.n_bytes as n_bytes, r.image_xxh3 as image_xxh3,
  r.n_thumb_bytes as n_thumb_bytes, r.thumb_xxh3 as thumb_xxh3,
  list(w.kind order by w.kind) as kinds, w.unit, coalesce(w.event, '') as event
from whole w join place p on p.md5 = w.md5 and p.crop is not distinct from w.crop
group by all order by unit, pack, "offset", md5, crop, event
"""

SCORE_SQL = """
select c.md5, c.crop, max(s.museum_nearest) as museum_nearest, max(s.museum_score) as museum_score,
  max(s.animal_score) as animal_score, max(s.face_score) as face_score, max(s.face_boxes) as face_boxes,
  max(s.sharpness) as sharpness, max(s.subject_contrast) as subject_contrast, max(s.clipped_share) as clipped_share,
  min(s.error) as error
from (select distinct kind, md5, crop, unit from content) c join scored s on s.kind = c.kind and s.md5 = c.md5
  and s.crop is not distinct from c.crop and s.unit is not distinct from c.unit
group by c.md5, c.crop order by c.md5, c.crop
"""


WANTED = pa.schema([("kind", pa.string()), ("image_type", pa.string())])


def scorer(build: Build, _: Made) -> list[Artifact]:
    """One artifact per scorer of the recipe: proof that its model opens, and the museum's support set.

    First of all stages, so that what is wrong with a model ends the build before any work.
    """
    return [_opened(build, spec, digest) for spec, digest in _named(build)]


_NEEDS = {"museum": ("torch", "open_clip"), "camera_trap": ("onnxruntime",), "faces": ("cv2",)}


def _checked(build: Build, key: str, name: str, plain: str) -> None:
    """ValueError where what a model runs in is not installed; a dry run fetches no weights."""
    missing = [module for module in _NEEDS[key] if name != plain and importlib.util.find_spec(module) is None]  # fmt: skip
    if missing:
        raise ValueError(f"[{key}] {name!r} {embedding.EXTRA} ({', '.join(missing)} is not there)")
    if build.dry_run and name.startswith(HUB):
        raise WouldRun("scorer", why=f"the weights {name} are looked up on the Hub")


def _named(build: Build) -> Iterator[tuple[Spec, list[str]]]:
    """What the recipe names, checked as far as that goes without opening it, and the sha256 of what it reads."""
    recipe, folder = build.recipe, build.recipe.folder
    hashed = functools.partial(file_sha256, build.root)
    if model := recipe.museum.model:
        _checked(build, "museum", model, embedding.PIXELS)
        held = None if model == embedding.PIXELS else weights(model, recipe.museum.sha256, folder, key="museum", hashed=hashed)  # fmt: skip
        name = museum.model_name(model, held)
        support = [sha256(build.root, build.path(recipe.museum.support))] if recipe.museum.support else []  # fmt: skip
        yield Spec("museum", model, str(held.place) if held else "",
                   options=json.dumps({"model_name": name, "support": support})), support  # fmt: skip
    if (detector := recipe.camera_trap.detector) == camera_trap.BACKGROUND:
        yield Spec("background", detector), []
    elif detector:
        _checked(build, "camera_trap", detector, camera_trap.BACKGROUND)
        held = weights(
            detector, recipe.camera_trap.sha256, folder, key="camera_trap", hashed=hashed
        )
        options = json.dumps({"classes": recipe.camera_trap.classes, "sha256": held.sha256})
        yield Spec("camera_trap", detector, str(held.file), options=options), [held.sha256]
    if detector := recipe.faces.detector:
        _checked(build, "faces", detector, "")
        held = None if detector == faces.HAAR else weights(detector, recipe.faces.sha256, folder, key="faces", hashed=hashed)  # fmt: skip
        options = json.dumps({"sha256": held.sha256 if held else ""})
        yield Spec("faces", detector, str(held.file) if held else "", options=options), [held.sha256] if held else []  # fmt: skip
    if recipe.quality.measure:
        yield Spec("quality", "plain"), []


def _opened(build: Build, spec: Spec, reads: Sequence[str]) -> Artifact:
    def write(folder: Path) -> dict[str, Any]:
        found = spec
        if spec.kind == "museum":
            (folder / "support.npz").write_bytes(_support(build, spec).bytes())
            found = spec._replace(made=str(folder / "support.npz"))
        if spec.kind != "background":
            scoring.opened(found, 0)
        return {"rows": 1}

    params = {"kind": spec.kind, "model": spec.model, "options": spec.options}
    done = build.make("scorer", scoring.VERSIONS[spec.kind], params, reads, write)
    if spec.kind == "museum":
        known = museum.read(done.path("support.npz"), json.loads(spec.options)["model_name"])
        classes = {*known.labels, *museum.WORDS}
        if odd := sorted(set(build.recipe.verdict.drop_museum) - classes):
            raise ValueError(f"verdict.drop_museum names {', '.join(odd)}; the support set's classes are {', '.join(sorted(set(known.labels)))}")  # fmt: skip
    return done


def _support(build: Build, spec: Spec) -> museum.Support:
    """The classes of the museum scorer: of a file, of a folder of labelled pictures, or of words."""
    how, name = build.recipe.museum, json.loads(spec.options)["model_name"]
    if how.support and not build.path(how.support).is_dir():
        return museum.read(build.path(how.support), name)
    encoder = embedding.opened(spec.model, Path(spec.place) if spec.place else None)
    if not how.support:
        return museum.in_words(encoder, name)
    found = museum.pictures(build.path(how.support), encoder)
    return museum.support(found.vectors, found.labels, name)


def specs(build: Build, made: Made) -> tuple[Spec, ...]:
    """The scorers with what was made for them, and their ledgers."""
    limits, found = Rendering.of(build).limits, []
    for (spec, _), done in zip(_named(build), made["scorer"], strict=True):
        support = done.dir / "support.npz"
        key = artifact.address("scored", 1, {"scorer": spec.identity, "pictures": [VERSION, *vars(limits).values()]}, [])[:12]  # fmt: skip
        ledger = str(build.root / "store" / f"scored-{spec.kind}-{key}")
        found.append(spec._replace(made=str(support) if support.exists() else "", ledger=ledger))
    return tuple(found)


def score_(build: Build, made: Made) -> list[Artifact]:
    """Scores of every picture that could enter the data."""
    recipe, found = build.recipe, specs(build, made)
    types = {"museum": recipe.museum.types, "camera_trap": ("camera_trap",), "background": ("camera_trap",),
             "faces": recipe.faces.types, "quality": recipe.quality.types}  # fmt: skip
    chosen = {s.kind: list(types[s.kind]) for s in found}
    params = {"scorers": [spec.identity for spec in found], "types": chosen,
              "limits": list(vars(Rendering.of(build).limits).values())}  # fmt: skip
    reads = [*made["media"], *made["eligible"], *made["fetch"], *made["phash"], *made["scorer"]]

    def query() -> sql.Query:
        work = build.scratch("score")
        content, scored = work / "content.parquet", _scored(found, work)
        wanted = [
            {"kind": kind, "image_type": name} for kind, names in chosen.items() for name in names
        ]
        names = ("media", "eligible", "fetch", "phash")
        sql.query(build.con, CONTENT_SQL, {"max_burst": camera_trap.MAX_BURST}, wanted=pa.Table.from_pylist(wanted, schema=WANTED),
                  **{n: made[n][0].paths[0] for n in names}).copy_to(content)  # fmt: skip
        _score(build, made, found, content, scored)
        return sql.query(build.con, SCORE_SQL, content=content, scored=_scored(found, work))

    return [build.make_table(schema.SCORE, 1, params, reads, query)]


def _scored(found: Sequence[Spec], work: Path) -> list[Path]:
    """Every part of every scorer's ledger, and one without rows."""
    empty = work / "scored.parquet"
    fields = pa.schema([*scoring.SCORED, pa.field("seq", pa.int64())])
    pq.write_table(fields.empty_table(), empty)
    return [empty, empty, *(p for spec in found for p in Ledger(Path(spec.ledger), scoring.SCORED).parts)]  # fmt: skip


def _score(build: Build, made: Made, found: Sequence[Spec], content: Path, scored: list[Path]) -> None:  # fmt: skip
    """Show to every scorer the pictures it has not seen."""
    rendering, work = Rendering.of(build), build.root / "tmp" / "score"
    rendering.ensure(build, made, "score")
    todo = work / "todo.parquet"
    n_todo = sql.query(build.con, TODO_SQL, content=content, scored=scored, rendered=rendering.ledger.input(),
                       packs=rendering.packs.names()).copy_to(todo)  # fmt: skip
    if not n_todo:
        return
    n_workers, n_threads = _shares(build, found)
    units = _units(todo, tuple(found), str(rendering.ledger.dir), n_threads, str(build.root / "tmp" / "gpu"), n_workers)  # fmt: skip
    with build.progress("score", n_todo) as bar:
        for n in _run(build, tuple(found), units, n_workers, n_threads):
            bar.step(True, n)
    left = sql.query(build.con, TODO_SQL, content=content, scored=_scored(found, work), rendered=rendering.ledger.input(),
                     packs=rendering.packs.names()).copy_to(todo)  # fmt: skip
    assert not left, f"{left} of {n_todo} pictures have not been scored"
    for spec in found:
        Ledger(Path(spec.ledger), scoring.SCORED).gather(build.con)
    shutil.rmtree(build.root / "tmp" / "gpu", ignore_errors=True)


def _run(
    build: Build, found: tuple[Spec, ...], units: Iterator[Unit], n_workers: int, n_threads: int
) -> Iterator[int]:
    """Receipts of the units. Models live in workers of their own, which end with the stage; Slurm's ranks keep them."""
    has_model = any(spec.place for spec in found)
    if build.engine == "slurm" or not has_model:
        return run_units(scoring.score_unit, units, engine=build.engine, workers=n_workers, root=build.root)  # fmt: skip
    opening = scoring.Opening(found, n_threads, str(build.root / "tmp" / "gpu"))
    n_gpus = (
        1.0
        if any(map(scoring.uses_torch, found)) and (build.engine == "ray" or embedding.devices())
        else 0.0
    )
    workers = build.workers if build.engine == "ray" else n_workers  # Ray counts its own nodes
    return run_with(
        opening, scoring.score_with, units, engine=build.engine, workers=workers, n_gpus=n_gpus
    )


def _shares(build: Build, found: Sequence[Spec]) -> tuple[int, int]:
    """Workers, and threads of each: one per GPU; else one per core, but no more than a quarter of the memory holds models of."""
    n_cores = build.workers or len(os.sched_getaffinity(0))
    heavy = [Path(s.place) for s in found if s.place]
    n_bytes = sum(p.stat().st_size for h in heavy for p in ([h] if h.is_file() else h.glob("*.safetensors")))  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = max(1, int(memory / 4 // (2 * n_bytes))) if n_bytes else n_cores
    n_gpus = len(embedding.devices()) if any(map(scoring.uses_torch, found)) else 0
    n_workers = min(n_cores, n_gpus or most)
    return n_workers, max(1, n_cores // n_workers)


def _units(todo: Path, found: tuple[Spec, ...], packs: str, n_threads: int, claims: str, n_workers: int) -> Iterator[Unit]:  # fmt: skip
    """Pictures in units of a few batches, deployments whole."""
    n_rows = pq.read_metadata(todo).num_rows
    size = min(512, max(scoring.BATCH, n_rows // (8 * n_workers) // scoring.BATCH * scoring.BATCH))
    place = {spec.kind: number for number, spec in enumerate(found)}

    def rows() -> Iterator[dict[str, Any]]:
        for batch in pq.ParquetFile(todo).iter_batches(10_000):
            yield from batch.to_pylist()

    for name, group in itertools.groupby(rows(), key=lambda row: row["unit"]):
        contents = (_content(row, place, small=name is not None) for row in group)
        while some := tuple(itertools.islice(contents, size if name is None else None)):
            yield Unit(some, found, packs, n_threads, claims, name or "")


def _content(row: dict[str, Any], place: dict[str, int], *, small: bool) -> Content:
    """A row of what is to do; of a deployment's frames the thumbnails are compared."""
    kinds = tuple(sorted(place[kind] for kind in row["kinds"]))
    if small:
        at = row["offset"] + row["n_bytes"]
        return Content(row["md5"], row["crop"], row["pack"], at, row["n_thumb_bytes"], row["thumb_xxh3"], kinds, row["event"])  # fmt: skip
    return Content(row["md5"], row["crop"], row["pack"], row["offset"], row["n_bytes"], row["image_xxh3"], kinds)  # fmt: skip
