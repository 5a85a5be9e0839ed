"""One media row while the world is planned, and how shares of rows are dealt out."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from curation.sample.shot import Shot

Row = dict[str, str]
T = TypeVar("T")

OPEN_LICENCES = (
    "http://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "http://creativecommons.org/licenses/by/4.0/",
    "https://creativecommons.org/licenses/by/4.0/legalcode",
    "http://creativecommons.org/licenses/by-sa/4.0/",
    "http://creativecommons.org/licenses/by/3.0/us/",
    "CC BY 4.0",
    "CC_BY_4_0",
    "CC-BY-SA 3.0",
    "Public Domain",
)
CLOSED_LICENCES: dict[str, tuple[str, ...]] = {
    "nc": ("http://creativecommons.org/licenses/by-nc/4.0/", "CC BY-NC-SA 4.0", "CC_BY_NC_4_0"),
    "nd": ("http://creativecommons.org/licenses/by-nd/4.0/", "CC BY-NC-ND 3.0"),
    "reserved": ("© All rights reserved", "Copyright 2014, all rights reserved"),
    "odd": ("see the museum's web site", "Usage conditions apply", "free for schools"),
    "missing": ("",),
    "no_credit": ("http://creativecommons.org/licenses/by/4.0/", "CC BY-SA 4.0"),
}
LICENCE_RATES = {
    "nc": 0.045,
    "nd": 0.015,
    "reserved": 0.015,
    "odd": 0.008,
    "missing": 0.012,
    "no_credit": 0.015,
}
_GIVEN = ("Ana", "Bram", "Chidi", "Dagny", "Emre", "Farah", "Goran", "Hana", "Ines", "Jonas")
_FAMILY = ("Abara", "Berg", "Castro", "Duval", "Egede", "Ferri", "Grau", "Haas", "Ito", "Kowal")


@dataclass(eq=False)
class Item:
    """A media row: what its provider writes, what its address answers, and the truth about it.

    `record` is shared by the media of one record and holds the columns of the provider's own
    table; `media` holds those of its media table. Truth fields are columns of truth.parquet.
    """

    source: str
    record: Row
    media: Row
    shot: Shot | None
    species: str | None
    name_kind: str
    true_rank: str | None
    record_key: str = ""
    source_id: str = ""
    identifier: str | None = None
    crop: str | None = None

    cluster: str | None = None
    duplicate_kind: str | None = None
    detectable: bool = True
    leak: bool = False
    fault: str | None = None
    behaviour: str = "ok"
    record_fault: str | None = None
    licence_kind: str = "open"
    individual: int | None = None

    @property
    def image_kind(self) -> str | None:
        """What the picture shows; null where the medium is no picture."""
        if self.shot is None:
            return None
        kinds = {"trap": "organism", "scene": "organism"}
        return kinds.get(self.shot.kind, self.shot.kind)

    @property
    def clean(self) -> bool:
        """True for a picture of an organism in which nothing has been planted yet."""
        sound = self.fault is None and self.record_fault is None and self.licence_kind == "open"
        untouched = self.cluster is None and not self.leak and self.behaviour == "ok"
        return sound and untouched and self.image_kind == "organism" and self.true_rank is not None


def deal(
    items: Sequence[T], rates: Mapping[str, float], rng: random.Random, of: int = 0
) -> Iterator[tuple[str, T]]:
    """Give each kind its share of the items (of `of` items, if told), at least one, at random."""
    pool = list(items)
    rng.shuffle(pool)
    for kind, rate in rates.items():
        for _ in range(max(1, round(rate * (of or len(items))))):
            if not pool:
                return
            yield kind, pool.pop()


def person(rng: random.Random) -> str:
    """Return a made-up name."""
    return f"{rng.choice(_GIVEN)} {rng.choice(_FAMILY)}"


def size_of(rng: random.Random) -> tuple[int, int]:
    """Return a picture size; the long side is 320 to 900 pixels, mostly small."""
    plain = ((400, 300), (480, 360), (360, 480), (320, 240), (384, 384), (512, 384))
    large = ((640, 480), (480, 640), (720, 540), (800, 600), (900, 600))
    return rng.choice(large if rng.random() < 0.12 else plain)
