"""The peer of `names_accuracy`: thirty lines of regular expressions and string similarity."""

from __future__ import annotations

import collections
import difflib
import re
from typing import Any

from tests.benchmarks._names_world import Row


def answers(rows: list[Row], texts: list[str]) -> list[Row | None]:
    """Canonical form by regex, then the record whose full name is most alike; else the nearest name."""
    form = re.compile(r"^[^A-Za-z]*([A-Z][a-z]+)(?: [x×] ?| ×)?(?: ?\([A-Z][a-z]+\))? ?(?:[x×] ?)?([a-z-]{3,})?"
                      r"(?:.*?(?:subsp|ssp|var|f)\. ([a-z-]{3,}))?")  # fmt: skip

    def canonical(text: str) -> str:
        parts = form.match(text)
        return " ".join(part for part in parts.groups() if part) if parts else text

    accepted = {row["taxonID"]: row for row in rows}
    by_name: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        by_name[canonical(row["scientificName"])].append(row)
    by_genus: dict[str, list[str]] = collections.defaultdict(list)
    for name in by_name:
        by_genus[name.split()[0]].append(name)
    found: list[Row | None] = []
    for text in texts:
        name = canonical(text)
        if name not in by_name:
            near = difflib.get_close_matches(name, by_genus.get(name.split()[0], []), 1, 0.9)
            name = near[0] if near else ""
        hits = by_name.get(name, [])
        best: Any = max(hits, key=lambda r: difflib.SequenceMatcher(None, text, r["scientificName"]).ratio(),
                        default=None)  # fmt: skip
        if best is not None:
            best = accepted.get(best.get("acceptedNameUsageID") or "", best)
        found.append(
            {**best, "canonicalName": canonical(best["scientificName"])}
            if best is not None
            else None
        )
    return found
