"""The browser over 20 million pictures: the first page, opening the tree, a search, a record, filters.

The page is loaded in headless Chromium where there is one (its own clock, from the start of the navigation to a page that is
ready), its questions are also asked over HTTP. Warm: the second time. Peer: the same question asked of the
catalogue alone by one DuckDB query, as without the tables beside it (taxa, names, lookup). Limit: none.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalog import questions, sql
from catalog.browse import Server
from catalog.shelf import Shelf
from tests.benchmarks.harness import Result, Row, peak_mb, target
from tests.browser import chromium

N_ROWS, N_SPECIES, N_EXPAND = 20_000_000, 300_000, 60
_NUMBERS = itertools.count()
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))

PEER_CHILDREN_SQL = """
select coalesce("order", family) as "name", count(*) as n_images, count(distinct species) as n_species
from catalog where kingdom = 'Animalia' group by all
"""
PEER_SEARCH_SQL = """
select canonicalName, count(*) as n_images from catalog
where contains(lower(vernacularName), 'creature 12') or contains(lower(canonicalName), 'creature 12')
group by all order by n_images desc limit 30
"""
PEER_RECORD_SQL = "select * from catalog where uuid = $uuid"


def run(*, quick: bool) -> Result:
    """Timed over one server; medians of warm answers, and the slowest opening of the tree."""
    n_rows, n_species = (500_000, 20_000) if quick else (N_ROWS, N_SPECIES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "dataset"
        made = [
            sys.executable,
            "-m",
            "tests.benchmarks._browse_world",
            name,
            str(n_rows),
            str(n_species),
        ]
        subprocess.run(made, check=True)  # apart: its memory is not the browser's
        started = time.perf_counter()
        shelf = Shelf(str(folder))
        opened_s = time.perf_counter() - started
        there = Server(shelf)
        threading.Thread(target=there.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{there.server_address[1]}"
        try:
            opened = sorted(_expansions(base))
            first_s, expand_click_s = _page(base)
            asked_s = _first_page(base)
            rng = random.Random(17)
            uuids = [
                row["uuid"] for row in _get(base, "pictures", in_kingdom="Animalia")["pictures"]
            ]
            uuid = rng.choice(uuids)
            peers = sql.connect()
            sql.lasting(peers, catalog=sql.Placed(shelf.files["catalog"]))
            rows = [
                Row("open the dataset", "s", opened_s),
                Row("first page, its questions one after another, none kept", "s", asked_s),
                Row("open a taxon in the tree (median)", "s", statistics.median(opened),
                    _timed(lambda: peers.execute(PEER_CHILDREN_SQL).fetchall())),
                Row("open a taxon in the tree (slowest)", "s", opened[-1]),
                Row("search by a common name", "s", _timed(lambda: _anew(base, "search", text="creature 12")),
                    _timed(lambda: peers.execute(PEER_SEARCH_SQL).fetchall())),
                Row("one record by its uuid", "s", _timed(lambda: _anew(base, "record", uuid=uuid)),
                    _timed(lambda: peers.execute(PEER_RECORD_SQL, {"uuid": uuid}).fetchall())),
                Row("a page of a kingdom with three filters", "s",
                    _timed(lambda: _anew(base, "pictures", in_kingdom="Animalia", license="CC0-1.0", countryCode="JP",
                                        from_year="2015"))),
                Row("count of all with two filters", "s", _timed(lambda: _anew(base, "count", license="CC0-1.0", countryCode="JP"))),
                Row("map of a kingdom", "s", _timed(lambda: _anew(base, "places", in_kingdom="Fungi"))),
                Row("rejects of one reason", "s", _timed(lambda: _anew(base, "rejects", reason="duplicate_near"))),
                Row("statistics", "s", _timed(lambda: _anew(base, "statistics"))),
                Row("resident size", "MB", peak_mb()),
            ]  # fmt: skip
            if first_s is not None and expand_click_s is not None:
                rows[1:1] = [Row("first page in Chromium, its pictures drawn", "s", first_s),
                             Row("a click in the tree until its taxa stand there", "s", expand_click_s)]  # fmt: skip
        finally:
            there.shutdown()
            there.server_close()
    shown = asked_s if first_s is None else first_s
    slowest = max(opened[-1], expand_click_s or 0)
    return Result("browse", "one query over the catalogue alone", "none", tuple(rows), (
        target(f"{n_rows:,} rows: first page within 1 s, warm", shown < 1, f"{shown:.2f} s", judged=not quick),
        target(f"{n_rows:,} rows: a taxon of the tree opens within 300 ms, the slowest of {len(opened)}", slowest < 0.3,
               f"{1000 * slowest:.0f} ms", judged=not quick),
    ))  # fmt: skip


def _get(base: str, name: str, **said: str) -> Any:
    with OPEN.open(f"{base}/api/{name}?{urllib.parse.urlencode(said)}") as answer:
        return json.load(answer)


def _anew(base: str, name: str, **said: str) -> Any:
    """An answer that the server has not kept: a word more in the question, which it does not know."""
    return _get(base, name, **said, unlike=str(next(_NUMBERS)))


def _timed(ask: Callable[[], Any]) -> float:
    """Median of five after one; the server keeps answers, so `ask` varies them by `unlike`."""
    ask()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _first_page(base: str) -> float:
    def ask() -> None:
        for name in ("overview", "children", "taxon", "pictures"):
            _anew(base, name)

    return _timed(ask)


def _expansions(base: str) -> list[float]:
    """Seconds to open taxa on random ways down the tree; no taxon twice, for answers are kept."""
    rng, times, known = random.Random(17), list[float](), set[str]()
    while len(times) < N_EXPAND:
        path: dict[str, str] = {}
        for _ in questions.LEVELS:
            said = {f"in_{level}": taxon for level, taxon in path.items()}
            started = time.perf_counter()
            rows = _get(base, "children", **said)
            if str(said) not in known:
                times.append(time.perf_counter() - started)
            known.add(str(said))
            below = [row for row in rows if row["rank"] and row["has_children"]]
            if not below:
                break
            row = rng.choice(below)
            path[row["rank"]] = row["name"]
    return times


def _page(base: str) -> tuple[float | None, float | None]:
    """Seconds of the first page, warm, and of the slowest of some clicks in the tree; None without Chromium."""
    with chromium() as browser:
        if browser is None:
            return None, None
        for _ in range(3):  # each with an empty cache of its own: what is warm is the server
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(base)
            page.wait_for_selector("html[data-ready]")
            first_s = page.evaluate(SEEN) / 1000
            page.wait_for_load_state("networkidle")
            clicks = [page.evaluate(CLICK) / 1000 for _ in range(5)]
            context.close()
        return first_s, max(clicks)


SEEN = """async () => {
  const seen = () => [...document.images].filter((image) => image.getBoundingClientRect().top < innerHeight);
  while (!seen().length || seen().some((image) => !image.complete)) await new Promise(requestAnimationFrame);
  if (seen().some((image) => !image.naturalWidth)) throw new Error("a thumbnail is broken");
  return performance.now();
}"""
CLICK = """async () => {
  const twist = [...document.querySelectorAll("#tree [aria-expanded=false] > .node > .twist")].at(-1);
  const item = twist.closest("li"), started = performance.now();
  twist.click();
  while (!item.querySelector(":scope > ul > li")) await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""
