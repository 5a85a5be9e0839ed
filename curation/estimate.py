"""What a build will need before its archives are there: time, bytes, memory, accounts.

Reckoned from the recipe's `expect` and from speeds measured on 2 cores by the programs in
`tests/benchmarks` (a test compares them with the figures kept there). An estimate, not a promise: the
web is slower than its servers' budgets allow, and machines differ.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from curation.recipe import Benchmark, Recipe, Taxonomy

ROWS_PER_S = 30_000.0  # ingest, media and verdict, all cores (`ingest`)
LINEAGES_PER_S = 28_000.0  # names resolved (`names_speed`)
LOOKS_PER_CORE_S = 240.0  # whole looks at a picture of 720 px (`hash`)
FETCHED_PER_S = 8_000.0  # what one client takes in from a server that is no limit (`fetch`)
NEAR_PER_S = 230_000.0  # hashes compared, all cores, at 20 million (`near`)
N_SEARCHES = 7  # near and six kinds of probe
DAY_S = 86_400
CLIENT_MBIT = 1000  # a common line; the bytes are printed, so that another can be put in
SHIPPED_KB, THUMB_KB, ROW_KB = (
    75.0,
    5.0,
    1.2,
)  # of a picture as shipped, its thumbnail, its metadata


def estimate(recipe: Recipe, root: Path) -> Iterator[str]:
    """Lines for the person who is about to start the build; the recipe must have `expect`."""
    assert recipe.expect is not None
    expect, how = recipe.expect, recipe.fetch
    n, cores = expect.n_pictures, len(os.sched_getaffinity(0))
    n_rows = sum(source.expect_rows for source in recipe.source)
    yield f"{recipe.name}: an estimate for this machine ({cores} cores), from speeds measured on 2"
    yield ""
    yield "archives"
    for source in recipe.source:
        there = "there" if (recipe.folder / Path(source.path).expanduser()).exists() else "needed"
        yield f"  {there:<7} {source.path:<42} {source.expect_rows:>13,} media rows   {source.obtain}"
    others: list[Taxonomy | Benchmark] = [*recipe.taxonomy, *recipe.benchmark]
    for item in others:
        there = "there" if (recipe.folder / Path(item.path).expanduser()).exists() else "needed"
        yield f"  {there:<7} {item.path:<42} {'':>13}              {item.name}"
    missing = [name for name in ("GBIF_USER", "GBIF_PWD", "GBIF_EMAIL") if not os.environ.get(name)]
    if any(source.kind == "gbif" for source in recipe.source) and missing:
        yield f"  not set: {', '.join(missing)} (needed to ask GBIF for the download, not to read it)"
    yield ""
    yield f"metadata    {n_rows:,} rows: {_time(n_rows / ROWS_PER_S)}"
    n_web = n
    yield f"fetching    {n:,} pictures, {_size(n * expect.mean_kb)}"
    slowest = 0.0
    for host, share in sorted(expect.hosts.items(), key=lambda item: -item[1]):
        if not host:
            n_web -= round(n * share)
            yield f"  {'local files':<44} {n * share:>13,.0f}"
            continue
        rate = how.host_rates.get(host, how.max_per_second)
        seconds = n * share / rate if rate else 0.0
        slowest = max(slowest, seconds)
        budget = f"{rate:g}/s" if rate else "no limit"
        yield f"  {host:<44} {n * share:>13,.0f} at {budget:<9} {_time(seconds)}"
    line = n_web * expect.mean_kb * 8 / 1000 / CLIENT_MBIT
    yield f"  over a line of {CLIENT_MBIT} Mbit/s {_time(line)}; one machine's client {_time(n_web / FETCHED_PER_S)}"
    yield f"  so about {_time(max(slowest, line, n_web / FETCHED_PER_S))}, unless hosts are asked to allow more"
    looks = n / LOOKS_PER_CORE_S
    yield f"pictures    {looks / 3600:,.0f} core-hours: {_time(looks / cores)} here, while fetching goes on"
    yield f"duplicates  {_time(N_SEARCHES * n / NEAR_PER_S)} at the speed of 20 million hashes; more once they spill"
    kept = n * (SHIPPED_KB + THUMB_KB)
    disk = n * expect.mean_kb + 2 * kept + (n_rows + 3 * n) * ROW_KB
    yield f"disk        {_size(disk)}: as fetched {_size(n * expect.mean_kb)}, looked at {_size(kept)}, dataset {_size(kept)}"
    place = next(p for p in (root, *root.parents) if p.exists())
    yield f"  free at {root}: {_size(shutil.disk_usage(place).free / 1000)}"
    yield f"memory      {recipe.memory_limit} for DuckDB, about 0.5 GB for each worker and 1 GB for fetching"
    yield ""


def _size(kb: float) -> str:
    for unit, step in (("TB", 1e9), ("GB", 1e6), ("MB", 1e3)):
        if kb >= step:
            return f"{kb / step:,.1f} {unit}"
    return f"{kb:,.0f} kB"


def _time(seconds: float) -> str:
    if seconds >= 2 * DAY_S:
        return f"{seconds / DAY_S:,.1f} days"
    return f"{seconds / 3600:,.1f} hours" if seconds >= 5400 else f"{seconds / 60:,.0f} minutes"
