"""A page of duplicates: what was merged, by class, and what nearly was.

Written beside the duplicates of a build for the person who decides how strict to be; it is not part
of the dataset. Held-out pictures are left out of it.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

import duckdb

from catalog import sql
from curation.store import Packs

N_PER_CLASS = 40

MERGED_SQL = """
select d.duplicate_rule as heading, d.distance, null::double as score, p.phash as one, q.phash as other,
  p.uuid, q.uuid
from dedup d join picture p using (uuid) join picture q on q.uuid = d.duplicate_of
where d.duplicate_rule is not null and p.phash is not null and q.phash is not null
qualify row_number() over (partition by d.duplicate_rule order by d.distance desc nulls last, p.uuid) <= $n
order by list_position(['wide', 'crop', 'mirror', 'border', 'near', 'pixels', 'md5', 'provider_key', 'url'],
  d.duplicate_rule), d.distance desc nulls last, p.uuid
"""

NEARLY_SQL = """
with first_of as (select phash, min(uuid) as uuid from picture where phash is not null group by phash)
select 'not merged: ' || kind as heading, c.distance, s.score, h.phash as one, g.phash as other, x.uuid, y.uuid
from candidate c join score s using (number) join hash h on h.id = c.a join hash g on g.id = c.b
join first_of x on x.phash = h.phash join first_of y on y.phash = g.phash
where s.score < $min_score
qualify row_number() over (order by s.score desc, c.number) <= $n
order by s.score desc, c.number
"""

_HEAD = """<!doctype html>
<meta charset="utf-8"><title>%s</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fafaf8 }
section { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; padding: .5rem; background: #fff; border: 1px solid #ddd }
figure.out { background: #fbeaea }
img { height: 120px; max-width: 200px; object-fit: contain; background: #eee; vertical-align: top }
figcaption { font-size: 12px; color: #555; max-width: 420px }
h2 { margin: 2rem 0 .3rem } h3 { margin: 1rem 0 .3rem; font-size: 15px }
svg { background: #fff; border: 1px solid #ddd; display: block; margin: .5rem 0 }
.framed { position: relative; display: inline-block } .framed i { position: absolute; border: 2px solid #e0218a }
</style>
<h1>%s</h1>
<p>%s</p>
"""
_TEXT = """Left the picture that was left out, right the one kept in its place; at the end candidates whose pixels
spoke against it. Distances are bits of 256, scores the share of blocks that agree."""


def head(title: str, text: str) -> str:
    """The beginning of a page of pictures; `text` is our own HTML."""
    return _HEAD % (title, title, text)


def picture(data: bytes) -> str:
    """A JPEG inside a page."""
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'


def write(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    dedup: Path,
    work: Path,
    place: Path,
    min_score: float,
) -> None:
    """Write the page: the most different pairs of every class, and the most alike that were kept apart."""
    tables: dict[str, Any] = {"dedup": dedup, "picture": work / "picture.parquet"}
    rows = sql.query(con, MERGED_SQL, {"n": N_PER_CLASS}, **tables).rows()
    nearly: dict[str, Any] = {
        name: work / f"{name}.parquet" for name in ("candidate", "score", "hash", "picture")
    }
    rows += sql.query(
        con, NEARLY_SQL, {"n": 2 * N_PER_CLASS, "min_score": min_score}, **nearly
    ).rows()
    wanted = sorted({phash for row in rows for phash in row[3:5]})
    found = sql.query(con, "select * from place where list_contains($wanted, phash) order by phash",
                      {"wanted": wanted}, place=place).rows()  # fmt: skip
    images = {
        phash: Packs(Path(folder)).get(pack, offset, n_bytes, xxh3=xxh3)
        for phash, folder, pack, offset, n_bytes, xxh3 in found
    }
    parts, heading = [head("Duplicates", _TEXT)], None
    for row in rows:
        if row[0] != heading:
            parts.append(
                ("</section>\n" if heading else "") + f"<h2>{html.escape(row[0])}</h2>\n<section>\n"
            )
            heading = row[0]
        parts.append(_figure(row, images))
    parts.append("</section>\n" if heading else "<p>There are none.</p>\n")
    path.write_text("".join(parts), encoding="utf-8")


def _figure(row: tuple[Any, ...], images: dict[str, bytes]) -> str:
    _, distance, score, one, other, left, right = row
    shown = "".join(picture(images[key]) for key in (one, other) if key in images)
    said = [f"{left}<br>{right}"]
    said += [f"distance {distance}"] if distance is not None else []
    said += [f"score {score:.2f}"] if score is not None else []
    return f"<figure>{shown}<figcaption>{'<br>'.join(said)}</figcaption></figure>\n"
