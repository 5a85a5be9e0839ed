"""How each stage's pure function meets the disk: which artifacts it reads, what it leaves.

A step is given the build and the artifacts it reads, and returns its own artifact: the one that is
there already, or a new one. Nothing here decides anything about pictures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, card, schema, sql
from catalog.artifact import Artifact
from curation import dedup, geoprivacy, media, shard, verdict
from curation.engine import run_units
from curation.images import fetch, phash
from curation.progress import Progress
from curation.recipe import Recipe, Source
from curation.sources import bioscan, eol, fathomnet, gbif, own
from curation.store import Blobs, Ledger
from curation.taxonomy import backbone, resolve, vernacular

HASHES_PER_UNIT = 128
FETCHES_PER_PART = 1000
LEDGER = pa.schema([*schema.FETCH.schema, pa.field("runs", pa.int32()), pa.field("stamp", pa.string())])
Made = Mapping[str, list[Artifact]]


@dataclass
class Build:
    """What steps share: the recipe, the root, DuckDB, the store, and where pictures come from."""

    recipe: Recipe
    root: Path
    con: duckdb.DuckDBPyConnection
    engine: str = "auto"
    workers: int = 0
    host_map: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    progress: Callable[[str, int], Progress] = Progress
    n_made: int = 0

    @property
    def blobs(self) -> Blobs:
        """The bytes fetched so far."""
        return Blobs(self.root / "store" / "blob")

    def path(self, text: str) -> Path:
        """A path of the recipe, which starts at the recipe's own folder."""
        return (self.recipe.folder / text).expanduser()

    def folders(self) -> dict[str, Path]:
        """Archive name -> local folder its relative picture paths start at."""
        found = {}
        for source in self.recipe.source:
            if source.kind in ("own", "bioscan"):
                place = self.path(source.images) if source.images else self.path(source.path).parent
                found[source.name] = place
        return found

    def make(
        self, stage: str, version: int, params: Mapping[str, Any], inputs: Sequence[str],
        write: Callable[[Path], Mapping[str, Any]],
    ) -> Artifact:  # fmt: skip
        """The artifact at this address; `write` fills its folder and returns counts, if need be."""
        key = artifact.address(stage, version, params, inputs)
        if found := artifact.find(self.root, stage, key):
            return found
        if self.dry_run:
            raise WouldRun(stage)
        identity = {"version": version, "params": dict(params), "inputs": list(inputs),
                    "schema_version": schema.VERSION}  # fmt: skip
        with artifact.making(self.root, stage, key) as folder:
            counts = write(folder)
            self.n_made += 1
            return artifact.commit(self.root, stage, key, folder, identity=identity, counts=counts)

    def make_table(
        self, table: schema.Table, version: int, params: Mapping[str, Any], reads: Iterable[Artifact],
        query: Callable[[], sql.Query],
    ) -> Artifact:  # fmt: skip
        """An artifact of one checked table that a query returns."""

        def write(folder: Path) -> dict[str, Any]:
            path = folder / "part-000000.parquet"
            query().copy_to(path)
            return {"rows": artifact.check(path, table)}

        return self.make(table.name, version, params, [a.address for a in reads], write)


class WouldRun(Exception):
    """A dry run met a stage whose output is not there."""


def source(build: Build, _: Made) -> list[Artifact]:
    """One artifact per source of the recipe."""
    return [_source(build, item) for item in build.recipe.source]


def _source(build: Build, item: Source) -> Artifact:
    paths = [item.path, item.multimedia, item.hierarchy]
    remote = "://" in item.path
    hashes = [_sha256(build.root, build.path(p)) if p and "://" not in p else p for p in paths]
    params = {"kind": item.kind, "archive": item.name, "media_only": item.media_only,
              "image_type": item.image_type, "splits": item.splits, "drop": item.drop,
              "licence": item.licence, "creator": item.creator}  # fmt: skip

    def write(folder: Path) -> dict[str, Any]:
        work_dir = build.root / "tmp" / folder.name
        place: Any = item.path if remote else build.path(item.path)
        rest = {"archive": item.name, "path": place}
        readers: dict[str, Callable[[], sql.Query]] = {
            "gbif": lambda: gbif.gbif(
                build.con, **rest, work_dir=work_dir, media_only=item.media_only,
                multimedia=build.path(item.multimedia) if item.multimedia else None),
            "eol": lambda: eol.eol(
                build.con, **rest, work_dir=work_dir,
                hierarchy=build.path(item.hierarchy) if item.hierarchy else None),
            "bioscan": lambda: bioscan.bioscan(
                build.con, **rest, work_dir=work_dir, image_type=item.image_type, splits=item.splits),
            "fathomnet": lambda: fathomnet.fathomnet(
                build.con, **rest, drop=item.drop, **({"licence": item.licence} if item.licence else {})),
            "own": lambda: own.own(
                build.con, **rest, work_dir=work_dir, licence=item.licence or None,
                creator=item.creator or None),
        }  # fmt: skip
        path = folder / "part-000000.parquet"
        with _scratch(work_dir):
            readers[item.kind]().copy_to(path)
        return {"rows": artifact.check(path, schema.SOURCE)}

    return build.make("source", 1, params, hashes, write)


def taxon(build: Build, _: Made) -> list[Artifact]:
    """One artifact per taxonomy: its names and its vernacular names."""
    made = []
    for item in build.recipe.taxonomy:
        params = {"name": item.name, "columns": item.columns, "constants": item.constants}

        def write(folder: Path, item: Any = item) -> dict[str, Any]:
            work_dir = build.root / "tmp" / folder.name
            with _scratch(work_dir):
                names, common = backbone.taxon(
                    build.con, name=item.name, path=build.path(item.path), work_dir=work_dir,
                    columns=item.columns, constants=item.constants)  # fmt: skip
                names.copy_to(folder / "taxon.parquet")
                common.copy_to(folder / "vernacular.parquet")
            n_rows = artifact.check(folder / "taxon.parquet", schema.TAXON)
            return {"rows": n_rows, "vernacular": artifact.check(folder / "vernacular.parquet",
                                                                 schema.VERNACULAR)}  # fmt: skip

        made.append(build.make("taxon", 1, params, [_sha256(build.root, build.path(item.path))], write))
    return made


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

        made.append(build.make("benchmark", 1, {"name": item.name}, [_sha256(build.root, folder)], write))
    return made


def media_(build: Build, made: Made) -> list[Artifact]:
    """Media rows of all sources."""
    paths = [a.paths[0] for a in made["source"]]
    rows_in = sum(a.counts["rows"] for a in made["source"])
    done = build.make_table(schema.MEDIA, 1, {}, made["source"], lambda: media.media(build.con, source=paths))
    assert done.counts["rows"] == rows_in, f"media: {rows_in} rows in, {done.counts['rows']} out"
    return [done]


def label(build: Build, made: Made) -> list[Artifact]:
    """Resolved lineages."""
    names = [item.name for item in build.recipe.taxonomy]
    return [build.make_table(
        schema.LABEL, 1, {"precedence": names}, [*made["media"], *made["taxon"]],
        lambda: resolve.label(build.con, media=made["media"][0].paths[0],
                              taxon=[a.path("taxon.parquet") for a in made["taxon"]],
                              precedence=names))]  # fmt: skip


def vernacular_(build: Build, made: Made) -> list[Artifact]:
    """Vernacular names in use."""
    language = build.recipe.language
    return [build.make_table(
        schema.VERNACULAR, 1, {"language": language}, [*made["label"], *made["taxon"]],
        lambda: vernacular.vernacular(
            build.con, label=made["label"][0].paths[0], language=language,
            names=[a.path("vernacular.parquet") for a in made["taxon"]]))]  # fmt: skip


WANTED_SQL = """
select m.url, first(m.archive order by m.archive) as archive,
  first(m.identifier order by contains(m.identifier, 'thumb'), not starts_with(m.identifier, 'https'),
        m.identifier) as address
from media m
left join label n using (lineage)
join rights l on l.license is not distinct from m.license
  and l.license_status is not distinct from m.license_status
  and l.license_verbatim is not distinct from m.license_verbatim
where m.reject_reason is null and l.allowed
  and (not l.needs_credit or coalesce(m.creator, m.rightsHolder) is not null)
  and ($min_rank = 'any' or case $min_rank
    when 'kingdom' then n.kingdom when 'phylum' then n.phylum when 'class' then n."class"
    when 'order' then n."order" when 'family' then n.family when 'genus' then n.genus
    when 'species' then n.species end is not null)
group by m.url order by m.url
"""

KNOWN_SQL = """
select w.url, w.archive, w.address, k.status, k.error, k.http_status, k.md5, k.media_type, k.n_bytes,
  k.runs, k.stamp
from wanted w left join (
  select * from ledger qualify row_number() over (partition by url order by seq desc) = 1) k using (url)
order by w.url
"""
NEWEST_SQL = "select * from ledger qualify row_number() over (partition by url order by seq desc) = 1"


def fetch_(build: Build, made: Made) -> list[Artifact]:
    """Outcome of every address whose picture could enter the data."""
    recipe, source_path = build.recipe, made["media"][0].paths[0]
    wanted = sql.query(
        build.con, WANTED_SQL, {"min_rank": recipe.verdict.min_rank}, media=source_path,
        label=made["label"][0].paths[0],
        rights=verdict.rights(build.con, source_path, recipe.verdict.allow_nc)).table()  # fmt: skip
    ledger = Ledger(build.root / "store" / "fetch", LEDGER)
    known = sql.query(build.con, KNOWN_SQL, wanted=wanted, ledger=ledger.input()).table()
    folders, pending = build.folders(), []
    for row in known.to_pylist():
        local = None if row["address"].lower().startswith(("http:", "https:")) else folders.get(row["archive"])
        stamp = _stamp(local / row["address"]) if local else None
        again = row["status"] == "transient" and row["runs"] < recipe.fetch.max_runs
        gone = row["status"] == "ok" and not build.blobs.path(row["md5"]).exists()
        if row["status"] is None or again or gone or stamp != row["stamp"]:
            pending.append((fetch.Wanted(row["url"], row["address"], local), row["runs"] or 0, stamp))
    if pending and build.dry_run:
        raise WouldRun("fetch")
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


def _fetch_into(build: Build, ledger: Ledger, pending: list[tuple[fetch.Wanted, int, str | None]]) -> None:
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
    return rows.num_rows


def phash_(build: Build, made: Made) -> list[Artifact]:
    """Hashes of every fetched picture and crop."""
    version, params = 1, {"max_megapixels": build.recipe.pixels.max_megapixels}
    inputs = {"fetch": made["fetch"][0].paths[0], "media": made["media"][0].paths[0]}

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

    return [build.make_table(schema.PHASH, version, params, [*made["media"], *made["fetch"]], query)]


PICTURE_SQL = """
select m.uuid, m.source, m.record_key, m.url, m.provider_key, m.crop, f.md5, p.pixel_md5, p.phash,
  m.organismID, m.datasetKey, m.catalogNumber, m.eventID, m.deploymentID, m.recordedBy, m.eventDate,
  m.decimalLatitude, m.decimalLongitude,
  case when n.species is not null then 0 when n.genus is not null then 1 when n.family is not null
       then 2 else 3 end as preference,
  p.original_width::bigint * p.original_height as n_pixels
from media m
join "fetch" f on f.url = m.url and f.status = 'ok'
join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop and p.error is null
left join label n using (lineage)
where m.reject_reason is null and least(p.original_width, p.original_height) >= $min_side_px
order by m.uuid
"""


def dedup_(build: Build, made: Made) -> list[Artifact]:
    """Duplicates, groups and held-out neighbours."""
    params = {**dataclasses.asdict(build.recipe.dedup), "min_side_px": build.recipe.verdict.min_side_px}
    reads = [a for name in ("media", "label", "fetch", "phash", "benchmark") for a in made[name]]
    inputs = {name: made[name][0].paths[0] for name in ("media", "label", "fetch", "phash")}

    def query() -> sql.Query:
        picture = sql.query(build.con, PICTURE_SQL, {"min_side_px": params["min_side_px"]}, **inputs).table()
        held = [pq.read_table(a.paths[0], columns=["benchmark", "phash"]) for a in made["benchmark"]]
        empty = pa.schema([("benchmark", pa.string()), ("phash", pa.string())]).empty_table()
        return dedup.dedup(build.con, picture=picture, benchmark=pa.concat_tables([empty, *held]),
                           near_max_bits=params["near_max_bits"], burst_s=params["burst_s"])  # fmt: skip

    return [build.make_table(schema.DEDUP, 1, params, reads, query)]


def geoprivacy_(build: Build, made: Made) -> list[Artifact]:
    """Coordinates as published."""
    policy = build.recipe.geoprivacy.policy
    return [build.make_table(
        schema.GEOPRIVACY, 1, {"policy": policy}, made["media"],
        lambda: geoprivacy.geoprivacy(build.con, media=made["media"][0].paths[0], policy=policy)
    )]  # fmt: skip


def verdict_(build: Build, made: Made) -> list[Artifact]:
    """Keep or drop."""
    how = build.recipe.verdict
    removals = [*(("uuid", v) for v in how.remove_uuid), *(("url", v) for v in how.remove_url),
                *(("creator", v) for v in how.remove_creator)]  # fmt: skip
    names = ("media", "label", "fetch", "phash", "dedup")
    done = build.make_table(
        schema.VERDICT, 1, dataclasses.asdict(how), [made[name][0] for name in names],
        lambda: verdict.verdict(
            build.con, **{name: made[name][0].paths[0] for name in names}, min_rank=how.min_rank,
            min_side_px=how.min_side_px, allow_nc=how.allow_nc, removals=removals))  # fmt: skip
    assert done.counts["rows"] == made["media"][0].counts["rows"], "a media row has no verdict"
    return [done]


def shard_(build: Build, made: Made) -> list[Artifact]:
    """The dataset folder."""
    recipe, how = build.recipe, dataclasses.asdict(build.recipe.shard)
    params = {**how, **dataclasses.asdict(recipe.pixels), "name": recipe.name, "title": recipe.title,
              "licence": recipe.licence}  # fmt: skip
    names = ("media", "label", "vernacular", "fetch", "phash", "dedup", "geoprivacy", "verdict")
    inputs = {name: made[name][0].paths[0] for name in names}

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

    return [build.make("shard", 1, params, [made[name][0].address for name in names], write)]


def _sha256(root: Path, path: Path) -> str:
    """sha256 of a file or of a folder's files, remembered by path, size and time of change."""
    if not path.exists():
        raise ValueError(f"{path} does not exist; check the path in the recipe")
    cache = root / "store" / "sha256.json"
    known: dict[str, str] = json.loads(cache.read_text()) if cache.exists() else {}
    files = [path] if path.is_file() else [p for p in sorted(path.rglob("*")) if p.is_file()]
    parts, n_new = [], 0
    for file in files:
        key = _stamp(file) or str(file)
        if key not in known:
            known[key], n_new = artifact.file_sha256(file), n_new + 1
        name = "" if file == path else file.relative_to(path).as_posix()
        parts.append(f"{name} {known[key]}")
    if n_new:
        cache.parent.mkdir(parents=True, exist_ok=True)
        artifact.write_atomically(cache, json.dumps(known, sort_keys=True).encode())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _stamp(path: Path) -> str | None:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


@contextmanager
def _scratch(path: Path) -> Iterator[None]:
    """A work folder that is gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
