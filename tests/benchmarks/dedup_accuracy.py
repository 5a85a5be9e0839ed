"""Which copies are found and what is merged that should not be, on real photographs.

Every picture of the real folders stands in every trial; copies of some of them are added, altered in
one way a trial, so that no copy is found through another one. A copy counts as found when it and its
original end as one picture by the default recipe. Every merge of two pictures that are not copies
counts against precision. Peer: `imagehash.phash(hash_size=16)` within the same distance, all pairs,
nothing else. Limit: a perfect answer. Wilson intervals at 95 %. Without the real data nothing is measured.

Also drawn: precision and recall over the distance (dedup_accuracy.png), and what the distances of
different pictures say about 214 million of them.
"""

from __future__ import annotations

import csv
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from catalog import pixels, sql
from catalog.tile import tile
from curation import dedup
from curation.images import confirm, phash
from curation.recipe import Dedup
from curation.steps.duplicates import HELD
from tests.benchmarks._alterations import CONFIRMED, NEAR, PRINTED, Alter, jpeg
from tests.benchmarks._pictures import DATA, KINDS
from tests.benchmarks.harness import Result, Row, Target, target

FIGURE = Path(__file__).with_suffix(".png")
FOLDERS = (
    "birds_full_photos",
    "butterflies_leeds",
    "orchids_naturalis",
    "flowers12",
    "birds_cub100",
    "cc_animals",
)
N_COPIES, FULL = 433, 214_000_000


@dataclass
class Looks:
    """Pictures as the dedup stage sees them: true key, hash, probes, thumbnail."""

    key: list[str] = field(default_factory=list)
    phash: list[str | None] = field(default_factory=list)
    probes: list[bytes | None] = field(default_factory=list)
    thumb: list[bytes] = field(default_factory=list)

    def add(self, key: str, image: Image.Image) -> None:
        """Look at a picture as a build does."""
        grey = tile(image)
        flat = grey.std() < phash.MIN_SPREAD
        self.key.append(key)
        self.phash.append(None if flat else phash.hashes(grey[None])[0].tobytes().hex())
        self.probes.append(None if flat else phash.probes(grey[None])[0].tobytes())
        self.thumb.append(pixels.thumbnail(pixels.Picture(image, b"")))

    def __add__(self, other: Looks) -> Looks:
        return Looks(
            *(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        )


def wilson(good: int, n: int) -> tuple[float, float]:
    """The Wilson interval of a share at 95 %: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927)."""
    if not n:
        return 0.0, 1.0
    z, p = 1.959964, good / n
    middle, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)


def merges(looks: Looks) -> list[tuple[int, int, str]]:
    """(left out, kept, class) by the dedup stage under the default recipe."""
    n = len(looks.key)
    text = {
        name: [f"{k:06d}" for k in range(n)]
        for name in ("uuid", "record_key", "url", "md5", "pixel_xxh3", "lineage")
    }
    none = {name: [None] * n for name in ("provider_key", "crop", "organismID", "datasetKey", "catalogNumber",
                                          "deploymentID", "recordedBy", "eventDate")}  # fmt: skip
    numbers = {name: [1] * n for name in ("original_width", "original_height", "preference", "n_pixels", "n_bytes",
                                          "strictness", "source_order", "n_known")}  # fmt: skip
    picture = pa.table({
        "id": pa.array(range(n), pa.int64()), **text, **{k: pa.array(v, pa.string()) for k, v in none.items()}, **numbers,
        "source": ["own"] * n, "host": [""] * n, "phash": pa.array(looks.phash, pa.string()),
        "probes": pa.array(looks.probes, pa.binary()),
    })  # fmt: skip
    thumb_of = dict(zip(looks.phash, looks.thumb, strict=True))
    con = sql.connect()

    def second_look(candidate: Path, hash_: Path) -> Iterator[pa.Table]:
        wanted = """select c.number, c.kind, p.phash, q.phash from candidate c join hash p on p.id = c.a
                    join hash q on q.id = c.b order by c.number"""
        rows = sql.query(con, wanted, candidate=candidate, hash=hash_).rows()
        scores = [
            confirm.score(confirm.Pair(kind, thumb_of[a], thumb_of[b])) for _, kind, a, b in rows
        ]
        yield pa.table(
            {
                "number": pa.array([r[0] for r in rows], pa.int64()),
                "score": pa.array(scores, pa.float64()),
            }
        )

    how = Dedup()
    with tempfile.TemporaryDirectory() as folder:
        found = dedup.dedup(con, picture=picture, held=HELD.empty_table(), folder=Path(folder), confirm=second_look,
                            classes=how.classes, near_max_bits=how.near_max_bits, burst_s=how.burst_s,
                            placeholder_urls=0, min_score=confirm.MIN_SCORE).table().to_pylist()  # fmt: skip
    return [
        (int(r["uuid"]), int(r["duplicate_of"]), r["duplicate_rule"])
        for r in found
        if r["duplicate_of"]
    ]


def run(*, quick: bool) -> Result:
    """Trial after trial."""
    if not (DATA / "images").is_dir():
        return Result("dedup_accuracy", "imagehash", "perfect", (), (Target(
            "accuracy on real pictures", "unmeasured", f"no real pictures at {DATA}"),))  # fmt: skip
    world, paths = _originals(60 if quick else None)
    twins = _natural_pairs()
    chosen = _chosen(paths, 40 if quick else N_COPIES)
    trials = {**NEAR, **CONFIRMED, **PRINTED}
    if quick:
        trials = {
            name: trials[name]
            for name in ("half size", "caption strip 8 %", "crop 2 % each side", "mirror")
        }
    with ProcessPoolExecutor(2) as pool:
        done = dict(
            zip(
                trials,
                pool.map(_trial, [(world, paths, chosen, name, twins) for name in trials]),
                strict=True,
            )
        )
    rows, good, bad, wrong = [], 0, 0, set()
    for name, trial in done.items():
        low, high = wilson(trial["found"], trial["n"])
        rows.append(Row(f"{name}: recall ({low:.3f} to {high:.3f})", "share", trial["found"] / trial["n"],
                        trial["peer"] / trial["n"], 1.0))  # fmt: skip
        good, bad = good + trial["right"], bad + len(trial["wrong"])
        wrong |= set(trial["wrong"])
    for line in sorted(wrong):
        sys.stderr.write(f"wrongly merged: {line}\n")
    low, high = wilson(good, good + bad)
    rows.append(
        Row(
            f"precision of {good + bad:,} merges ({low:.4f} to {high:.4f})",
            "share",
            good / (good + bad),
            None,
            1.0,
        )
    )
    natural = _natural_found(world, paths, twins)
    rows.append(
        Row(
            f"natural duplicates nobody planted: recall of {natural[1]}",
            "share",
            natural[0] / natural[1],
            None,
            1.0,
        )
    )
    if not quick:
        rows += _by_distance(world, paths, chosen, twins)
    rows += _groups()
    least_near = [done[n]["found"] / done[n]["n"] for n in NEAR if n in done]
    least_far = [done[n]["found"] / done[n]["n"] for n in CONFIRMED if n in done]
    return Result(
        "dedup_accuracy", "imagehash within the same distance", "perfect", tuple(rows),
        (
            target("resize, JPEG, brightness +10/-20 %, contrast, grey: recall at least 0.99 each", min(least_near) >= 0.99,
                   f"least {min(least_near):.4f}", judged=not quick),
            target("captions, marks, crops to 2 %, brightness +30 %, mirror: recall at least 0.90 each",
                   min(least_far) >= 0.9, f"least {min(least_far):.4f}", judged=not quick),
            target("precision at least 0.99", good / (good + bad) >= 0.99, f"{good / (good + bad):.4f}, {bad} wrong",
                   judged=not quick),
        ),
    )  # fmt: skip


def _originals(n: int | None) -> tuple[Looks, list[Path]]:
    looks, paths = Looks(), []
    for folder in (
        *(f"images/{name}" for name in FOLDERS),
        "dedup/pdq_reference",
        "dedup/imagehash",
    ):
        found = sorted(p for p in (DATA / folder).rglob("*") if p.suffix.lower() in KINDS)
        for path in found[:n]:
            try:
                image = pixels.decode(path.read_bytes()).image
            except pixels.Undecodable:
                continue
            looks.add(path.relative_to(DATA).as_posix(), image)
            paths.append(path)
    return looks, paths


def _chosen(paths: list[Path], n: int) -> list[int]:
    """Whole photographs first, then cut-outs of birds and flowers at random."""
    whole = [
        k
        for k, p in enumerate(paths)
        if "flowers12" not in p.parts and "birds_cub100" not in p.parts
    ]
    rest = [k for k in range(len(paths)) if k not in set(whole)]
    order = np.random.default_rng(0).permutation(len(rest))
    return (whole + [rest[k] for k in order])[:n]


def _natural_pairs() -> set[frozenset[str]]:
    with (DATA / "dedup" / "natural_near_duplicates.csv").open() as stream:
        return {frozenset((r["file_a"], r["file_b"])) for r in csv.DictReader(stream)}


def _altered(paths: list[Path], chosen: Sequence[int], alter: Alter) -> Looks:
    looks = Looks()
    for k in chosen:
        looks.add(
            paths[k].relative_to(DATA).as_posix(),
            jpeg(alter(pixels.decode(paths[k].read_bytes()).image)),
        )
    return looks


def _trial(task: tuple[Looks, list[Path], list[int], str, set[frozenset[str]]]) -> dict[str, Any]:
    world, paths, chosen, name, twins = task
    copies = _altered(paths, chosen, {**NEAR, **CONFIRMED, **PRINTED}[name])
    both, n_world = world + copies, len(world.key)
    place = {key: k for k, key in enumerate(world.key)}
    kept = {out: keep for out, keep, _ in merges(both)}
    end = lambda k: kept.get(k, k)  # noqa: E731
    found = sum(end(n_world + i) == end(place[key]) for i, key in enumerate(copies.key))
    wrong = [
        f"{name}: {both.key[out]} and {both.key[keep]}" for out, keep in kept.items()
        if both.key[out] != both.key[keep] and frozenset((both.key[out], both.key[keep])) not in twins
    ]  # fmt: skip
    limit = Dedup().near_max_bits
    peer = sum(
        _bits(world.phash[place[key]], bits) <= limit
        for key, bits in zip(copies.key, copies.phash, strict=True)
    )
    return {
        "found": found,
        "n": len(copies.key),
        "right": len(kept) - len(wrong),
        "wrong": wrong,
        "peer": peer,
    }


def _bits(one: str | None, other: str | None) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count() if one and other else 256


def _natural_found(world: Looks, paths: list[Path], twins: set[frozenset[str]]) -> tuple[int, int]:
    place = {key: k for k, key in enumerate(world.key)}
    kept = {out: keep for out, keep, _ in merges(world)}
    pairs = [tuple(sorted(pair)) for pair in twins if all(key in place for key in pair)]
    same = sum(kept.get(place[a], place[a]) == kept.get(place[b], place[b]) for a, b in pairs)
    return same, max(1, len(pairs))


def _by_distance(
    world: Looks, paths: list[Path], chosen: list[int], twins: set[frozenset[str]]
) -> list[Row]:
    """Precision and recall of the plain hash over the distance, drawn; and what it means at full size."""
    copies = {name: _altered(paths, chosen, alter) for name, alter in {**NEAR, **CONFIRMED}.items()}
    place = {key: k for k, key in enumerate(world.key)}
    apart = {name: np.array([_bits(world.phash[place[k]], b) for k, b in zip(c.key, c.phash, strict=True)])
             for name, c in copies.items()}  # fmt: skip
    words = np.array(
        [[int(t[16 * n : 16 * n + 16], 16) for n in range(4)] for t in world.phash if t], np.uint64
    )
    keys = [k for k, t in zip(world.key, world.phash, strict=True) if t]
    counts = np.zeros(257, np.int64)
    for a in range(len(words)):
        bits = np.bitwise_count(words[a + 1 :] ^ words[a]).sum(axis=1, dtype=np.int64)
        for b in np.flatnonzero(bits <= 45):
            if frozenset((keys[a], keys[a + 1 + int(b)])) in twins:
                counts[bits[b]] -= 1
        counts += np.bincount(bits, minlength=257)
    _draw(apart, counts)
    n_pairs, at_full = int(counts.sum()), FULL * (FULL - 1) / 2
    rows = []
    for d in (10, 15, 31):
        near = np.mean(np.concatenate([apart[name] for name in NEAR]) <= d)
        rows.append(Row(f"hash alone within {d} bits: recall of what must be near; false pairs of {n_pairs:,}", "share",
                        float(near), None, 1.0))  # fmt: skip
        rows.append(
            Row(f"different pictures within {d} bits here", "pairs", float(counts[: d + 1].sum()))
        )
    cumulative = np.cumsum(counts)
    low, high = int(np.argmax(cumulative >= 3)), int(np.argmax(cumulative >= 3000))
    bits = np.arange(low, high + 1)
    slope, start = np.polyfit(bits, np.log(cumulative[bits]), 1)
    for d in (10, 15, 31):
        rate = math.exp(start + slope * d) / n_pairs
        rows.append(Row(f"false pairs within {d} bits expected at 214 M (tail from {low} to {high} bits carried on)",
                        "pairs", rate * at_full))  # fmt: skip
    return rows


def _draw(apart: dict[str, np.ndarray], counts: np.ndarray) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    d = np.arange(0, 101)
    for name, bits in apart.items():
        left.plot(
            d, [(bits <= x).mean() for x in d], "-" if name in NEAR else "--", lw=1.2, label=name
        )
    left.axvline(Dedup().near_max_bits, color="k", lw=0.8)
    left.axvline(dedup.WIDE_BITS, color="k", lw=0.8, ls=":")
    left.set(
        xlabel="distance, bits of 256",
        ylabel="share of copies within it",
        title="recall of the hash alone",
        xlim=(0, 80),
    )
    left.legend(fontsize=6, loc="lower right")
    n_true = sum(len(bits) for bits in apart.values())
    true = np.array([sum((bits <= x).sum() for bits in apart.values()) for x in d])
    false = np.cumsum(counts)[d]
    right.plot(d, true / np.maximum(1, true + false), label="precision here")
    right.plot(d, true / n_true, label="recall of all alterations")
    right.set(
        xlabel="distance, bits of 256", title="hash alone: precision and recall", ylim=(0, 1.03)
    )
    right.legend(fontsize=8)
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _groups() -> list[Row]:
    """imagededup's groups of one photograph: which versions end as one picture with the original."""
    rows, looks, names = [], Looks(), []
    with (DATA / "dedup" / "imagededup" / "groups.csv").open() as stream:
        listed = list(csv.DictReader(stream))
    for item in listed:
        try:
            image = pixels.decode((DATA / "dedup" / "imagededup" / item["file"]).read_bytes()).image
        except pixels.Undecodable:
            rows.append(
                Row(
                    f"imagededup {item['group']}, {item['variant']}: refused as undecodable",
                    "found",
                    0.0,
                )
            )
            continue
        looks.add(item["group"], image)
        names.append((item["group"], item["variant"]))
    kept = {out: keep for out, keep, _ in merges(looks)}
    for k, (group, variant) in enumerate(names):
        first = next(i for i, (g, v) in enumerate(names) if g == group and v == "original")
        if variant != "original":
            rows.append(
                Row(
                    f"imagededup {group}, {variant}",
                    "found",
                    float(kept.get(k, k) == kept.get(first, first)),
                )
            )
    crossed = sum(names[a][0] != names[b][0] for a, b in kept.items())
    rows.append(Row("imagededup: merges across groups", "pairs", float(crossed)))
    return rows
