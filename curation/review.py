"""A page of pictures on both sides of every threshold of the verdict, for the person who sets them.

For each score: how it is spread, the pictures nearest to the threshold on either side, and some at random. It lies beside the
verdict of a build (`<root>/verdict/<address>/review.html`) and is not part of the dataset. `--what-if verdict.KEY=VALUE` counts
what another value would change.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from catalog import sql
from curation import gallery
from curation.steps.rendering import Rendering
from curation.workshop import Build, Made

N_NEAR, N_ANY, N_BINS = 12, 8, 60


class Threshold(NamedTuple):
    """One threshold: the recipe's key, what it is about, where scores end, and which side is dropped."""

    key: str
    heading: str
    top: float
    drops_below: bool


THRESHOLDS = (
    Threshold("min_museum_score", "Collections: margin of classes that are dropped", 1.0, False),
    Threshold("min_animal_score", "Camera traps: best animal", 1.0, True),
    Threshold("max_face_score", "Faces: best face", 1.0, False),
    Threshold("min_sharpness", "Sharpness", 1.5, True),
    Threshold("min_subject_contrast", "Contrast of the subject, in grey levels", 255.0, True),
    Threshold("max_clipped_share", "Share that is black or white", 1.0, False),
)

SCORED_SQL = """
with seen as (
  select v.uuid, v.keep, v.reject_reason, m.image_type, m.crop, f.md5, c.*
    exclude (md5, crop)
  from verdict v join media m using (archive, source_table, source_row, media_index)
  join "fetch" f on f.url = m.url and f.status = 'ok'
  join score c on c.md5 = f.md5 and c.crop is not distinct from m.crop
),
scored as (
  select *, 'min_museum_score' as threshold, museum_score as score, museum_nearest as told from seen
    where list_contains($drop_museum, museum_nearest)
  union all
  select *, 'min_animal_score', animal_score, null from seen where image_type = 'camera_trap' and animal_score is not null
  union all
  select *, 'max_face_score', face_score, null from seen where face_score > 0
  union all
  select *, 'min_sharpness', sharpness, null from seen where sharpness is not null
  union all
  select *, 'min_subject_contrast', subject_contrast, null from seen where subject_contrast is not null
  union all
  select *, 'max_clipped_share', clipped_share, null from seen where clipped_share is not null
)
select threshold, score, told, uuid, keep, reject_reason, image_type, md5, crop, face_boxes
from scored join limits using (threshold)
qualify row_number() over (partition by threshold, md5, crop order by uuid) = 1
order by threshold, uuid
"""

CHOSEN_SQL = """
with ranked as (
  select s.*, l.value,
    row_number() over (partition by threshold, score < l.value order by abs(score - l.value), uuid) as nth,
    row_number() over (partition by threshold, score < l.value order by md5(uuid)) as any_nth
  from scored s join limits l using (threshold)
),
chosen as (select * from ranked where nth <= $n_near or any_nth <= $n_any),
place as (
  select s.md5, s.crop, first(struct_pack(pack := s.pack, "offset" := s."offset", n_bytes := s.n_bytes,
    n_thumb_bytes := s.n_thumb_bytes, thumb_xxh3 := s.thumb_xxh3) order by s.pack, s."offset") as r
  from rendered s semi join packs using (pack) semi join chosen k on k.md5 = s.md5 and k.crop is not distinct from s.crop
  where s.pack is not null group by s.md5, s.crop
)
select threshold, score < value as is_below, nth <= $n_near as is_near, score, told, keep, reject_reason, image_type, uuid,
  face_boxes, r.pack, r."offset" + r.n_bytes as place, r.n_thumb_bytes, r.thumb_xxh3
from chosen k join place t on t.md5 = k.md5 and t.crop is not distinct from k.crop
order by threshold, is_below, is_near desc, abs(score - value), uuid
"""

SPREAD_SQL = """
select threshold, least($n_bins - 1, greatest(0, floor(score / top * $n_bins)))::integer as bin, count(*) as n
from scored join limits using (threshold) group by threshold, bin order by threshold, bin
"""


def write(build: Build, made: Made, path: Path, *, verdict: Path) -> None:
    """Write the page; it says so where nothing was scored."""
    how, work = build.recipe.verdict, build.scratch("review")
    limits = pa.Table.from_pylist(
        [{"threshold": t.key, "value": float(getattr(how, t.key)), "top": t.top} for t in THRESHOLDS]
    )  # fmt: skip
    inputs = {name: made[name][0].paths[0] for name in ("media", "fetch", "score")}
    scored = work / "scored.parquet"
    sql.query(build.con, SCORED_SQL, {"drop_museum": list(how.drop_museum)}, verdict=verdict, limits=limits,
              **inputs).copy_to(scored)  # fmt: skip
    rendering = Rendering.of(build)
    rendering.ensure(build, made, "review")  # thumbnails may have been lost since they were made
    rows = sql.query(build.con, CHOSEN_SQL, {"n_near": N_NEAR, "n_any": N_ANY}, scored=scored, limits=limits,
                     rendered=rendering.ledger.input(), packs=rendering.packs.names()).table().to_pylist()  # fmt: skip
    spread = sql.query(build.con, SPREAD_SQL, {"n_bins": N_BINS}, scored=scored, limits=limits).rows()  # fmt: skip
    for row in rows:
        row["image"] = rendering.packs.get(row["pack"], row["place"], row["n_thumb_bytes"], xxh3=row["thumb_xxh3"])  # fmt: skip
    path.write_text(page(rows, spread, {t.key: getattr(how, t.key) for t in THRESHOLDS}), encoding="utf-8")  # fmt: skip


def page(rows: Sequence[dict[str, Any]], spread: Sequence[tuple[str, int, int]], values: dict[str, float]) -> str:  # fmt: skip
    """The page of chosen pictures and spreads, by threshold."""
    text = ("Pictures on both sides of every threshold of <code>[verdict]</code>: those nearest to it, then some at random. "
            "Pink ones are left out, for the reason beneath. What another value would change: "
            "<code>--what-if verdict.KEY=VALUE</code>.")  # fmt: skip
    parts = [gallery.head("Verdicts", text)]
    for threshold in THRESHOLDS:
        own = [row for row in rows if row["threshold"] == threshold.key]
        if not own:
            continue
        value = values[threshold.key]
        parts.append(f"<h2>{threshold.heading}</h2>\n<p><code>verdict.{threshold.key} = {value:g}</code></p>\n")  # fmt: skip
        parts.append(_spread([(b, n) for key, b, n in spread if key == threshold.key], value, threshold.top))  # fmt: skip
        for is_below in (True, False):
            side = [row for row in own if row["is_below"] == is_below]
            words = "below" if is_below else "at and above"
            fate = "dropped" if is_below == threshold.drops_below else "kept"
            for is_near, which in ((True, "nearest"), (False, "others, at random")):
                shown = [row for row in side if row["is_near"] == is_near]
                if shown:
                    parts.append(f"<h3>{words} the threshold (this score: {fate}): {which}</h3>\n<section>\n")  # fmt: skip
                    parts += [_figure(row) for row in shown]
                    parts.append("</section>\n")
    if len(parts) == 1:
        parts.append("<p>No picture has a score: the recipe names no scorer, or nothing is of a type that is scored.</p>\n")  # fmt: skip
    return "".join(parts)


def _figure(row: dict[str, Any]) -> str:
    boxes = ""
    if row["threshold"] == "max_face_score" and row["face_boxes"]:
        boxes = "".join(
            f'<i style="left:{100 * x0:.1f}%;top:{100 * y0:.1f}%;width:{100 * (x1 - x0):.1f}%;height:{100 * (y1 - y0):.1f}%"></i>'
            for x0, y0, x1, y1, _ in json.loads(row["face_boxes"])
        )  # fmt: skip
    said = [f"score {row['score']:.3g}" + (f", taken for {row['told']}" if row["told"] else "")]
    said += [f"by its metadata: {row['image_type']}"] if row["image_type"] else []
    said += ["kept" if row["keep"] else f"left out: {row['reject_reason']}", row["uuid"]]
    caption = "<br>".join(html.escape(str(text)) for text in said)
    kind = "" if row["keep"] else ' class="out"'
    return (f'<figure{kind}><span class="framed">{gallery.picture(row["image"])}{boxes}</span>'
            f"<figcaption>{caption}</figcaption></figure>\n")  # fmt: skip


def _spread(bins: Sequence[tuple[int, int]], value: float, top: float) -> str:
    """A histogram with the threshold in it."""
    tall, wide, most = 80, 8, max(n for _, n in bins)
    bars = "".join(
        f'<rect x="{wide * b}" y="{tall - tall * n / most:.1f}" width="{wide - 1}" height="{tall * n / most:.1f}" fill="#7a9cc6">'
        f"<title>{b * top / N_BINS:.3g} to {(b + 1) * top / N_BINS:.3g}: {n}</title></rect>"
        for b, n in bins
    )  # fmt: skip
    at = min(1.0, value / top) * wide * N_BINS
    return (f'<svg width="{wide * N_BINS}" height="{tall + 16}">{bars}<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{tall}" '
            f'stroke="#c0392b" stroke-width="2"/><text x="2" y="{tall + 13}" font-size="11">0</text>'
            f'<text x="{wide * N_BINS - 30}" y="{tall + 13}" font-size="11">{top:g}</text></svg>\n')  # fmt: skip
