"""What is planted in the sample world, in which shares, and what becomes of the rows."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from curation.sample.gbif_records import copy_record
from curation.sample.item import CLOSED_LICENCES, Item, deal
from curation.sample.naming import ABSENT, ALL_SPECIES, HOMONYM_GENERA, named
from curation.sample.other_records import COPY_URL, eol_row
from curation.sample.shot import FORMATS, MEDIA_TYPES, Shot, dice
from curation.sample.taxa import INFRASPECIFIC, SPECIES, Species

_BY_NAME = {one.species: one for one in ALL_SPECIES}
_WITH_SISTER = tuple(
    one for one in SPECIES if sum(other.genus == one.genus for other in SPECIES) > 1
)
POOLS: dict[str, tuple[Species, ...]] = {
    "synonym": tuple(one for one in SPECIES if one.synonyms and one.species not in ABSENT),
    "infraspecific": tuple(_BY_NAME[part.parent] for part in INFRASPECIFIC),
    "hybrid": tuple(one for one in _WITH_SISTER if one.kingdom == "Plantae"),
    "bare_homonym": tuple(one for one in SPECIES if one.genus in HOMONYM_GENERA),
}
RECORD_FAULTS = {
    "shifted_columns": 0.009,
    "absent": 0.006,
    "material_citation": 0.006,
    "no_occurrence": 0.007,
}
MEDIA_FAULTS = {"ragged_row": 0.003, "not_still_image": 0.008, "no_identifier": 0.006}
QUIRKS = {"blank_id": 0.01, "repeated_id": 0.01, "associated": 0.012}
FATAL = {
    "http_404": 0.008,
    "http_410": 0.003,
    "http_403": 0.006,
    "http_500": 0.003,
    "truncated_body": 0.003,
    "html": 0.004,
    "empty": 0.003,
    "too_large": 0.003,
    "redirect_loop": 0.003,
    "noai": 0.003,
    "gzip": 0.003,
    "corrupt": 0.004,
    "truncated_file": 0.003,
    "too_small": 0.010,
}
"""Replies and pictures that cannot enter the data, as shares of the web rows."""

PASSING = {"rate_limited": 0.006, "flaky": 0.004, "slow": 0.006, "redirect": 0.008}
"""Replies that a patient client gets a picture from."""

PICTURES = {"face": 0.006, "flat": 0.004, "placeholder": 0.012, "empty_frame": 0.003}
COPIES: dict[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    "exact": (0.014, (1.0,), ()),
    "reencoded": (0.022, (92, 60, 40, 20, 10), (3,)),
    "resized": (0.014, (0.9, 0.8, 0.7), ()),
    "cropped": (0.022, (0.004, 0.01, 0.02, 0.03), (0.08, 0.15)),
    "bright": (0.018, (0.6, 0.8, 1.1, 1.25), (2.5,)),
    "mirrored": (0.010, (1.0,), ()),
    "caption": (0.018, (0.04, 0.08), (0.2, 0.3)),
    "watermark": (0.010, (60.0, 120.0), (250.0,)),
    "turned": (0.010, (0.5,), (4.0, 12.0)),
    "thumbnail": (0.018, (0.7,), ()),
    "sister_not_duplicate": (0.010, (), ()),
}
"""Share of the web rows, strengths that hash, probes and pixels can see, and strengths they cannot."""

FORMAT_SHARE = 0.004
N_HELD_OUT = 12
_LEAK_EDITS = (
    *(("", 0.0), ("reencoded", 60.0), ("resized", 0.7), ("bright", 0.8)),
    *(("mirrored", 1.0), ("cropped", 0.15), ("turned", 9.0)),
)
"""How the held-out picture was altered; the last two are more than can be seen."""


def n_extra(n_web: int) -> int:
    """How many rows the copies will add to `n_web` web rows in the end."""
    return sum(max(1, round(share * n_web)) for share, *_ in COPIES.values())


def licence(item: Item, kind: str, rng: random.Random) -> None:
    """Give the item a licence that keeps it out of the data."""
    item.licence_kind = kind
    text = rng.choice(CLOSED_LICENCES[kind])
    if item.source == "eol":
        item.media["License Name"] = text
        if kind == "no_credit":
            item.media["Copyright Owner"] = "licensed media from Sample Commons without owner"
        return
    item.media["license"] = text
    if kind == "no_credit":
        item.media["creator"] = item.media["rightsHolder"] = ""


def _move(item: Item, url: str | None) -> None:
    """Give the picture another address, wherever its record names it."""
    if item.record.get("associatedMedia") and item.identifier:
        listed = item.record["associatedMedia"]
        item.record["associatedMedia"] = listed.replace(item.identifier, url or "")
    item.identifier = url
    item.media[COPY_URL if item.source == "eol" else "identifier"] = url or ""


def record_faults(items: list[Item], rng: random.Random) -> None:
    """Plant what is wrong with occurrences and multimedia rows; associated media join `items`."""
    of_record: dict[str, list[Item]] = {}
    for item in items:
        of_record.setdefault(item.record["gbifID"], []).append(item)
    whole = [rows for rows in of_record.values() if all(row.licence_kind == "open" for row in rows)]
    for i, (kind, rows) in enumerate(deal(whole, {**RECORD_FAULTS, **QUIRKS}, rng, len(items))):
        record = rows[0].record
        record["_quirk"] = kind
        if kind == "shifted_columns":
            record["_quirk"] = ("shifted_year", "shifted_blank")[i % 2]
        elif kind == "absent":
            record["occurrenceStatus"] = "ABSENT"
        elif kind == "material_citation":
            record["basisOfRecord"] = "MATERIAL_CITATION"
        elif kind == "associated":
            items.append(_associated(rows[0]))
        if kind in RECORD_FAULTS:
            for row in rows:
                row.record_fault = kind
    clean = [one for one in items if one.clean]
    for media_no, (kind, item) in enumerate(deal(clean, MEDIA_FAULTS, rng, len(items))):
        item.record_fault = kind
        if kind == "ragged_row":
            item.media["_quirk"] = kind
        elif kind == "not_still_image":
            item.media |= {"type": "Sound", "format": "audio/mpeg"}
            _move(item, f"http://sounds.invalid/{item.source_id}/{media_no}.mp3")
            item.shot = item.species = None
        else:
            _move(item, None)


def _associated(first: Item) -> Item:
    """A picture that only the occurrence names; the part beside it is in multimedia too."""
    url = f"http://static.museum.invalid/associated/{first.source_id}.jpg"
    first.record["associatedMedia"] = f"{first.identifier} | {url}"
    shot = replace(first.shot, shot=77, individual=first.shot.individual) if first.shot else None
    item = replace(first, media={}, shot=shot, identifier=url, licence_kind="missing")
    item.duplicate_kind = None
    return item


def reply_faults(items: Sequence[Item], rng: random.Random) -> None:
    """Plant what goes wrong, for good or for a while, between the address and the picture."""
    clean = [one for one in items if one.clean and one.duplicate_kind is None]
    for i, (kind, item) in enumerate(deal(clean, {**FATAL, **PASSING}, rng, len(items))):
        item.behaviour = kind
        if kind in FATAL:
            item.fault = kind
        assert item.shot is not None
        if kind == "http_403":  # the whole host is closed
            _move(item, f"http://closed.invalid/{item.source}/{item.source_id}-{i}.jpg")
        elif kind == "too_small":
            item.behaviour = "ok"
            item.shot = replace(item.shot, size=rng.choice(((160, 120), (200, 150), (300, 200))))


def other_pictures(items: Sequence[Item], rng: random.Random) -> None:
    """Put something else than the organism on a few pictures."""
    clean = [one for one in items if one.clean and one.duplicate_kind is None]
    for i, (kind, item) in enumerate(deal(clean, PICTURES, rng, len(items))):
        item.shot = Shot(kind, individual=i + 1, shot=90_000 + i)
        item.species = None
        if kind == "placeholder":
            item.shot = Shot(kind)
            item.fault = "placeholder"
            _move(item, f"http://lost.invalid/{item.source}/{item.source_id}-{i}.jpg")


def leaks(items: Sequence[Item], rng: random.Random) -> Mapping[str, Shot]:
    """Choose rows whose photograph is held out; return the held-out pictures by file name."""
    clean = [one for one in items if one.clean and one.duplicate_kind is None]
    found: dict[str, Shot] = {}
    for i, item in enumerate(rng.sample(clean, min(len(_LEAK_EDITS), len(clean)))):
        item.leak, item.detectable = True, i < len(_LEAK_EDITS) - 2
        assert item.shot is not None
        edit, strength = _LEAK_EDITS[i]
        found[f"{i:03d}_leak.jpg"] = replace(item.shot, edit=edit, strength=strength)
    for i in range(len(found), N_HELD_OUT):
        one = rng.choice(SPECIES)
        found[f"{i:03d}_held_out.jpg"] = Shot("organism", one.species, 5 * 10**7 + i)
    return found


def formats(items: Sequence[Item], rng: random.Random) -> None:
    """Save some clean pictures in other file formats, one of each at least."""
    clean = [one for one in items if one.clean]
    for form, item in deal(clean, dict.fromkeys(FORMATS, FORMAT_SHARE), rng, len(items)):
        assert item.shot is not None
        artist = item.media.get("creator") or item.media.get("Copyright Owner") or ""
        item.shot = replace(item.shot, form=form, artist=artist if form == "gps_jpeg" else "")
        if item.source == "gbif":
            item.media["format"] = MEDIA_TYPES.get(form, "image/jpeg")


def copies(
    items: Sequence[Item], n_web: int, n_eol: int, seed: int, rng: random.Random
) -> list[Item]:
    """Return rows that show a photograph of `items` again, and rows that only look like it."""
    out: list[Item] = []
    for made, (kind, original, strength, seen) in enumerate(_originals(items, n_web, rng)):
        shot = original.shot
        assert shot is not None and original.species is not None
        one = _BY_NAME[original.species]
        if kind == "sister_not_duplicate":
            one = rng.choice([o for o in SPECIES if o.genus == one.genus and o is not one])
            copy = _again(made, one, replace(shot, species=one.species), seed)
            original.duplicate_kind = copy.duplicate_kind = kind
            out.append(copy)
            continue
        original.cluster = f"c{made:06d}"
        edit = "resized" if kind == "thumbnail" else "" if kind == "exact" else kind
        changed = replace(shot, edit=edit, strength=float(strength))
        if kind == "thumbnail" and original.source == "gbif":
            copy = _thumbnail(made, original, one, changed, seed)
        elif kind == "exact" and made % 3 == 0 and original.source == "gbif":
            copy = _other_scheme(original)
        elif n_eol > 0 and made % 2:
            n_eol -= 1
            copy = eol_row(10**6 + made, seed, one, changed)
        else:
            copy = _again(made, one, changed, seed)
        copy.cluster, copy.duplicate_kind, copy.detectable = original.cluster, kind, seen
        out.append(copy)
    return out


def _originals(
    items: Sequence[Item], n_web: int, rng: random.Random
) -> Iterator[tuple[str, Item, float, bool]]:
    """Kinds, photographs, strengths in turn, and whether a hash can see it."""
    clean = [one for one in items if one.clean and one.duplicate_kind is None]
    big = [one for one in clean if one.shot and min(one.shot.size) >= 330]
    sisters = [o for o in clean if o.species and _BY_NAME[o.species] in _WITH_SISTER]
    used: set[int] = set()
    for kind, (share, can, cannot) in COPIES.items():
        scaled = kind in ("resized", "thumbnail", "cropped")
        pool = big if scaled else sisters if kind == "sister_not_duplicate" else clean
        pool = [one for one in pool if id(one) not in used]
        chosen = rng.sample(pool, min(len(pool), max(1, round(share * n_web))))
        strengths = [(s, True) for s in can] + [(s, False) for s in cannot] or [(0.0, True)]
        for i, item in enumerate(chosen):
            used.add(id(item))
            yield kind, item, *strengths[i % len(strengths)]


def _again(number: int, one: Species, shot: Shot, seed: int) -> Item:
    """A record of another portal with this picture."""
    rng = dice(seed, "copy", number)
    return copy_record(number, one, named(one, "accepted", rng), shot, rng)


def _thumbnail(number: int, original: Item, one: Species, small: Shot, seed: int) -> Item:
    """The same picture in a smaller rendition of the same server."""
    url = str(original.identifier)
    if "/large/" in url:
        return _same_record(original, url.replace("/large/", "/thumbnails/"), small)
    copy = _again(number, one, small, seed)
    if "/original." in url:
        _move(copy, url.replace("/original.", "/medium."))
    return copy


def _same_record(original: Item, url: str, shot: Shot | None) -> Item:
    copy = replace(original, media=dict(original.media), shot=shot)
    _move(copy, url)
    return copy


def _other_scheme(original: Item) -> Item:
    """The same address once with and once without encryption, in one record."""
    url = str(original.identifier)
    other = "https" if url.startswith("http:") else "http"
    return _same_record(original, f"{other}:{url.partition(':')[2]}", original.shot)
