"""Why a name is what it is: every candidate, how it was scored, and why the winner won."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import schema, sql
from catalog.artifact import Artifact
from curation import report
from curation.recipe import Recipe
from curation.taxonomy import resolve
from curation.taxonomy.authority import Authority
from curation.workshop import scratch

STATED = ("kingdom", "phylum", "class", "order", "family", "genus", "species", "taxonRank",
          "scientificNameAuthorship", "taxonKey", "checklistKey", "source")  # fmt: skip

CANDIDATES_SQL = """
select way, taxonomy, taxonID, canonicalName, scientificNameAuthorship, taxonRank, taxonomicStatus,
  acceptedNameUsageID, distance, name_score, author_score, class_score, rank_score, status_score,
  key_agrees, total, misfit, kingdom, family
from candidate order by misfit is not null, way_no, precedence, total desc, taxonID limit 40
"""


def explain(recipe: Recipe, root: Path, taxa: Sequence[Artifact], name: str, lineage: str) -> None:
    """Print how a name (and what is stated beside it, "rank=name,rank=name") is resolved.

    Raises ValueError for a word in `lineage` that is no rank.
    """
    said = _stated(lineage)
    columns = ("lineage", "source", *(s for s in STATED if s != "source"), "text")
    row = {"lineage": "asked", "source": "own", "text": name, **said}
    table = pa.Table.from_pylist([row], schema=pa.schema([(c, schema.STR) for c in columns]))
    authorities = [Authority(t.name, t.checklist_key,
                             recipe.folder / t.mapping if t.mapping else None)
                   for t in recipe.taxonomy]  # fmt: skip
    con = sql.connect(memory_limit=recipe.memory_limit)
    work_dir = root / "tmp" / "explain"
    with scratch(work_dir):
        (label,) = resolve.judged(
            con, table, [a.path("taxon.parquet") for a in taxa], authorities, work_dir,
            recipe.names.min_score).table().to_pylist()  # fmt: skip
        for title, file in (("by its name", "scored"), ("by its ranks", "rungs")):
            path = work_dir / f"{file}.parquet"
            found = sql.query(con, CANDIDATES_SQL, candidate=path).table().to_pylist()
            report.say(f"{title}: {len(found)} candidates")
            for candidate in found:
                report.say(_line(candidate))
    con.close()
    ranks = " > ".join(label[r] or "-" for r in schema.RANKS)
    report.say(f"\n{name}\n  is       {label['canonicalName'] or 'unresolved'}"
               f" ({label['taxonRank'] or '-'}) {ranks}"
               f"\n  rule     {label['match_rule'] or '-'}  score {label['match_score'] or '-'}"
               f"  reason {label['match_reason'] or '-'}"
               f"\n  agrees   {label['ranks_agree'] or '-'}; differs {label['ranks_differ'] or '-'}"
               f"; runner-up {label['runner_up'] or '-'}"
               f"\n  taxon    {label['taxonID'] or '-'} in {label['taxonomy'] or '-'}")  # fmt: skip


def _line(c: dict[str, Any]) -> str:
    name = f"{c['canonicalName']} {c['scientificNameAuthorship'] or ''}".strip()
    parts = " ".join(f"{n} {c[n + '_score']:+d}" for n in ("author", "class", "rank", "status"))
    what = (
        f"synonym of {c['acceptedNameUsageID']}"
        if c["acceptedNameUsageID"]
        else c["taxonomicStatus"]
    )
    key = " key +15" if c["key_agrees"] else ""
    verdict = f"does not fit: {c['misfit']}" if c["misfit"] else "fits"
    return (f"  {c['way']:<8} {c['taxonID']:<12} {name} ({c['taxonRank'] or '-'}, {what}, "
            f"{c['kingdom'] or '-'}, {c['family'] or '-'})\n           name {c['name_score']} {parts}{key}"
            f" = {c['total']}; {verdict}")  # fmt: skip


def _stated(lineage: str) -> dict[str, str]:
    known = {term.lower(): term for term in STATED}
    said: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in re.split(r",\s*(?=[A-Za-z]+\s*=)", lineage))):
        word, equals, value = (p.strip() for p in part.partition("="))
        rank = known.get(word.lower())
        if not equals or rank is None or rank in said:
            raise ValueError(
                f"--lineage {part!r}: write RANK=NAME, each once, with one of {', '.join(STATED)}"
            )
        said[rank] = value
    return said
