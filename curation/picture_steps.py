"""The steps of a build that touch picture bytes: fetching, hashing, writing the data files.

They go through the store, so that a new recipe or a larger archive only pays for what is new.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, card, schema, sql
from catalog.artifact import Artifact
from curation import shard
from curation.engine import run_units
from curation.images import fetch, phash
from curation.store import Blobs, Ledger
from curation.workshop import Build, Made, WouldRun, sha256, stamp_of

HASHES_PER_UNIT = 128
FETCHES_PER_PART = 1000
LEDGER = pa.schema(
    [*schema.FETCH.schema, pa.field("runs", pa.int32()), pa.field("stamp", pa.string())]
)


def benchmark(build: Build, _: Made) -> list[Artifact]:
    """Hashes of the held-out pictures."""
    made = []
    for item in build.recipe.benchmark:
        folder = build.path(item.path)
        if not folder.is_dir():
            raise ValueError(f"benchmark {item.name}: {folder} is no folder of pictures")

        def write(target: Path, folder: Path = folder, name: str = item.name) -> dict[str, Any]:
            files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
            by_name = {p.relative_to(folder).as_posix(): p for p in files}
            rows = phash.phash([(n, None) for n in by_name], lambda n: by_name[n].read_bytes(),
                               max_pixels=build.recipe.pixels.max_megapixels * 10**6)  # fmt: skip
            named = rows.append_column("benchmark", pa.array([name] * rows.num_rows, pa.string()))
            pq.write_table(named, target / "part-000000.parquet")
            return {"rows": rows.num_rows, "unhashed": rows.column("phash").null_count}

        made.append(
            build.make("benchmark", 1, {"name": item.name}, [sha256(build.root, folder)], write)
        )
    return made


WANTED_SQL = """
select m.url, first(m.archive order by m.archive) as archive,
  first(m.identifier order by contains(m.identifier, 'thumb'), not starts_with(m.identifier, 'https'),
        m.identifier) as address
from media m semi join eligible e on e.uuid = m.uuid
where m.reject_reason is null
group by m.url order by m.url
"""

KNOWN_SQL = """
select w.url, w.archive, w.address, k.status, k.error, k.http_status, k.md5, k.media_type, k.n_bytes,
  k.runs, k.stamp
from wanted w left join (
  select * from ledger qualify row_number() over (partition by url order by seq desc) = 1) k using (url)
order by w.url
"""
NEWEST_SQL = (
    "select * from ledger qualify row_number() over (partition by url order by seq desc) = 1"
)


def fetch_(build: Build, made: Made) -> list[Artifact]:
    """Outcome of every address whose picture could enter the data."""
    recipe, source_path = build.recipe, made["media"][0].paths[0]
    wanted = sql.query(
        build.con, WANTED_SQL, media=source_path, eligible=made["eligible"][0].paths[0]
    ).table()
    ledger = Ledger(build.root / "store" / "fetch", LEDGER)
    known = sql.query(build.con, KNOWN_SQL, wanted=wanted, ledger=ledger.input()).table()
    folders, pending = build.folders(), []
    for row in known.to_pylist():
        local = (
            None
            if row["address"].lower().startswith(("http:", "https:"))
            else folders.get(row["archive"])
        )
        stamp = stamp_of(local / row["address"]) if local else None
        again = row["status"] == "transient" and row["runs"] < recipe.fetch.max_runs
        gone = row["status"] == "ok" and not build.blobs.path(row["md5"]).exists()
        if row["status"] is None or again or gone or stamp != row["stamp"]:
            pending.append(
                (fetch.Wanted(row["url"], row["address"], local), row["runs"] or 0, stamp)
            )
    if pending and build.dry_run:
        raise WouldRun("fetch", why=f"{len(pending):,} addresses to ask")
    _fetch_into(build, ledger, pending)
    ledger.compact(build.con, NEWEST_SQL)
    rows = sql.query(build.con, KNOWN_SQL, wanted=wanted, ledger=ledger.input()).table()
    rows = rows.select(list(schema.FETCH.columns))
    digest = hashlib.sha256(json.dumps(rows.to_pydict(), sort_keys=True).encode()).hexdigest()
    return [_fetched(build, rows, digest)]


def _fetched(build: Build, rows: pa.Table, digest: str) -> Artifact:
    def write(folder: Path) -> dict[str, Any]:
        path = folder / "part-000000.parquet"
        sql.query(build.con, "select * from found order by url", found=rows).copy_to(path)
        return {"rows": artifact.check(path, schema.FETCH)}

    return build.make("fetch", 1, {}, [digest], write)


def _fetch_into(
    build: Build, ledger: Ledger, pending: list[tuple[fetch.Wanted, int, str | None]]
) -> None:
    if not pending:
        return
    how = build.recipe.fetch
    limits = fetch.Limits(
        n_threads=how.n_threads, per_host=how.per_host, timeout_s=how.timeout_s,
        max_seconds=how.max_seconds, max_bytes=how.max_mb * 2**20, tries=how.tries,
        backoff_s=how.backoff_s)  # fmt: skip
    more = {wanted.url: (runs + 1, stamp) for wanted, runs, stamp in pending}
    fetcher = fetch.Fetcher(build.blobs, limits, build.host_map)
    rows: list[dict[str, object]] = []
    with build.progress("fetch", len(pending)) as bar:
        for row in fetcher.fetch([wanted for wanted, *_ in pending]):
            runs, stamp = more[str(row["url"])]
            rows.append({**row, "runs": runs, "stamp": stamp})
            bar.step(row["status"] == "ok")
            if len(rows) == FETCHES_PER_PART:
                ledger.append(pa.Table.from_pylist(rows, schema=LEDGER))
                rows = []
    ledger.append(pa.Table.from_pylist(rows, schema=LEDGER))


CONTENTS_SQL = """
select distinct f.md5, m.crop from "fetch" f join media m using (url)
where f.status = 'ok' and m.reject_reason is null order by f.md5, m.crop
"""
UNHASHED_SQL = """
select c.md5, c.crop from content c
where not exists (select 1 from ledger l where l.md5 = c.md5 and l.crop is not distinct from c.crop)
order by c.md5, c.crop
"""
HASHED_SQL = """
select distinct l.* exclude (seq) from content c
join ledger l on l.md5 = c.md5 and l.crop is not distinct from c.crop
order by md5, crop
"""


@dataclass(frozen=True)
class HashUnit:
    """Pictures to hash, and where their part goes."""

    contents: tuple[phash.Content, ...]
    blobs: Path
    ledger: Path
    max_pixels: int


def hash_unit(unit: HashUnit) -> int:
    """Hash the pictures of a unit into one part of the ledger; return how many."""
    rows = phash.phash(unit.contents, Blobs(unit.blobs).get, max_pixels=unit.max_pixels)
    name = hashlib.sha256(repr(unit.contents).encode()).hexdigest()[:24]
    Ledger(unit.ledger, schema.PHASH.schema).put(name, rows)
    return len(unit.contents)


def phash_(build: Build, made: Made) -> list[Artifact]:
    """Hashes of every fetched picture and crop."""
    version, params = 1, {"max_megapixels": build.recipe.pixels.max_megapixels}
    inputs: dict[str, Any] = {
        "fetch": made["fetch"][0].paths[0],
        "media": made["media"][0].paths[0],
    }

    def query() -> sql.Query:
        content = sql.query(build.con, CONTENTS_SQL, **inputs).table()
        key = artifact.address("phash", version, params, [])[:12]
        ledger = Ledger(build.root / "store" / f"phash-{key}", schema.PHASH.schema)
        todo = sql.query(build.con, UNHASHED_SQL, content=content, ledger=ledger.input()).rows()
        units = [
            HashUnit(tuple(todo[i : i + HASHES_PER_UNIT]), build.blobs.dir, ledger.dir,
                     build.recipe.pixels.max_megapixels * 10**6)
            for i in range(0, len(todo), HASHES_PER_UNIT)
        ]  # fmt: skip
        with build.progress("phash", len(todo)) as bar:
            for n_hashed in run_units(hash_unit, units, engine=build.engine, workers=build.workers):
                bar.step(True, n_hashed)
        return sql.query(build.con, HASHED_SQL, content=content, ledger=ledger.input())

    return [
        build.make_table(schema.PHASH, version, params, [*made["media"], *made["fetch"]], query)
    ]


def shard_(build: Build, made: Made) -> list[Artifact]:
    """The dataset folder."""
    recipe, how = build.recipe, dataclasses.asdict(build.recipe.shard)
    params = {**how, **dataclasses.asdict(recipe.pixels), "name": recipe.name, "title": recipe.title,
              "licence": recipe.licence}  # fmt: skip
    names = ("media", "label", "vernacular", "fetch", "phash", "dedup", "geoprivacy", "verdict")
    inputs: dict[str, Any] = {name: made[name][0].paths[0] for name in names}

    def write(folder: Path) -> dict[str, Any]:
        rows_per_group = how["rows_per_group"]
        tables = {k: v for k, v in how.items() if k != "rows_per_group"}
        plan = shard.tables(build.con, folder, **tables, **inputs)
        units = shard.units(
            build.con, plan, folder, how["release"], blobs=build.blobs.dir,
            rows_per_group=rows_per_group, max_side_px=recipe.pixels.max_side_px,
            quality=recipe.pixels.quality, max_pixels=recipe.pixels.max_megapixels * 10**6)  # fmt: skip
        n_planned, n_written = pq.read_metadata(plan).num_rows, 0
        with build.progress("shard", n_planned) as bar:
            for n_rows in run_units(shard.shard, units, engine=build.engine, workers=build.workers):
                n_written += n_rows
                bar.step(True, n_rows)
        plan.unlink()
        assert n_written == n_planned, f"shard: {n_planned} rows planned, {n_written} written"
        for unit in units:
            artifact.check(unit.target, schema.DATA)
        card.describe(build.con, folder, name=recipe.name, title=recipe.title or recipe.name,
                      licence=recipe.licence, release=how["release"])  # fmt: skip
        return {"rows": n_written}

    return [build.make("shard", 2, params, [made[name][0].address for name in names], write)]
