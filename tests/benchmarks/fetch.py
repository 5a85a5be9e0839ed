"""Pictures a second from a server that is not the limit, ours and img2dataset's at equal concurrency.

nginx on loopback serves JPEGs of 720 px; 32 requests under way. Three jobs: the bytes as they are (peer:
img2dataset without any decoding, and as it does without resizing, where it decodes each); the bytes
shrunk to 256 px (peer: `keep_ratio_largest`); and, printed for itself, what a build does while it fetches:
the whole look (hash, probes, digest, thumbnail, shipped bytes). Both write: ours packs, the peer
webdataset; neither hashes the bytes here (a build does when it looks at them). Of the peer only the download itself counts, not its start-up; CPU seconds are the whole
process's, ours included. Limit: a bare aiohttp loop that appends
to one file. The server's own ceiling, by wrk, must be
three times the faster client, or nothing is judged.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pyarrow as pa

from catalog import pixels
from curation.engine import WORKER_ENV, release, run_units
from curation.images import fetch, render, web
from curation.store import Pack, Packs
from tests.benchmarks import _img2dataset, _server
from tests.benchmarks._pictures import jpegs
from tests.benchmarks.harness import Result, Row, Target, peak_mb, target

ROOT = Path(__file__).parents[2]
CONCURRENT, SIDE_PX, SMALL_PX, QUALITY = 32, 720, 256, 90
N_TURNS = 5  # of ours and the bare loop, whose medians are compared
N, N_MEMORY, RATE = 10_000, (1_000, 100_000), 10.0


def run(*, quick: bool) -> Result:
    """Every job in a process of its own, in turn, against one server."""
    if missing := _server.at_hand():
        return Result(
            "fetch",
            "img2dataset",
            "bare aiohttp",
            (),
            (Target("all of fetch", "unmeasured", missing),),
        )
    n = 1_500 if quick else N
    with _server.serving(jpegs(400, SIDE_PX)) as (port, n_files):
        most = _server.ceiling(port, n_files)
        most_closing = _server.ceiling(port, n_files, keep_alive=False)
        turns = [
            (job, _child(job, n, port, n_files))
            for _ in range(1 if quick else N_TURNS)
            for job in ("bytes", "bare")
        ]
        ours = {job: _child(job, n, port, n_files) for job in ("resize", "look")}
        for job in ("bytes", "bare"):
            ours[job] = _median([one for name, one in turns if name == job])
        peer = {} if quick else _peers(port, n_files)
        memory = [
            _child("bytes", m, port, n_files)["mb"] for m in ((500, 3_000) if quick else N_MEMORY)
        ]
        rate = _child("rate", 30 if quick else 60, port, n_files)
    return _result(quick, ours, peer, memory, rate["most_in_a_second"], most, most_closing)


def _result(quick: bool, ours: dict[str, Any], peer: dict[str, Any], memory: list[float], in_a_second: float,
            most: float, most_closing: float) -> Result:  # fmt: skip
    jobs = {"bytes as they are": ("bytes", "bytes"), "bytes, the peer decoding (its resize_mode no)": ("bytes", "decoded"),
            f"shrunk to {SMALL_PX} px": ("resize", "resized")}  # fmt: skip
    rows, judged = [], []
    for what, (job, theirs) in jobs.items():
        they = peer.get(theirs)
        limit = ours["bare"]["per_s"] if job == "bytes" else None
        rows.append(Row(what, "pictures/s", ours[job]["per_s"], they and they["per_s"], limit))
        rows.append(
            Row(
                f"{what}: per client CPU second",
                "pictures/s",
                ours[job]["per_cpu_s"],
                they and they["per_cpu_s"],
            )
        )
        fast = max(most_ for most_ in (ours[job]["per_s"], they["per_s"] if they else 0.0))
        fair = most >= 3 * fast and (not they or most_closing >= 3 * they["per_s"])
        for unit in ("per_s", "per_cpu_s"):
            ratio = ours[job][unit] / they[unit] if they else None
            name = "a second" if unit == "per_s" else "a CPU second"
            judged.append(target(f"{what}: at least 1.5 times the peer's pictures {name}",
                                 ratio >= 1.5 if ratio and fair else None,
                                 f"{ratio:.2f}" if ratio else "img2dataset was not run", judged=not quick))  # fmt: skip
    rows.append(Row("the whole look while fetching", "pictures/s", ours["look"]["per_s"],
                    peer["resized"]["per_s"] if peer else None))  # fmt: skip
    rows.append(Row("the server's ceiling (wrk), kept connections", "pictures/s", most))
    rows.append(Row("the server's ceiling (wrk), a connection each", "pictures/s", most_closing))
    rows += [Row(f"largest resident size, {size} addresses", "MB", mb)
             for size, mb in zip(("few", "many") if quick else [f"{m:,}" for m in N_MEMORY], memory, strict=True)]  # fmt: skip
    share = ours["bytes"]["per_s"] / ours["bare"]["per_s"]
    fair = most >= 3 * ours["bare"]["per_s"]
    judged += [
        target("at least 0.8 of a bare asyncio loop", share >= 0.8 if fair else None, f"{share:.2f}"),
        target("memory is flat from 1,000 to 100,000 addresses (within 1.25)", memory[1] <= 1.25 * memory[0],
               f"{memory[0]:.0f} MB, {memory[1]:.0f} MB", judged=not quick),
        target(f"a host limited to {RATE:g} requests a second never gets more", in_a_second <= RATE,
               f"{in_a_second:.0f} in the fullest second"),
    ]  # fmt: skip
    return Result("fetch", "img2dataset 1.47.0", "bare aiohttp", tuple(rows), tuple(judged))


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return sorted(runs, key=lambda one: one["per_s"])[len(runs) // 2]


def _peers(port: int, n_files: int) -> dict[str, Any]:
    python = _img2dataset.python()
    if python is None:
        return {}
    urls = _urls(N, port, n_files)
    split = (2, CONCURRENT // 2)
    return {
        "bytes": _img2dataset.download(
            python, urls, *split, resize_mode="no", disable_all_reencoding=True
        ),
        "decoded": _img2dataset.download(
            python, urls, *split, resize_mode="no", skip_reencode=True
        ),
        "resized": _img2dataset.download(
            python, urls, *split, resize_mode="keep_ratio_largest", image_size=SMALL_PX
        ),
    }


def _wanted(n: int, port: int, n_files: int, path: Path) -> pa.Table:
    """The addresses in a file, as a build has them."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, fetch.WANTED) as out:
        for start in range(0, n, 1_000):
            urls = _urls(min(1_000, n - start), port, n_files, start)
            columns = [urls, urls, [None] * len(urls), ["127.0.0.1"] * len(urls)]
            out.write_batch(
                pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=fetch.WANTED)
            )
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _urls(n: int, port: int, n_files: int, first: int = 0) -> list[str]:
    return [f"http://127.0.0.1:{port}/{k % n_files:06d}.jpg?{k}" for k in range(first, first + n)]


def _child(job: str, n: int, port: int, n_files: int) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.fetch", job, str(n), str(port), str(n_files)],
                          cwd=ROOT, env={**os.environ, **(WORKER_ENV if job in ("resize", "look") else {})}, capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise RuntimeError(f"fetch: {job} failed")
    return dict(json.loads(done.stdout.splitlines()[-1]))


class Resize(NamedTuple):
    """Pictures to shrink, as the peer does: decode, shrink, encode, write."""

    contents: tuple[render.Content, ...]
    fetched: str
    target: str


def resize(unit: Resize) -> int:
    """Shrink the pictures of a unit into one pack."""
    with Pack(Path(unit.target)) as pack:
        for _, _, name, offset, n_bytes in unit.contents:
            picture = pixels.decode(Packs(Path(unit.fetched)).get(name, offset, n_bytes))
            pack.add(pixels.shipped(picture, max_side_px=SMALL_PX, quality=QUALITY)[0])
        pack.close(unit.contents[0].pack)
    return len(unit.contents)


def _measure(job: str, n: int, port: int, n_files: int) -> dict[str, float]:
    if job == "bare":
        return asyncio.run(_bare(_urls(n, port, n_files)))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        limits = fetch.Limits(CONCURRENT, CONCURRENT, 5, 60, 10**7, 2, 1.0, private_hosts=(f"127.0.0.1:{port}",),
                              max_per_second=RATE if job == "rate" else 0.0)  # fmt: skip
        fetcher = fetch.Fetcher(work / "fetched", limits, part_rows=render.batch_size(n, 2))
        wanted = _wanted(n, port, n_files, work / "wanted.arrow")
        if job == "rate":
            return _rate(fetcher, wanted)
        started, n_good = time.perf_counter(), 0

        def parts() -> Iterator[tuple[render.Content, ...]]:
            nonlocal n_good
            for part in fetcher.fetch(wanted):
                n_good += part.column("status").to_pylist().count("ok")
                yield tuple(
                    render.Content("", None, r["pack"], r["offset"], r["n_bytes"])
                    for r in part.to_pylist()
                )

        if job == "bytes":
            for _ in parts():
                pass
        elif job == "resize":
            units = (Resize(c, str(fetcher.folder), str(work / "small")) for c in parts())
            assert sum(run_units(resize, units, engine="process", workers=2)) == n
        else:
            how = render.Limits(10**9, SIDE_PX, QUALITY)
            looks = (
                render.Unit(c, str(fetcher.folder), str(work / "looked"), how) for c in parts()
            )
            assert (
                sum(map(len, run_units(render.render_unit, looks, engine="process", workers=2)))
                == n
            )
        seconds = time.perf_counter() - started
        release()  # the CPU seconds of workers count once they have ended
        cpu = os.times()
        assert n_good == n, f"{n_good} of {n}"
        cpu_s = cpu.user + cpu.system + cpu.children_user + cpu.children_system
        return {"per_s": n / seconds, "per_cpu_s": n / cpu_s, "mb": peak_mb()}


async def _bare(urls: list[str]) -> dict[str, float]:
    """As little as an asyncio client can do: ask, read, append to one file."""
    left, started = iter(urls), time.perf_counter()
    with tempfile.TemporaryFile() as kept:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def worker() -> None:
                for url in left:
                    async with session.get(url) as response:
                        kept.write(await response.read())

            await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    seconds, cpu = time.perf_counter() - started, os.times()
    return {"per_s": len(urls) / seconds, "per_cpu_s": len(urls) / (cpu.user + cpu.system)}


def _rate(fetcher: fetch.Fetcher, wanted: pa.Table) -> dict[str, float]:
    """The most requests that left within one second."""
    times: list[float] = []
    trace = web.Web._response

    def timed(self: Any, url: str) -> Any:
        times.append(time.monotonic())
        return trace(self, url)

    web.Web._response = timed  # type: ignore[method-assign]
    for _ in fetcher.fetch(wanted):
        pass
    return {"most_in_a_second": float(max(sum(t <= x < t + 1 for x in times) for t in times))}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], *map(int, sys.argv[2:]))) + "\n")
