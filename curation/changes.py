"""What differs between two releases of a dataset, by the catalogues and rejects they publish.

In   old, new   catalogue rows of both releases; rejects of the new one
Out  schema.CHANGES: one row per picture that was added, changed or removed, and a text for people

A picture that left has the reason of the new release's rejects; a takedown (`removed_on_request`) is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from catalog import reasons, sql

SQL = """
with was as (select columns(lambda c: c <> 'thumbnail_row') from old),      -- a place in files, no fact of the picture
is_ as (select columns(lambda c: c <> 'thumbnail_row') from new),
before as (select uuid, md5(to_json(was)::varchar) as digest from was),
after as (select uuid, md5(to_json(is_)::varchar) as digest from is_),
left_out as (select uuid, min(reject_reason) as reject_reason from rejects where uuid is not null group by uuid)
select coalesce(before.uuid, after.uuid) as uuid,
  case when before.uuid is null then 'added' when after.uuid is null then 'removed' else 'changed' end as change,
  case when after.uuid is null then reject_reason end as reject_reason
from before full join after on before.uuid = after.uuid left join left_out on left_out.uuid = before.uuid
where before.digest is distinct from after.digest
order by uuid
"""

COUNTS_SQL = """
select change, reject_reason, count(*) as n_images from changes
group by change, reject_reason order by change, n_images desc, reject_reason
"""

COLUMNS_SQL = """
with one as (select columns(lambda c: c <> 'thumbnail_row') from old o semi join changes c on c.uuid = o.uuid and c.change = 'changed'),
other as (select columns(lambda c: c <> 'thumbnail_row') from new n semi join changes c on c.uuid = n.uuid and c.change = 'changed'),
was as (unpivot (select uuid, columns(* exclude (uuid))::varchar from one)
        on columns(* exclude (uuid)) into name field value said),
is_ as (unpivot (select uuid, columns(* exclude (uuid))::varchar from other)
        on columns(* exclude (uuid)) into name field value said)
select coalesce(was.field, is_.field) as field, count(*) as n_images
from was full join is_ on was.uuid = is_.uuid and was.field = is_.field
where was.said is distinct from is_.said
group by all order by n_images desc, field
"""


def changes(
    con: duckdb.DuckDBPyConnection, *, old: Sequence[Path], new: Sequence[Path], rejects: Sequence[Path],
    to: Path,
) -> str:  # fmt: skip
    """Write schema.CHANGES to `to`; return what changed, in Markdown."""
    sql.query(con, SQL, old=old, new=new, rejects=rejects).copy_to(to)
    lines = []
    for change, reason, n_images in sql.query(con, COUNTS_SQL, changes=to).rows():
        if change == "removed":
            why = reasons.meaning(reason) if reason else "no longer in its source"
            lines.append(f"- removed: {n_images:,} ({why})")
        else:
            lines.append(f"- {change}: {n_images:,}")
    fields = sql.query(con, COLUMNS_SQL, old=old, new=new, changes=to).rows()
    if fields:
        lines.append(
            "- fields of changed pictures: " + ", ".join(f"`{n}` {c:,}" for n, c in fields)
        )
    return "\n".join(lines or ["- nothing"]) + "\n"
