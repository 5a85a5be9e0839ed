"""The plan of a sample world: every record, every address and the truth, before anything is drawn.

Clean records are made first; faults are then dealt out in stated shares, at least one of each, to
rows in which nothing else is planted. Equal parameters give an equal plan.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from curation.recipe import Sample
from curation.sample import draw, plant
from curation.sample.gbif_records import record, sorts
from curation.sample.item import LICENCE_RATES, Item, deal
from curation.sample.naming import ALL_SPECIES, RATES, named
from curation.sample.other_records import bioscan_row, eol_row, sea_rows
from curation.sample.shot import Reply, Shot, dice
from curation.sample.taxa import Species

MAX_BIOSCAN = 300
FIRST_GBIF_ID = 4_000_000_000
_TRAPPED = tuple(
    one for one in ALL_SPECIES if one.class_ in ("Mammalia", "Aves") and not one.marine
)
_ON_LAND = tuple(one for one in ALL_SPECIES if not one.marine)


@dataclass(frozen=True)
class World:
    """A planned sample world: the media rows, the deep-sea images and the held-out pictures."""

    sample: Sample
    items: tuple[Item, ...]
    sea: tuple[dict[str, Any], ...]
    benchmark: Mapping[str, Shot]

    @cached_property
    def looks(self) -> dict[str, draw.Look]:
        """The look of every species."""
        return draw.looks(ALL_SPECIES, seed=self.sample.seed, inherited=self.sample.inherited)

    @cached_property
    def replies(self) -> dict[str, Reply]:
        """What the server answers, by host and path."""
        found: dict[str, Reply] = {}
        for item in self.items:
            if item.source != "bioscan" and item.identifier and item.shot:
                key = address_key(item.identifier)
                found.setdefault(key, Reply(item.behaviour, item.shot))
                if item.behaviour == "redirect":
                    target = f"mirror.invalid/{key}"
                    found[key] = Reply("redirect", None, f"http://{target}")
                    found[target] = Reply("ok", item.shot)
        return found

    @cached_property
    def tree(self) -> dict[str, tuple[str, Shot]]:
        """How each BIOSCAN picture lies on disk: path -> (behaviour, picture)."""
        return {
            item.identifier: (item.behaviour, item.shot)
            for item in self.items
            if item.source == "bioscan" and item.identifier and item.shot
        }


def address_key(url: str) -> str:
    """Return host, path and query of an address: what the server looks up."""
    parts = urlsplit(url.strip())
    return f"{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def plan(sample: Sample) -> World:
    """Return the world of these parameters; fewer than 200 pictures are taken as 200."""
    seed = sample.seed
    n = max(200, sample.n_pictures)
    n_bioscan = min(round(0.10 * n), MAX_BIOSCAN)
    n_sea = round(0.10 * n)
    n_eol = round(0.18 * n)
    n_gbif = n - n_bioscan - n_sea - n_eol
    n_extra = plant.n_extra(n_gbif + n_eol)
    eol_extra = n_extra // 4
    gbif = _gbif(n_gbif - (n_extra - eol_extra), seed)
    rng = dice(seed, "plan")
    eol = [eol_row(k, seed, rng.choice(_ON_LAND)) for k in range(n_eol - eol_extra)]
    web = gbif + eol
    for kind, item in deal(web, LICENCE_RATES, rng):
        plant.licence(item, kind, rng)
    plant.record_faults(gbif, rng)
    plant.reply_faults(web, rng)
    plant.other_pictures(web, rng)
    leaked = plant.leaks(web, rng)
    extra = plant.copies(web, n_gbif + n_eol, eol_extra, seed, rng)
    plant.formats(web, rng)
    sea = list(sea_rows(n_sea, seed))
    boxes = [item for _, items in sea for item in items]
    _sea_faults(boxes, rng)
    bioscan = [bioscan_row(k, seed) for k in range(n_bioscan)]
    _tree_faults(bioscan, rng)
    items = (*gbif, *eol, *extra, *bioscan, *boxes)
    return World(sample, items, tuple(image for image, _ in sea), leaked)


def _gbif(n: int, seed: int) -> list[Item]:
    """Records until there are `n` media rows; kinds of names are dealt out beforehand."""
    rng = dice(seed, "gbif")
    n_records = n  # never fewer media than records
    kinds = ["accepted"] * n_records
    likely = round(n / 1.6)  # records that will be used
    for kind, place in deal(range(likely), RATES, rng):
        kinds[place] = kind
    shapes = sorts(rng, n_records)
    items: list[Item] = []
    for k in range(n_records):
        if len(items) >= n:
            break
        one = _species(kinds[k], shapes[k], rng)
        naming = named(one, kinds[k], rng)
        sort = "citizen" if shapes[k] == "trap" and one not in _TRAPPED else shapes[k]
        items += record(FIRST_GBIF_ID + 13 * k, sort, one, naming, seed, n - len(items))
    return items


def _species(kind: str, sort: str, rng: random.Random) -> Species:
    """A species that has what the kind of name needs."""
    pool = _TRAPPED if sort == "trap" else ALL_SPECIES
    if kind in ("synonym", "infraspecific", "hybrid", "bare_homonym"):
        pool = plant.POOLS[kind]
    return rng.choice(pool)


def _sea_faults(boxes: list[Item], rng: random.Random) -> None:
    """One image in thirty is gone; every box on it with it."""
    urls = sorted({str(item.identifier) for item in boxes})
    for url in rng.sample(urls, max(1, len(urls) // 30)):
        for item in boxes:
            if item.identifier == url:
                item.fault, item.behaviour = "http_404", "http_404"


def _tree_faults(items: list[Item], rng: random.Random) -> None:
    """A few pictures of the tree are missing or damaged."""
    shares = {"file_not_found": 0.01, "corrupt": 0.01, "truncated_file": 0.01}
    for kind, item in deal([one for one in items if one.clean], shares, rng, len(items)):
        item.fault = item.behaviour = kind


def truth_row(item: Item, looks: Mapping[str, draw.Look]) -> dict[str, Any]:
    """Return the row of truth.parquet of one media row."""
    look = looks[item.species] if item.species else None
    shot = item.shot
    individual = (
        item.individual if item.individual is not None else (shot.individual if shot else 0)
    )
    split = item.record["split"] if item.source == "bioscan" else None
    return {
        "source": item.source,
        "record_key": item.record_key,
        "source_id": item.source_id,
        "identifier": item.identifier,
        "crop": item.crop,
        "species": item.species,
        "name_kind": item.name_kind,
        "resolvable": item.true_rank is not None,
        "true_rank": item.true_rank,
        "duplicate_cluster": item.cluster,
        "duplicate_kind": item.duplicate_kind,
        "leak": item.leak,
        "fault": item.fault,
        "behaviour": item.behaviour,
        "record_fault": item.record_fault,
        "licence_kind": item.licence_kind,
        "image_kind": item.image_kind,
        "detectable": item.detectable,
        "trait_beak": look.beak if look else None,
        "habitat": draw.HABITATS[look.habitat] if look else None,
        "individual": individual if look else None,
        "provider_split": split,
    }
