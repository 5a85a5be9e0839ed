"""What a reader asks of a dataset beside its tree: the whole, one record, the rows left out, the numbers.

Every function takes the opened dataset first and returns plain data, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catalog import reasons, schema
from catalog.questions import FILTERS, PER_PAGE
from catalog.shelf import Shelf

N_VALUES = 400  # of a facet

FACET_SQL = """
select "value", n_images, n_open, n_taxa from statistics where facet = $facet
order by n_images desc, "value" limit $n
"""

TOTAL_SQL = """
select coalesce(sum(n_images), 0)::bigint as n_images, coalesce(sum(n_open), 0)::bigint as n_open,
  (select coalesce(sum(n_images), 0)::bigint from statistics where facet = 'reject') as n_rejects
from statistics where facet = 'source'
"""

REJECTS_SQL = """
select * from rejects
where file_row_number > $after_row
  and ($stage is null or reject_stage = $stage) and ($reason is null or reject_reason = $reason)
  and ($archive is null or archive = $archive)
  and ($text is null or contains(lower(identifier), lower($text)) or contains(lower(verbatimScientificName), lower($text))
    or uuid = lower($text) or source_id = $text)
limit $n
"""

STATISTICS_SQL = """
select facet, "value", n_images, n_open, n_taxa, n_listed from statistics
qualify row_number() over (partition by facet order by n_images desc, "value") <= $n
order by facet, n_images desc, "value"
"""


def overview(shelf: Shelf) -> dict[str, Any]:
    """Title, release, totals, and the values that the filters know."""
    (total,) = shelf.ask(TOTAL_SQL)
    values = {
        name: [r["value"] for r in _facet(shelf, name) if r["value"] is not None]
        for name in FILTERS
    }
    taxa = {row["value"]: row["n_taxa"] for row in _facet(shelf, "taxa")}
    params = shelf.manifest["params"]
    return {"title": shelf.title, "release": shelf.release, "address": shelf.manifest.get("address"), "licence": params.get("licence"), **total, "taxa": taxa,
            "filters": values}  # fmt: skip


def record(shelf: Shelf, uuid: str) -> dict[str, Any]:
    """Everything about one picture: its row, why it was left out if it was, its group, what was left out for it.

    Raises LookupError for a uuid that is nowhere.
    """
    stands = shelf.lookup(uuid)
    own_row = next((at["catalog_row"] for at in stands if at["catalog_row"] is not None), None)
    own = shelf.row("catalog", own_row) if own_row is not None else None
    again = [
        shelf.row("rejects", at["rejects_row"]) for at in stands if at["rejects_row"] is not None
    ]
    if own is None and not again:
        raise LookupError("no picture of this dataset has that id")
    places, n_stayed = shelf.replaced(uuid)
    stayed, left_out = [shelf.row("rejects", row) for row in places], again
    if own is not None and own["keep"]:  # the same row of the source, once more
        left_out, stayed = [], [*again, *stayed]
        n_stayed += len(again)
    members, n_members = shelf.members(own["group_id"]) if own is not None else ([], 1)
    group = [shelf.row("catalog", row) for row in members if row != own_row]
    said = own or {}
    return {
        "uuid": uuid, "record": own, "has_picture": bool(said.get("keep")),
        "group": [{name: row[name] for name in ("uuid", "canonicalName", "taxonRank", "eventDate", "keep", "thumbnail_row", "license", "license_status")} for row in group],
        "rule": reasons.RULES[said.get("match_rule") or "unresolved"], "why": reasons.meaning(said.get("match_reason") or ""),
        "rejected": [_explained(row) for row in left_out], "duplicates": [_explained(row) for row in stayed],
        "n_group": n_members - 1, "n_duplicates": n_stayed,
        "fields": {name: {"meaning": schema.FIELDS[name].meaning, "unit": schema.FIELDS[name].unit} for name in said
                   if name in schema.FIELDS},
    }  # fmt: skip


def rejects(shelf: Shelf, chosen: Mapping[str, str], after: str = "") -> dict[str, Any]:
    """A page of the rows left out, with reasons; `chosen` may name stage, reason, archive, and text to look for."""
    said = {name: chosen.get(name) for name in ("stage", "reason", "archive", "text")}
    rows = shelf.ask(REJECTS_SQL, **said, after_row=int(after or -1), n=PER_PAGE)
    last = str(rows[-1]["file_row_number"]) if len(rows) == PER_PAGE else ""
    return {"rejects": [_explained(row) for row in rows], "after": last}


def statistics(shelf: Shelf) -> dict[str, list[dict[str, Any]]]:
    """Every facet with its values, most pictures first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in shelf.ask(STATISTICS_SQL, n=N_VALUES):
        facet = row.pop("facet")
        if facet == "reject":
            stage, _, reason = row["value"].partition("/")
            row |= {"stage": stage, "reason": reason, "meaning": reasons.meaning(reason)}
        found.setdefault(facet, []).append(row)
    return found


def _facet(shelf: Shelf, name: str) -> list[dict[str, Any]]:
    return shelf.ask(FACET_SQL, facet=name, n=N_VALUES)


def _explained(row: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in row.items() if name in schema.REJECTS.columns}
    return said | {"meaning": reasons.meaning(row["reject_reason"])}
