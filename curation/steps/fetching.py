"""The step that fetches: what is wanted and not there yet, asked; pictures looked at as they come.

Outcomes lie in a ledger of the store, bytes in packs beside it, so a new recipe or a larger archive
asks only for what is new, and a killed run goes on where it was.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, schema, sql
from catalog.artifact import Artifact
from curation.engine import run_units
from curation.images import fetch, parts, render, sizes
from curation.steps.rendering import FETCHED, Rendering
from curation.store import Ledger, Packs
from curation.workshop import Build, Made, WouldRun, stamp_of

LOCAL = pa.schema([(n, pa.string()) for n in ("url", "local", "stamp")])
MAX_WAITING = 256  # parts fetched and not looked at: then the fetch waits
PARTS_AT_ONCE, KEEP_S = 16, 60.0  # fetched parts that make one of the ledger; or after so long

WANTED_SQL = r"""
select url, archive, sized_address(address, $size) as address, crops, case when web then
    lower(regexp_extract(address, '^[hH][tT][tT][pP][sS]?://(?:[^/?#@]*@)?(\[[^\]/]*\]|[^/:?#]+)', 1)) else '' end as host,
  web
from (
  select m.url, first(m.archive order by m.archive) as archive,
    first(m.identifier order by contains(m.identifier, 'thumb'), not starts_with(m.identifier, 'https'),
          m.identifier) as address,
    to_json(list_sort(list(distinct coalesce(m.crop, ''))))::varchar as crops
  from media m semi join eligible e on e.uuid = m.uuid
  where m.reject_reason is null
  group by m.url
), lateral (select regexp_matches(address, '^[hH][tT][tT][pP][sS]?:') as web)
order by host, url
"""

NEWEST_SQL = """
select * from ledger qualify row_number() over (partition by url order by seq desc) = 1
"""

PENDING_SQL = """
with newest as (select * from ledger qualify row_number() over (partition by url order by seq desc) = 1)
select w.url, w.address, l.local, w.host, w.crops, coalesce(k.runs, 0) + 1 as runs, l.stamp
from wanted w
left join newest k using (url)
left join local l using (url)
left join packs p on p.pack = k.pack
where k.status is null
  or k.status = 'transient' and k.runs < $max_runs
  or k.status = 'ok' and p.pack is null
  or k.address is distinct from w.address
  or k.stamp is distinct from l.stamp
order by w.host, w.url
"""

ORPHAN_SQL = (
    "select pack from packs where pack not in (select pack from ledger where pack is not null)"
)

FETCHED_SQL = """
with newest as (select * from ledger qualify row_number() over (partition by url order by seq desc) = 1)
select w.url, w.host, k.status, k.error, k.http_status, k.md5, k.media_type, k.n_bytes
from wanted w join newest k using (url) order by w.url
"""


def fetch_(build: Build, made: Made) -> list[Artifact]:
    """Outcome of every address whose picture could enter the data."""
    recipe, work = build.recipe, build.scratch("fetch")
    build.con.execute(sizes.MACROS)
    wanted, outcome = work / "wanted.parquet", work / "part-000000.parquet"
    sql.query(build.con, WANTED_SQL, {"size": recipe.fetch.size}, media=made["media"][0].paths[0],
              eligible=made["eligible"][0].paths[0]).copy_to(wanted)  # fmt: skip
    ledger = Ledger(build.root / "store" / "fetched", FETCHED)
    left = [] if build.dry_run else parts.left(ledger.dir)  # by a run that was stopped
    if left:
        n_left = sum(pq.read_metadata(path).num_rows for path in left)
        _look(build, ledger, map(pq.read_table, left), "taken up", n_left)
    pending = sql.query(
        build.con, PENDING_SQL, {"max_runs": recipe.fetch.max_runs}, wanted=wanted,
        ledger=ledger.input(), packs=Packs(ledger.dir).names(), local=_local(build, wanted, work / "local.parquet"))  # fmt: skip
    asked = _on_disk(pending, work / "pending.arrow")
    if asked.num_rows and build.dry_run:
        raise WouldRun("fetch", why=f"{asked.num_rows:,} addresses to ask")
    if asked.num_rows:
        _ask(build, ledger, asked)
        ledger.compact(build.con, NEWEST_SQL)
    rows = sql.query(build.con, FETCHED_SQL, wanted=wanted, ledger=ledger.input())
    n_wanted, n_rows = pq.read_metadata(wanted).num_rows, rows.copy_to(outcome)
    assert n_rows == n_wanted, f"{n_wanted - n_rows} addresses have no outcome"
    digest = artifact.file_sha256(outcome)

    def write(folder: Path) -> dict[str, Any]:
        os.replace(outcome, folder / outcome.name)
        return {"rows": artifact.check(folder / outcome.name, schema.FETCH)}

    return [build.make("fetch", 2, {}, [digest], write)]


def _ask(build: Build, ledger: Ledger, asked: pa.Table) -> None:
    """Fetch, and look at the pictures of every part while the next one comes."""
    how = build.recipe.fetch
    limits = fetch.Limits(
        n_connections=how.n_connections, per_host=how.per_host, timeout_s=how.timeout_s,
        max_seconds=how.max_seconds, max_bytes=how.max_mb * 2**20, tries=how.tries,
        backoff_s=how.backoff_s, max_per_second=how.max_per_second, host_rates=how.host_rates,
        private_hosts=how.private_hosts, silent_s=how.silent_s)  # fmt: skip
    n_workers = build.workers or len(os.sched_getaffinity(0))
    part_rows = render.batch_size(asked.num_rows, n_workers)
    fetcher = fetch.Fetcher(ledger.dir, limits, build.host_map, part_rows=part_rows)
    number = _first_number(build, ledger)
    _look(build, ledger, fetcher.fetch(asked, number), "fetch", asked.num_rows)


def _look(build: Build, ledger: Ledger, given: Iterator[pa.Table], what: str, n_rows: int) -> None:
    """Look at the pictures of parts as they come; then the ledger takes their rows over."""
    rendering = Rendering.of(build)
    done, kept_at = dict[Path, pa.Table](), time.monotonic()

    def units() -> Iterator[render.Unit]:
        for part in given:
            for status in part.column("status").to_pylist():
                bar.step(status == "ok")
            if contents := tuple(_contents(part)):
                yield rendering.unit(contents)
            else:
                take(part, ())

    def take(part: pa.Table, looked: Sequence[Sequence[Any]]) -> None:
        done[parts.rows_path(ledger.dir, part.column("part")[0].as_py())] = _final(part, looked)

    def keep() -> None:
        nonlocal kept_at
        if done:
            ledger.append(pa.concat_tables(done.values()))
        for path in done:
            path.unlink()
        done.clear()
        kept_at = time.monotonic()

    try:
        with build.progress(what, n_rows) as bar:
            for looked in run_units(render.render_unit, units(), engine=build.engine, workers=build.workers,
                                    root=build.root, max_open=MAX_WAITING, alone=render.render_alone):  # fmt: skip
                take(pq.read_table(parts.rows_path(ledger.dir, looked[0][0])), looked)
                if len(done) >= PARTS_AT_ONCE or time.monotonic() - kept_at > KEEP_S:
                    keep()
    finally:
        keep()


def _first_number(build: Build, ledger: Ledger) -> int:
    """The number of the next pack; packs that a killed run left without their rows are removed."""
    packs = Packs(ledger.dir)
    orphans = sql.query(build.con, ORPHAN_SQL, packs=packs.names(), ledger=ledger.input()).rows()
    for (name,) in orphans:
        packs.path(name).unlink()
    last = max((int(name) for name in packs.names().column("pack").to_pylist()), default=-1)
    return max(last + 1, ledger.next_number)


def _contents(part: pa.Table) -> Iterator[render.Content]:
    """The pictures of a part: every crop of every address that gave one."""
    for row in part.to_pylist():
        for crop in json.loads(row["crops"]) if row["status"] == "ok" else ():
            yield render.Content("", crop or None, row["pack"], row["offset"], row["n_bytes"])


def _final(part: pa.Table, looked: Sequence[Sequence[Any]]) -> pa.Table:
    """The part with what its bytes were found to be; what was not asked for costs no run.

    But where a host refuses, that is its answer to every address.
    """
    md5_at = {offset: md5 for _, offset, md5 in looked}
    found = [None if at is None else md5_at[at] for at in part.column("offset").to_pylist()]
    told = zip(*(part.column(n).to_pylist() for n in ("runs", "n_asked", "error")), strict=True)
    runs = [n - (n_asked == 0 and error != "host_refuses") for n, n_asked, error in told]
    columns = {name: part.column(name) for name in FETCHED.names}
    columns |= {"md5": pa.array(found, pa.string()), "runs": pa.array(runs, pa.int32())}
    return pa.table(columns, schema=FETCHED)


def _on_disk(query: sql.Query, path: Path) -> pa.Table:
    """The result as a table that lies in a file, not in memory."""
    with (
        query.batches() as batches,
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, batches.schema) as out,
    ):
        for batch in batches:
            out.write_batch(batch)
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _local(build: Build, wanted: Path, path: Path) -> Path:
    """Pictures in local folders, with what tells that one has changed."""
    folders = build.folders()
    text = "select url, archive, address from wanted where not web order by url"
    with sql.parquet_writer(path, LOCAL) as out:
        for batch in sql.query(build.con, text, wanted=wanted).batches():
            rows = []
            for row in batch.to_pylist():
                local = folders.get(row["archive"])
                stamp = stamp_of(local / row["address"].removeprefix("file:")) if local else None
                rows.append(
                    {"url": row["url"], "local": str(local) if local else None, "stamp": stamp}
                )
            out.write_table(pa.Table.from_pylist(rows, schema=LOCAL))
    return path
