"""Where looked-at pictures lie, and which are still to be looked at."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, sql
from curation.engine import run_units
from curation.images import fetch, render
from curation.store import Ledger, Packs
from curation.workshop import Build, Made

VERSION = 4
FETCHED = pa.schema([*fetch.FETCHED, ("runs", pa.int32()), ("stamp", pa.string())])
"""The ledger of what was asked: outcomes, where the bytes lie, runs that asked, and what tells that a
local file has changed."""

TODO_SQL = """
with there as (select l.md5, l.crop from ledger l left join packs p using (pack)
               where l.error is not null or p.pack is not null)
select c.md5, c.crop, c.pack, c."offset", c.n_bytes from content c
where not exists (select 1 from there l where l.md5 = c.md5 and l.crop is not distinct from c.crop)
order by c.pack, c."offset", c.crop
"""

CONTENTS_SQL = """
with newest as (select * from fetched qualify row_number() over (partition by url order by seq desc) = 1)
select f.md5, m.crop, first(k.pack order by k.pack, k."offset") as pack,
  first(k."offset" order by k.pack, k."offset") as "offset", any_value(k.n_bytes) as n_bytes
from "fetch" f join media m using (url) join newest k using (url)
where f.status = 'ok' and m.reject_reason is null group by f.md5, m.crop
"""


@dataclass(frozen=True)
class Rendering:
    """The ledger of pictures looked at under one set of limits."""

    ledger: Ledger
    fetched: Path
    limits: render.Limits

    @classmethod
    def of(cls, build: Build) -> Rendering:
        """That of a build."""
        how = build.recipe.pixels
        limits = render.Limits(how.max_megapixels * 10**6, how.max_side_px, how.quality)
        params = {
            "max_pixels": limits.max_pixels,
            "max_side_px": limits.max_side_px,
            "quality": limits.quality,
        }
        key = artifact.address("rendered", VERSION, params, [])[:12]
        ledger = Ledger(build.root / "store" / f"rendered-{key}", render.RENDERED)
        return cls(ledger, build.root / "store" / "fetched", limits)

    @property
    def packs(self) -> Packs:
        """Where the shipped bytes and thumbnails lie."""
        return Packs(self.ledger.dir)

    def unit(self, contents: tuple[render.Content, ...]) -> render.Unit:
        """A unit of work."""
        return render.Unit(contents, str(self.fetched), str(self.ledger.dir), self.limits)

    def ensure(self, build: Build, made: Made, what: str) -> Path:
        """Look at every fetched picture that has not been looked at, or whose pack is gone.

        Returns the table of contents (md5, crop, where the bytes lie).
        """
        work = build.scratch(f"{what}-content")
        content = work / "content.parquet"
        sql.query(build.con, CONTENTS_SQL, fetch=made["fetch"][0].paths[0], media=made["media"][0].paths[0],
                  fetched=Ledger(self.fetched, FETCHED).input()).copy_to(content)  # fmt: skip
        todo = work / "todo.parquet"
        n_todo = self._todo(build, content).copy_to(todo)
        size = render.batch_size(n_todo, build.workers or len(os.sched_getaffinity(0)))
        units = map(self.unit, render.batches(_contents(todo), size))
        with build.progress(what, n_todo) as bar:
            for looked in run_units(render.render_unit, units, engine=build.engine, workers=build.workers,
                                    root=build.root, alone=render.render_alone):  # fmt: skip
                bar.step(True, len(looked))
        if n_todo:
            n_left = self._todo(build, content).copy_to(todo)
            assert not n_left, f"{n_left} of {n_todo} pictures have not been looked at"
        self.ledger.gather(build.con)
        return content

    def _todo(self, build: Build, content: Path) -> sql.Query:
        return sql.query(build.con, TODO_SQL, content=content, ledger=self.ledger.input(),
                         packs=self.packs.names())  # fmt: skip


def _contents(path: Path) -> Iterator[render.Content]:
    """The rows of a table of contents, a few in memory."""
    for batch in pq.ParquetFile(path).iter_batches(50_000):
        yield from itertools.starmap(
            render.Content, zip(*(c.to_pylist() for c in batch.columns), strict=True)
        )
