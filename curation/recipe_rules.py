"""Which values of a recipe make sense: ranges, words, and what must differ."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import near
from catalog.licence import licence
from catalog.toml_tree import nearest
from curation import dedup, geoprivacy, verdict
from curation.image_type import TYPES
from curation.sources import captions

if TYPE_CHECKING:
    from curation.recipe import Recipe

SIZES = ("as_given", "medium", "large", "original")
KINDS = ("gbif", "eol", "bioscan", "fathomnet", "own", "published", "captions")


def checked(recipe: Recipe, place: str, folder: Path) -> Recipe:
    """A recipe whose values make sense together; ValueError names the first that does not."""

    def require(good: bool, key: str, why: str) -> None:
        if not good:
            raise ValueError(f"{place}: {key} {why}")

    name = recipe.name
    require(bool(name) and name.replace("-", "").replace("_", "").isalnum(), "name",
            f"{name!r} must be letters, digits, - and _")  # fmt: skip
    require(
        bool(recipe.source) or recipe.sample is not None, "source", "is empty: name a [[source]]"
    )
    for index, source in enumerate(recipe.source):
        advice = nearest(source.kind, KINDS)
        require(
            source.kind in KINDS, f"source[{index}].kind", f"{source.kind!r} is unknown{advice}"
        )
        flags = {"groupOf", "occluded", "truncated"}
        require(set(source.drop) <= flags, f"source[{index}].drop",
                f"{list(source.drop)} must be of {', '.join(sorted(flags))}")  # fmt: skip
        known = not source.licence or licence(source.licence)[1] != "unknown"
        require(known, f"source[{index}].licence",
                f"{source.licence!r} is no licence we know; write it as \"CC BY 4.0\" or \"CC0\"")  # fmt: skip
    _captions(recipe, require)
    for key in ("source", "taxonomy", "benchmark", "coverage"):
        names = [item.name for item in getattr(recipe, key)]
        require(len(set(names)) == len(names), key, f"names must differ: {names}")
        require(all(names), key, "has an empty name")
    release = recipe.shard.release
    require(bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", release)), "shard.release",
            f"{release!r} must be letters, digits, -, _ and . (it names folders)")  # fmt: skip
    for key, value, low, high in (
        ("fetch.n_connections", recipe.fetch.n_connections, 1, 2048),
        ("fetch.max_per_second", recipe.fetch.max_per_second, 0, 100_000),
        ("fetch.placeholder_urls", recipe.fetch.placeholder_urls, 0, 1_000_000),
        ("fetch.per_host", recipe.fetch.per_host, 1, 256),
        ("fetch.timeout_s", recipe.fetch.timeout_s, 0.1, 3600),
        ("fetch.max_seconds", recipe.fetch.max_seconds, 0.1, 86_400),
        ("fetch.tries", recipe.fetch.tries, 1, 20),
        ("fetch.max_runs", recipe.fetch.max_runs, 1, 1000),
        ("fetch.backoff_s", recipe.fetch.backoff_s, 0, 600),
        ("fetch.silent_s", recipe.fetch.silent_s, 0, 86_400),
        ("fetch.max_mb", recipe.fetch.max_mb, 1, 2000),
        ("pixels.max_side_px", recipe.pixels.max_side_px, 0, 20000),
        ("pixels.quality", recipe.pixels.quality, 30, 100),
        ("pixels.max_megapixels", recipe.pixels.max_megapixels, 1, 2000),
        ("dedup.near_max_bits", recipe.dedup.near_max_bits, 0, near.MAX_EXACT_BITS),
        ("dedup.burst_s", recipe.dedup.burst_s, 0, 86_400),
        ("names.min_score", recipe.names.min_score, 0.0, 1.0),
        ("verdict.min_side_px", recipe.verdict.min_side_px, 1, 20000),
        ("verdict.min_museum_score", recipe.verdict.min_museum_score, 0.0, 2.0),
        ("verdict.min_animal_score", recipe.verdict.min_animal_score, 0.0, 1.0),
        ("verdict.max_face_score", recipe.verdict.max_face_score, 0.2, 1.0),
        ("verdict.min_sharpness", recipe.verdict.min_sharpness, 0.0, 10.0),
        ("verdict.min_subject_contrast", recipe.verdict.min_subject_contrast, 0.0, 255.0),
        ("verdict.max_clipped_share", recipe.verdict.max_clipped_share, 0.0, 1.0),
        ("shard.n_buckets", recipe.shard.n_buckets, 1, 999_999),
        ("shard.rows_per_group", recipe.shard.rows_per_group, 1, 10_000),
        ("shard.validation", recipe.shard.validation, 0.0, 0.5),
        ("shard.test", recipe.shard.test, 0.0, 0.5),
        ("shard.unseen_genera", recipe.shard.unseen_genera, 0.0, 0.5),
    ):
        require(low <= value <= high, key, f"is {value}; it must be from {low} to {high}")
    for key, words, of in (
        ("dedup.classes", recipe.dedup.classes, dedup.CLASSES),
        ("fetch.size", (recipe.fetch.size,), SIZES),
        ("verdict.drop_types", recipe.verdict.drop_types, tuple(TYPES)),
        ("verdict.on_face", (recipe.verdict.on_face,), verdict.ON_FACE),
        ("museum.types", recipe.museum.types, (*TYPES, "unknown")),
        ("faces.types", recipe.faces.types, (*TYPES, "unknown")),
        ("quality.types", recipe.quality.types, (*TYPES, "unknown")),
    ):
        for word in words:
            require(word in of, key, f"{word!r} is unknown{nearest(word, of)}")
    for host, rate in recipe.fetch.host_rates.items():
        require(rate >= 0, f"fetch.host_rates.{host}", f"is {rate}; 0 means no limit")
    ranks = verdict.MIN_RANKS
    require(recipe.verdict.min_rank in ranks, "verdict.min_rank",
            f"{recipe.verdict.min_rank!r} is no rank{nearest(recipe.verdict.min_rank, ranks)}")  # fmt: skip
    policies = geoprivacy.POLICIES
    require(recipe.geoprivacy.policy in policies, "geoprivacy.policy", f"must be one of {policies}")
    lists = recipe.geoprivacy.list
    require(not lists or recipe.geoprivacy.policy == "sensitive/1", "geoprivacy.list",
            "is heeded by policy sensitive/1 only")  # fmt: skip
    for index, item in enumerate(lists):
        place, box = f"geoprivacy.list[{index}]", item.box
        require(item.country == "" or re.fullmatch("[A-Za-z]{2}", item.country) is not None, f"{place}.country",
                "must be two letters (ISO 3166-1), or empty")  # fmt: skip
        require(not box or (len(box) == 4 and -90 <= box[0] < box[2] <= 90 and -180 <= box[1] < box[3] <= 180),
                f"{place}.box", "must be south, west, north, east in degrees")  # fmt: skip
    return dataclasses.replace(recipe, folder=folder)


def _captions(recipe: Recipe, require: Callable[[bool, str, str], None]) -> None:
    for index, source in enumerate(recipe.source):
        odd = set(source.columns) - captions.TERMS.keys() if source.kind == "captions" else set()
        require(not odd, f"source[{index}].columns",
                f"{sorted(odd)} must be of {', '.join(captions.TERMS)}")  # fmt: skip
    kinds = sorted({source.kind for source in recipe.source})
    require("captions" not in kinds or len(kinds) == 1, "source",
            f"mixes the kinds {', '.join(kinds)}: captioned pictures have any licence and no label, so their dataset is "
            "private; write two recipes, one of them with the captions alone")  # fmt: skip
