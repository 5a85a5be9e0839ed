"""Every real archive at hand: how many media rows it holds, what became of each, or what is wrong with it.

Nothing is timed. Ours is the number of rows accounted for (kept and refused together); the peer is
the number its provider or its README states, where one is known. An archive that holds no pictures
must say so in words a person can act on. Without the real data all is unmeasured.
"""

from __future__ import annotations

import collections
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from catalog import sql
from curation.sources import bioscan, eol, fathomnet, gbif, own
from tests.benchmarks.harness import Result, Row, Target, target

DATA = Path(os.environ.get("TREEOFLIFE_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")
STATED = {
    "gbif/dwca_ticks_multimedia": 1362, "gbif/multimedia_frogs_museum": 8398, "gbif/multimedia_liberty_cap": 1619,
    "gbif/multimedia_norway": 1140, "eol/media_manifest": 3350, "eol/protisten_dwca": 2672,
    "bioscan/bioscan5m_sample_metadata.csv": 25, "fathomnet/fathomnet2024_subtrain_coco.json": 4600,
    "gbif/inaturalist_export/observations-128749.csv": 1514,
}  # fmt: skip


def run(*, quick: bool) -> Result:
    """Read every archive with the reader of its kind."""
    peer, limit = "rows as its provider states them", "-"
    if not (DATA / "gbif").is_dir():
        none = (Target("everything (the real data is not at hand)", "unmeasured", "-"),)
        return Result("archives", peer, limit, (), none)
    small = sorted((DATA / "gbif/small_archives").glob("*/*"))
    places = [DATA / name for name in STATED] + small
    rows, silent, wrong = [], [], []
    for place in places:
        name = place.relative_to(DATA).as_posix()
        counts, refused = _read(place, name)
        n_rows, stated = sum(counts.values()), STATED.get(name)
        kept = ", ".join(f"{reason or 'kept'} {n:,}" for reason, n in counts.most_common())
        rows.append(Row(f"{name}: {refused or kept or 'nothing said'}", "rows", n_rows, stated))
        if not n_rows and not refused:
            silent.append(name)
        if stated and n_rows != stated:
            wrong.append(name)
    return Result("archives", peer, limit, tuple(rows), (
        target(f"all {len(places)} archives give their rows or say why not", not silent, str(silent or "all")),
        target(f"the {len(STATED)} with a stated number of rows lose none", not wrong, str(wrong or "none lost")),
    ))  # fmt: skip


def _read(place: Path, name: str) -> tuple[collections.Counter[str | None], str | None]:
    """Rows by reject reason (None: kept), or the message an archive is refused with."""
    con, said = sql.connect(), _Said()
    logging.getLogger("curation").addHandler(said)
    with tempfile.TemporaryDirectory() as work:
        given = {"archive": "a", "path": place}
        readers: dict[str, Callable[[], sql.Query]] = {
            "eol": lambda: eol.eol(con, **given, work_dir=Path(work)),  # type: ignore[arg-type]
            "bioscan": lambda: bioscan.bioscan(con, **given, work_dir=Path(work)),  # type: ignore[arg-type]
            "fathomnet": lambda: fathomnet.fathomnet(con, **given),  # type: ignore[arg-type]
            "own": lambda: own.own(con, **given, work_dir=Path(work)),  # type: ignore[arg-type]
            "gbif": lambda: gbif.gbif(con, **given, work_dir=Path(work),  # type: ignore[arg-type]
                                      media_only="multimedia_" in name),
        }  # fmt: skip
        kind = "own" if "inaturalist_export" in name else name.partition("/")[0]
        try:
            found = readers[kind]().table().column("reject_reason").to_pylist()
        except ValueError as error:
            return collections.Counter(), f"refused: {str(error).replace(str(DATA), '…')}"
        finally:
            logging.getLogger("curation").removeHandler(said)
    told = "; ".join(said.texts).replace(str(DATA), "…") if not found else None
    return collections.Counter(found), told


class _Said(logging.Handler):
    """Warnings, as texts."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
