"""Records of the sample world as EOL, BIOSCAN-5M and FathomNet would hold them."""

import hashlib
import random
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any

from curation.sample.item import OPEN_LICENCES, Item, Row, person, size_of
from curation.sample.lists import lists
from curation.sample.naming import ABSENT, HOMONYM_GENERA
from curation.sample.shot import Box, Shot, dice
from curation.sample.taxa import RANKS, SPECIES, Species

EOL_COLUMNS = (
    *("EOL content ID", "EOL page ID", "Medium Source URL", "EOL Full-Size Copy URL"),
    *("License Name", "Copyright Owner"),
)
_BIOSCAN = (
    "processid sampleid taxon phylum class order family subfamily genus species dna_bin dna_barcode "
    "country province_state coord-lat coord-lon image_measurement_value area_fraction scale_factor "
    "inferred_ranks split index_bioscan_1M_insect chunk"
)
BIOSCAN_COLUMNS = tuple(_BIOSCAN.split())
COPY_URL = "EOL Full-Size Copy URL"
HELD_OUT = ("val", "test", "key_unseen")
_MARINE = tuple(one for one in SPECIES if one.marine)
_INSECTS = tuple(one for one in SPECIES if one.class_ == "Insecta")
_NOT_TAXA = ("equipment", "trash", "marine organism", "laser", "sediment")


def eol_row(number: int, seed: int, one: Species, shot: Shot | None = None) -> Item:
    """Return one row of EOL's manifest, with a new picture or with `shot`."""
    rng = dice(seed, "eol", number)
    known, genus_page = lists(), shot is None and rng.random() < 0.06
    node = one.lineage[:6] if genus_page else one.lineage
    page, content = str(known.pages[node]), str(7_000_000 + number)
    owner = person(rng)
    parts = "/".join(f"{byte:02x}" for byte in rng.randbytes(4))
    url = f"http://content.eol.invalid/data/media/{parts}/509.{content}.jpg"
    media = dict(
        zip(
            EOL_COLUMNS,
            (
                *(content, page, f"http://commons.sample.invalid/wiki/File:{content}.jpg", url),
                *(rng.choice(OPEN_LICENCES), owner),
            ),
            strict=True,
        )
    )
    who = rng.randint(1, 10**6)
    shot = shot or Shot("organism", one.species, who, 0, size=size_of(rng))
    preferred = _page_names().get(page)
    kind, rank = "accepted", "species"
    if genus_page:
        kind, rank = "rank_only", "genus"
    elif preferred and preferred != one.species:
        kind = "synonym"
    elif one.species in ABSENT:
        kind = "absent_from_backbone"
    elif one.genus in HOMONYM_GENERA:
        kind = "homonym"
    item = Item("eol", {}, media, shot, one.species, kind, rank, page, content, url)
    if preferred is None:
        item.record_fault, item.true_rank = "page_not_in_hierarchy", None
    return item


@cache
def _page_names() -> dict[str, str]:
    return {row["eolID"]: row["canonicalName"] for row in lists().hierarchy}


def bioscan_row(number: int, seed: int) -> Item:
    """Return one row of BIOSCAN-5M's table; its picture lies in the image tree."""
    rng = dice(seed, "bioscan", number)
    one = rng.choice(_INSECTS)
    process = f"SMPL{'ABCDE'[number % 5]}{number:04d}-{20 + number % 4}"
    held_out = 0.10
    split = rng.choice(HELD_OUT) if rng.random() < held_out else "pretrain"
    split = "train" if split == "pretrain" and rng.random() < 0.1 else split
    digits = {"pretrain": 2, "train": 1}.get(split, 0)
    chunk = hashlib.md5(process.encode()).hexdigest()[:digits]
    depth = rng.choices((4, 5, 6, 7), (0.05, 0.45, 0.25, 0.25))[0]
    names = one.lineage[:depth] + ("",) * (7 - depth)
    row = dict.fromkeys(BIOSCAN_COLUMNS, "")
    row |= dict(zip(RANKS[1:], names[1:], strict=True))
    row |= {
        "processid": process,
        "sampleid": f"CBG-A{number:05d}-H05",
        "taxon": one.lineage[depth - 1],
        "dna_bin": f"BOLD:AA{'ABCDEFGH'[number % 8]}{SPECIES.index(one):04d}",
        "dna_barcode": "".join(rng.choices("ACGT", k=120)),
        "country": rng.choice(("Costa Rica", "Canada", "South Africa", "Thailand")),
        "province_state": "Heredia",
        "coord-lat": f"{rng.uniform(-30, 50):.3f}",
        "coord-lon": f"{rng.uniform(-110, 100):.3f}",
        "image_measurement_value": str(rng.randint(2000, 20000)),
        "area_fraction": f"{rng.uniform(0.02, 0.4):.4f}",
        "scale_factor": f"{rng.uniform(0.4, 1.2):.4f}",
        "inferred_ranks": str(max(0, 6 - depth)),
        "split": split,
        "chunk": chunk,
    }
    path = "/".join(p for p in ("original_full", split, chunk, f"{process}.jpg") if p)
    shot = Shot(
        "organism", one.species, 10**7 + number, 0, size=rng.choice(((480, 360), (400, 300)))
    )
    kind = {4: "rank_only", 5: "rank_only", 6: "rank_only"}.get(depth, "accepted")
    rank = RANKS[depth - 1]
    if depth == 7 and one.species in ABSENT:
        kind = "absent_from_backbone"
    item = Item("bioscan", row, {}, shot, one.species, kind, rank)
    item.record_key, item.source_id, item.identifier = f"bioscan:{process}", process, path
    if split in HELD_OUT:
        item.record_fault = "provider_held_out"
    return item


def sea_image(number: int, seed: int, n_left: int) -> tuple[dict[str, Any], list[Item]]:
    """Return one FathomNet image with its boxes, at most `n_left`, and the row of each box."""
    rng = dice(seed, "sea", number)
    size = rng.choice(((900, 600), (840, 620), (800, 640)))
    n_animals = min(rng.choice((2, 3)), n_left)
    cell = size[0] // max(2, n_animals)
    species = [rng.choice(_MARINE) for _ in range(n_animals)]
    boxes = [_box(k, cell, size, rng) for k in range(n_animals)]
    if number == 0 or rng.random() < 0.15:
        _, y, w, h = boxes[0]
        boxes[0] = (-round(w * 0.1), y, w, h)  # leaves the frame: cut at the frame
    whos = [10**8 + number * 10 + k for k in range(n_animals)]
    animals = tuple((s.species, w, b) for s, w, b in zip(species, whos, boxes, strict=True))
    shot = Shot("scene", shot=number, size=size, animals=animals)
    url = f"http://fathomnet.invalid/static/m3/framegrabs/{number // 50:04d}/{number:06d}.jpg"
    data, licence = _image(number, seed, url, size, rng)
    items = []
    for one, who, box in zip(species, whos, boxes, strict=True):
        name, rank = _concept(one, rng)
        annotation = _annotation(name, box, rng)
        item = Item("fathomnet", {}, {}, shot, one.species, *_kind(one, rank))
        item.individual = who
        items.append(_boxed(item, annotation, box, url, size, rng))
        data["boundingBoxes"].append(annotation)
    if len(items) < n_left and (number in (1, 2) or rng.random() < 0.10):
        w, h = 240, 230  # a thing that is no organism, or a box that missed the picture
        odd = number == 2 or (number != 1 and rng.random() < 0.5)
        box = (size[0] + 20, 5, w, h) if odd else (4, 4, w, h)
        name = species[0].species if odd else rng.choice(_NOT_TAXA)
        annotation = _annotation(name, box, rng)
        item = Item("fathomnet", {}, {}, shot, None, "accepted" if odd else "not_a_name", None)
        item = _boxed(item, annotation, box, url, size, rng)
        fault = "box_outside_image" if odd else "concept_not_a_taxon"
        item.record_fault = item.record_fault or fault
        items.append(item)
        data["boundingBoxes"].append(annotation)
    for item in items:
        item.licence_kind = "open" if licence else "nd"
    return data, items


def _box(k: int, cell: int, size: tuple[int, int], rng: random.Random) -> Box:
    w, h = rng.randint(250, cell - 6), rng.randint(270, 420)
    return k * cell + rng.randint(2, cell - w - 2), rng.randint(4, size[1] - h - 4), w, h


def _image(
    number: int, seed: int, url: str, size: tuple[int, int], rng: random.Random
) -> tuple[dict[str, Any], bool]:
    licence = rng.random() < 0.88
    rights: Row = {"rightsHolder": "Sample Aquarium", "datasetName": "Sample deep-sea surveys"}
    if licence:
        rights["license"] = rng.choice(OPEN_LICENCES[:4])
    stamp = (
        f"20{rng.randint(10, 22)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T10:15:00.000Z"
    )
    image = {
        "id": number + 1,
        "uuid": _uuid(seed, "image", number),
        "url": url,
        "valid": True,
        "imagingType": "ROV",
        "depthMeters": round(rng.uniform(80, 3900), 1),
        "height": size[1],
        "width": size[0],
        "lastValidation": "2024-03-02T08:00:00.000Z",
        "latitude": round(36.6 + rng.gauss(0, 0.3), 5),
        "longitude": round(-122.1 + rng.gauss(0, 0.3), 5),
        "salinity": round(rng.uniform(33, 35), 3),
        "temperatureCelsius": round(rng.uniform(2, 11), 2),
        "oxygenMlL": round(rng.uniform(0.3, 3), 3),
        "mediaType": "image/jpeg",
        "modified": False,
        "sha256": hashlib.sha256(f"{seed}:{url}".encode()).hexdigest(),
        "contributorsEmail": "curator@sample.invalid",
        "tags": [],
        "timestamp": stamp,
        "boundingBoxes": [],
        "createdTimestamp": "2023-11-20T12:00:00.000Z",
        "lastUpdatedTimestamp": "2023-11-20T12:00:00.000Z",
        "darwinCore": rights,
    }
    return image, licence


def _uuid(*key: object) -> str:
    return str(uuid.UUID(bytes=dice(*key).randbytes(16), version=4))


def _annotation(concept: str, box: Box, rng: random.Random) -> dict[str, Any]:
    x, y, w, h = box
    return {
        "uuid": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
        "userDefinedKey": None,
        "concept": concept,
        "altConcept": None,
        "groupOf": False,
        "height": h,
        "width": w,
        "x": x,
        "y": y,
        "occluded": False,
        "truncated": x < 0,
        "observer": person(rng),
        "rejected": False,
        "reviewState": rng.choice(("VERIFIED", "UNVERIFIED", "UNKNOWN")),
    }


def _boxed(
    item: Item,
    annotation: dict[str, Any],
    box: Box,
    url: str,
    size: tuple[int, int],
    rng: random.Random,
) -> Item:
    """Set the row's ids and its crop, cut at the frame; refuse one box in twenty."""
    x, y, w, h = box
    left, top = max(0, x), max(0, y)
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    if right - left >= 2 and bottom - top >= 2:
        item.crop = f"{left},{top},{right - left},{bottom - top}"
    item.record_key = item.source_id = str(annotation["uuid"])
    item.identifier = url
    chance = rng.random()
    if item.species is None:
        pass
    elif chance < 0.02:
        annotation["rejected"], item.record_fault = True, "box_rejected"
    elif chance < 0.035:
        annotation["reviewState"], item.record_fault = "REJECTED", "review_rejected"
    elif chance < 0.055:
        annotation["groupOf"], item.record_fault = True, "group_of"
    annotation["occluded"] = rng.random() < 0.1
    return item


def _concept(one: Species, rng: random.Random) -> tuple[str, str]:
    chance = rng.random()
    if chance < 0.7:
        return one.species, "species"
    if chance < 0.78:
        return f"{one.genus} sp. {rng.randint(1, 3)}", "genus"
    return (one.genus, "genus") if chance < 0.92 else (one.family, "family")


def _kind(one: Species, rank: str) -> tuple[str, str | None]:
    """The kind of name and the rank it can lead to: a concept comes without any lineage."""
    if rank == "species" and one.species in ABSENT:
        return "absent_from_backbone", None
    if rank == "genus" and one.genus in HOMONYM_GENERA:
        return "homonym", None
    return ("accepted" if rank == "species" else "rank_only"), rank


def sea_rows(n: int, seed: int) -> Iterator[tuple[dict[str, Any], list[Item]]]:
    """Yield FathomNet images until `n` boxes are there."""
    number = 0
    while n > 0:
        image, items = sea_image(number, seed, n)
        yield image, items
        n, number = n - len(items), number + 1
