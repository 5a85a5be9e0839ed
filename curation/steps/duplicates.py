"""The step that finds duplicates: what it compares, and the second look at candidates' pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import artifact, schema, sql
from catalog.artifact import Artifact
from curation import dedup, gallery
from curation.engine import run_units
from curation.images import confirm
from curation.steps import tables
from curation.steps.rendering import Rendering
from curation.store import Packs
from curation.workshop import Build, Made

PAIRS_PER_UNIT = 512
HELD = pa.schema([("benchmark", pa.string()), ("pixel_xxh3", pa.string()), ("phash", pa.string()), ("probes", pa.binary()),
                  ("thumb_xxh3", pa.string()), ("pack", pa.string()), ("offset", pa.int64()),
                  ("n_bytes", pa.int64()), ("n_thumb_bytes", pa.int64()), ("dir", pa.string())])  # fmt: skip

PICTURE_SQL = """
select row_number() over (order by m.uuid) - 1 as id, m.uuid, m.source, m.record_key, m.url, f.host,
  m.provider_key, m.crop, m.lineage, f.md5, p.pixel_xxh3, p.phash, p.probes, m.organismID, m.datasetKey,
  m.catalogNumber, m.deploymentID, m.recordedBy, m.eventDate, p.original_width, p.original_height,
  case when n.species is not null then 0 when n.genus is not null then 1 when n.family is not null
       then 2 else 3 end as preference,
  p.original_width::bigint * p.original_height as n_pixels, f.n_bytes,
  case when m.license in ('CC0-1.0', 'CC-PDDC') then 0 when m.license_status <> 'open' then 3
       when contains(m.license, '-SA') then 2 else 1 end as strictness,
  list_position($sources, m.source) as source_order,
  (m.eventDate is not null)::integer + (m.decimalLatitude is not null)::integer
    + (m.creator is not null)::integer + (m.lifeStage is not null)::integer + (m.sex is not null)::integer
    + (m.countryCode is not null)::integer as n_known
from media m
join "fetch" f on f.url = m.url and f.status = 'ok'
join phash p on p.md5 = f.md5 and p.crop is not distinct from m.crop and p.error is null
left join label n using (lineage)
semi join good g on g.uuid = m.uuid
where m.reject_reason is null
order by m.uuid
"""

GOOD_SQL = "select uuid from verdict where keep order by uuid"  # else a twin would go for one that goes itself

PLACE_SQL = """
with own as (
  select p.phash, $dir as dir, r.pack, r."offset" + r.n_bytes as "offset", r.n_thumb_bytes as n_bytes,
    r.thumb_xxh3 as xxh3
  from (select phash, min(md5 || coalesce('#' || crop, '')) as first_content from picture
        where phash is not null group by phash) p
  join rendered r on r.md5 || coalesce('#' || r.crop, '') = p.first_content
  semi join packs s using (pack)
),
place as (
  select * from own
  union all select phash, dir, pack, "offset" + n_bytes, n_thumb_bytes, thumb_xxh3 from held
)
select phash, dir, first(pack order by pack, "offset") as pack, first("offset" order by pack, "offset") as "offset",
  first(n_bytes order by pack, "offset") as n_bytes, first(xxh3 order by pack, "offset") as xxh3
from place where phash is not null group by phash, dir
qualify row_number() over (partition by phash order by dir) = 1
order by phash
"""

LOOK_SQL = """
select c.number, c.kind, x.dir as x_dir, x.pack as x_pack, x."offset" as x_offset, x.n_bytes as x_n_bytes,
  x.xxh3 as x_xxh3, y.dir as y_dir, y.pack as y_pack, y."offset" as y_offset, y.n_bytes as y_n_bytes, y.xxh3 as y_xxh3
from candidate c join hash p on p.id = c.a join hash q on q.id = c.b
join place x on x.phash = p.phash join place y on y.phash = q.phash
order by c.number
"""


class Place(NamedTuple):
    """Where a thumbnail lies."""

    dir: str
    pack: str
    offset: int
    n_bytes: int
    xxh3: str

    def bytes(self) -> bytes:
        """The thumbnail; ValueError when its pack has gone."""
        try:
            return Packs(Path(self.dir)).get(self.pack, self.offset, self.n_bytes, xxh3=self.xxh3)
        except FileNotFoundError as error:
            raise ValueError(f"a thumbnail is gone ({error}); run the build again") from error


class Look(NamedTuple):
    """A candidate pair to look at."""

    number: int
    kind: str
    one: Place
    other: Place


class LookUnit(NamedTuple):
    """Candidate pairs to look at together."""

    looks: tuple[Look, ...]


def look(unit: LookUnit) -> tuple[tuple[int, float], ...]:
    """(number, score) of every pair."""
    return tuple(
        (n, round(confirm.score(confirm.Pair(kind, one.bytes(), other.bytes())), 4))
        for n, kind, one, other in unit.looks
    )


def dedup_(build: Build, made: Made) -> list[Artifact]:
    """Duplicates, groups and held-out neighbours; and a page to see them on."""
    how = build.recipe.dedup
    params = {**dataclasses.asdict(how), "judging": tables.judging(build.recipe),
              "placeholder_urls": build.recipe.fetch.placeholder_urls,
              "min_score": confirm.MIN_SCORE}  # fmt: skip
    given = ("media", "label", "fetch", "phash", "score")
    inputs = {name: made[name][0].paths[0] for name in given}

    def write(folder: Path) -> dict[str, Any]:
        work = build.scratch("dedup")
        picture = work / "picture.parquet"
        good = work / "good.parquet"
        tables.judged(build, {**inputs, "dedup": schema.DEDUP.empty()}).copy_to(
            work / "judged.parquet"
        )
        sql.query(build.con, GOOD_SQL, verdict=work / "judged.parquet").copy_to(good)
        compared = sql.query(
            build.con, PICTURE_SQL, {"sources": list(schema.SOURCES)}, good=good, **inputs
        )
        # reordered, the join on `crop` comes first, and every null crop meets every other
        dataclasses.replace(compared, as_written=True).copy_to(picture)
        held = pa.concat_tables([HELD.empty_table(), *(_held(a) for a in made["benchmark"])])
        place = work / "place.parquet"
        rendering = Rendering.of(build)
        rendering.ensure(
            build, made, "dedup"
        )  # thumbnails may have been lost since they were hashed
        sql.query(build.con, PLACE_SQL, {"dir": str(rendering.ledger.dir)}, picture=picture, held=held,
                  rendered=rendering.ledger.input(), packs=rendering.packs.names()).copy_to(place)  # fmt: skip

        def second_look(candidate: Path, hash_: Path) -> Iterator[pa.Table]:
            looks = work / "look.parquet"
            sql.query(build.con, LOOK_SQL, candidate=candidate, hash=hash_, place=place).copy_to(
                looks
            )
            return _scores(build, looks)

        query = dedup.dedup(
            build.con, picture=picture, held=held, folder=work, confirm=second_look, classes=how.classes,
            near_max_bits=how.near_max_bits, burst_s=how.burst_s, min_score=confirm.MIN_SCORE,
            placeholder_urls=build.recipe.fetch.placeholder_urls)  # fmt: skip
        path = folder / "part-000000.parquet"
        query.copy_to(path)
        counts = {"rows": artifact.check(path, schema.DEDUP)}
        gallery.write(build.con, folder / "duplicates.html", dedup=path, work=work, place=place,
                      min_score=confirm.MIN_SCORE)  # fmt: skip
        return counts

    reads = [a.address for name in (*given, "benchmark") for a in made[name]]
    return [build.make("dedup", 5, params, reads, write)]


def _held(benchmark: Artifact) -> pa.Table:
    rows = pq.read_table(benchmark.paths[0])
    place = pa.array([str(benchmark.dir)] * rows.num_rows, pa.string())
    return rows.append_column("dir", place).select(HELD.names).cast(HELD)


def _scores(build: Build, looks: Path) -> Iterator[pa.Table]:
    """Scores of candidate pairs; every one is looked at once."""
    with build.progress("dedup", pq.read_metadata(looks).num_rows) as bar:
        for scores in run_units(
            look, _look_units(looks), engine=build.engine, workers=build.workers, root=build.root
        ):
            numbers, found = zip(*scores, strict=True)
            yield pa.table(
                {"number": pa.array(numbers, pa.int64()), "score": pa.array(found, pa.float64())}
            )
            bar.step(True, len(scores))


def _look_units(looks: Path) -> Iterator[LookUnit]:
    for batch in pq.ParquetFile(looks).iter_batches(PAIRS_PER_UNIT):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield LookUnit(tuple(Look(r[0], r[1], Place(*r[2:7]), Place(*r[7:12])) for r in rows))
