"""Occurrences of the sample world as GBIF would hold them, with their pictures.

Five sorts of record: an observer's photographs, a flora portal's, museum specimens (with thumbnail
and label), camera-trap sequences, and barcoded material. Planted faults are dealt out later.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from curation.sample.item import OPEN_LICENCES, Item, Row, person, size_of
from curation.sample.lists import lists
from curation.sample.naming import Naming
from curation.sample.shot import Shot, dice
from curation.sample.taxa import RANKS, Species

_OCCURRENCE = (
    "gbifID accessRights bibliographicCitation identifier language license modified publisher "
    "references rightsHolder type institutionID collectionID datasetID institutionCode "
    "collectionCode datasetName basisOfRecord informationWithheld dataGeneralizations occurrenceID "
    "catalogNumber recordNumber recordedBy individualCount sex lifeStage occurrenceStatus "
    "preparations associatedMedia occurrenceRemarks organismID eventID parentEventID eventDate year month day "
    "habitat samplingProtocol continent countryCode stateProvince locality decimalLatitude "
    "decimalLongitude coordinateUncertaintyInMeters identifiedBy dateIdentified typeStatus taxonID "
    "scientificName namePublishedInYear kingdom phylum class order family genus specificEpithet "
    "infraspecificEpithet taxonRank verbatimTaxonRank vernacularName taxonomicStatus datasetKey "
    "publishingCountry lastInterpreted elevation depth issue mediaType hasCoordinate "
    "hasGeospatialIssues taxonKey acceptedTaxonKey kingdomKey genusKey speciesKey species "
    "genericName acceptedScientificName verbatimScientificName protocol checklistKey"
)
_MULTIMEDIA = (
    "gbifID type format identifier references title description source audience created creator "
    "contributor publisher license rightsHolder"
)
OCCURRENCE_COLUMNS = tuple(_OCCURRENCE.split())
MULTIMEDIA_COLUMNS = tuple(_MULTIMEDIA.split())
CHECKLIST_KEY = "d7dddbf4-2cf0-4f39-9b2a-bb099caae36c"
SORTS = {"citizen": 0.52, "flora": 0.14, "museum": 0.18, "trap": 0.10, "material": 0.06}
N_SITES = 6  # of camera traps: few, so that each has several events
_DATASETS = {
    "citizen": ("50c9509d-22c7-4a22-a47d-8c48425ef4a7", "Sample naturalist observations"),
    "flora": ("7a3679ef-5582-4aaa-81f0-8c2545cafc81", "Sample flora portal"),
    "museum": ("96193ea2-f762-11e1-a439-00145eb45e9a", "Sample museum collections"),
    "trap": ("4fa7b334-ce0d-4e88-aaae-2e0c138d049e", "Sample camera traps"),
    "material": ("040c5662-da76-4782-a48e-cdea1892d14c", "Sample barcode of life"),
}
_PLACES = (
    *(("DE", "Bayern", 48.1, 11.6), ("GB", "England", 52.2, 0.1), ("EC", "Galápagos", -0.7, -90.3)),
    *(("ZA", "Limpopo", -24.0, 31.5), ("US", "California", 37.8, -122.4), ("", "", 12.0, -38.0)),
)
_STAGES = {"Animalia": ("Adult", "Juvenile", "adult"), "Plantae": ("flowering", "Seedling")}


def occurrence(
    number: int, sort: str, one: Species, naming: Naming, rng: random.Random, when: datetime
) -> Row:
    """Return the columns of one occurrence without anything planted."""
    keys = lists().keys
    stated = tuple(r for r in one.lineage[: RANKS.index(naming.true_rank or "kingdom") + 1])
    taxon_key = keys[stated] if naming.true_rank else ""
    row = dict.fromkeys(OCCURRENCE_COLUMNS, "")
    row |= dict(zip((*RANKS[:6], "species"), naming.ranks, strict=True))
    country, state, latitude, longitude = rng.choice(_PLACES)
    dataset_key, dataset = _DATASETS[sort]
    spread = rng.choice((10, 30, 100, 2500, 28000))
    row |= {
        "gbifID": str(number),
        "language": "en",
        "publisher": "Sample institute",
        "datasetKey": dataset_key,
        "datasetName": dataset,
        "occurrenceID": f"sample:{sort}:{number}",
        "recordedBy": person(rng),
        "occurrenceStatus": "PRESENT",
        "eventDate": _date(when, rng),
        "year": str(when.year),
        "month": str(when.month),
        "day": str(when.day),
        "countryCode": country,
        "stateProvince": state,
        "decimalLatitude": f"{latitude + rng.gauss(0, 0.4):.5f}",
        "decimalLongitude": f"{longitude + rng.gauss(0, 0.4):.5f}",
        "coordinateUncertaintyInMeters": f"{spread:.1f}" if rng.random() < 0.8 else "",
        "hasCoordinate": "true",
        "hasGeospatialIssues": "false",
        "mediaType": "StillImage",
        "scientificName": naming.name,
        "verbatimScientificName": naming.name,
        "acceptedScientificName": f"{one.species} {one.authorship}" if taxon_key else "",
        "genericName": one.genus if naming.ranks[5] else "",
        "taxonRank": naming.rank,
        "taxonomicStatus": "SYNONYM" if naming.kind == "synonym" else "ACCEPTED",
        "taxonKey": str(taxon_key),
        "acceptedTaxonKey": str(taxon_key),
        "kingdomKey": str(keys[one.lineage[:1]]) if naming.ranks[0] else "",
        "lastInterpreted": "2024-05-01T03:12:45.120Z",
        "protocol": "DWC_ARCHIVE",
        "publishingCountry": country or "DE",
        "checklistKey": CHECKLIST_KEY,
        "issue": rng.choice(("", "", "COORDINATE_ROUNDED", "GEODETIC_DATUM_ASSUMED_WGS84")),
    }
    if rng.random() < 0.06:
        row["dataGeneralizations"] = "Coordinate uncertainty increased to 28 km"
        row["informationWithheld"] = "Exact location withheld on request of the observer"
    if one.kingdom == "Animalia" and rng.random() < 0.45:
        row["sex"] = rng.choice(("male", "female", "MALE", "Female"))
    if one.kingdom in _STAGES and rng.random() < 0.4:
        row["lifeStage"] = rng.choice(_STAGES[one.kingdom])
    return row


def _date(when: datetime, rng: random.Random) -> str:
    shape = rng.random()
    if shape < 0.6:
        return when.isoformat()
    if shape < 0.85:
        return when.date().isoformat()
    return f"{when.date().isoformat()}/{(when + timedelta(days=rng.randint(1, 9))).date()}"


def multimedia(record: Row, identifier: str, rng: random.Random, credit: str) -> Row:
    """Return the columns of one multimedia row."""
    row = dict.fromkeys(MULTIMEDIA_COLUMNS, "")
    row |= {
        "gbifID": record["gbifID"],
        "type": "StillImage",
        "format": "image/jpeg",
        "identifier": identifier,
        "references": f"http://www.sample.invalid/record/{record['gbifID']}",
        "created": record["eventDate"].split("/")[0],
        "creator": credit,
        "publisher": record["datasetName"],
        "license": rng.choice(OPEN_LICENCES),
        "rightsHolder": credit if rng.random() < 0.7 else "",
    }
    return row


def record(
    number: int, sort: str, one: Species, naming: Naming, seed: int, n_left: int
) -> Iterator[Item]:
    """Yield the media rows of one record, or of one burst or sequence of records."""
    rng = dice(seed, "gbif", number)
    days = timedelta(days=rng.randint(0, 4000), seconds=rng.randint(0, 80_000))
    when = datetime(2011, 3, 1, 6) + days
    row = occurrence(number, sort, one, naming, rng, when)
    who = rng.randint(1, 10**6)
    makers = {
        "citizen": _citizen,
        "flora": _flora,
        "museum": _museum,
        "trap": _trap,
        "material": _material,
    }
    for item in list(makers[sort](row, one, naming, rng, who, when))[: max(1, n_left)]:
        item.record_key = item.source_id = item.record["gbifID"]
        yield item


def _item(row: Row, url: str, shot: Shot, one: Species, naming: Naming, rng: random.Random) -> Item:
    organism = shot.kind in ("organism", "trap")
    credit = row["recordedBy"]
    media = multimedia(row, url, rng, credit)
    rank = naming.true_rank
    item = Item("gbif", row, media, shot, one.species if organism else None, naming.kind, rank)
    item.identifier = url
    return item


def _shot(row: Row, one: Species, rng: random.Random, who: int, frame: int) -> Shot:
    sex, stage = row["sex"].lower(), row["lifeStage"].lower()
    return Shot("organism", one.species, who, frame, sex, stage, size_of(rng))


def _citizen(
    row: Row, one: Species, naming: Naming, rng: random.Random, who: int, when: datetime
) -> Iterator[Item]:
    row["basisOfRecord"] = "HUMAN_OBSERVATION"
    photo = int(row["gbifID"]) * 7 + 11
    extension = rng.choice(("jpg", "jpg", "jpeg"))
    if rng.random() < 0.10:  # a burst: one observer, three records within seconds, one animal
        for k in range(3):
            number = str(int(row["gbifID"]) + 300_000_000 * k)
            at = (when + timedelta(seconds=3 * k)).isoformat()
            other = row | {"gbifID": number, "occurrenceID": f"sample:burst:{number}"}
            other["eventDate"] = at
            url = f"http://photos.inaturalist.invalid/photos/{photo + k}/original.{extension}"
            item = _item(other, url, _shot(row, one, rng, who, k), one, naming, rng)
            item.duplicate_kind = "burst_not_duplicate"
            yield item
        return
    for k in range(rng.choice((1, 1, 1, 2, 2, 3))):
        scheme = "https" if rng.random() < 0.1 else "http"
        url = f"{scheme}://photos.inaturalist.invalid/photos/{photo + k}/original.{extension}"
        yield _item(row, url, _shot(row, one, rng, who, k), one, naming, rng)


def _flora(
    row: Row, one: Species, naming: Naming, rng: random.Random, who: int, _: datetime
) -> Iterator[Item]:
    row["basisOfRecord"] = rng.choice(("OBSERVATION", "HUMAN_OBSERVATION", "LIVING_SPECIMEN"))
    for k in range(rng.choice((1, 1, 2))):
        url = f"http://flora.invalid/media/{row['gbifID']}/{k + 1}.jpg"
        yield _item(row, url, _shot(row, one, rng, who, k), one, naming, rng)


def _museum(
    row: Row, one: Species, naming: Naming, rng: random.Random, who: int, _: datetime
) -> Iterator[Item]:
    fossil = rng.random() < 0.08
    row["basisOfRecord"] = "FOSSIL_SPECIMEN" if fossil else "PRESERVED_SPECIMEN"
    number = f"SMP-{int(row['gbifID']) % 10**7:07d}"
    row |= {"catalogNumber": number, "institutionCode": "SMP", "preparations": "pinned"}
    row["typeStatus"] = rng.choice(("", "", "", "HOLOTYPE"))
    base = f"http://static.museum.invalid/specimen_images/smp/large/{number}"
    yield _item(row, f"{base}.jpg", _shot(row, one, rng, who, 0), one, naming, rng)
    if rng.random() < 0.3:
        label = Shot("museum_label", individual=who, size=(480, 360))
        told = "_label" if who % 2 else "_b"  # half of them say so
        yield _item(row, f"{base}{told}.jpg", label, one, naming, rng)


def _trap(
    row: Row, one: Species, naming: Naming, rng: random.Random, who: int, when: datetime
) -> Iterator[Item]:
    site = (rng.randint(1, 40) - 1) % N_SITES + 1
    event = f"site{site:02d}-{row['gbifID']}"
    row |= {
        "basisOfRecord": "MACHINE_OBSERVATION",
        "eventID": event,
        "parentEventID": f"site{site:02d}",
    }
    row |= {"organismID": f"organism:{who}", "recordedBy": f"Camera {site:02d}"}
    row["samplingProtocol"] = "camera trap"
    kind = "empty_frame" if rng.random() < 0.15 else "trap"  # grass in the wind, three times
    for k in range(rng.choice((2, 3, 3))):
        number = str(int(row["gbifID"]) + 300_000_000 * k)
        other = row | {"gbifID": number, "occurrenceID": f"{event}:{k}"}
        other["eventDate"] = (when + timedelta(seconds=2 * k)).isoformat()
        frame = site * 1000 + int(row["gbifID"]) % 97 * 10 + k
        shot = Shot(kind, "" if kind == "empty_frame" else one.species, who, frame)
        url = f"http://trap.invalid/site{site:02d}/{row['gbifID']}/IMG_{k + 1:04d}.JPG"
        item = _item(other, url, shot, one, naming, rng)
        item.duplicate_kind = "burst_not_duplicate"
        yield item


def _material(
    row: Row, one: Species, naming: Naming, rng: random.Random, who: int, _: datetime
) -> Iterator[Item]:
    row["basisOfRecord"] = "MATERIAL_SAMPLE"
    row["catalogNumber"] = f"BIOUG{int(row['gbifID']) % 10**6:06d}"
    url = f"http://barcode.invalid/pics/{row['catalogNumber']}+{rng.randint(10**8, 10**9)}.JPG"
    yield _item(row, url, _shot(row, one, rng, who, 0), one, naming, rng)


def sorts(rng: random.Random, n: int) -> Sequence[str]:
    """Return `n` sorts of record in their shares, at random."""
    return rng.choices(list(SORTS), list(SORTS.values()), k=n)


def copy_record(number: int, one: Species, naming: Naming, shot: Shot, rng: random.Random) -> Item:
    """Return a record of a portal that shows a picture made elsewhere."""
    when = datetime(2016, 5, 1, 9) + timedelta(days=rng.randint(0, 900), seconds=number % 80_000)
    row = occurrence(4_950_000_000 + 13 * number, "flora", one, naming, rng, when)
    row |= {"basisOfRecord": "HUMAN_OBSERVATION", "sex": shot.sex, "lifeStage": shot.stage}
    url = f"http://portal.invalid/pictures/{row['gbifID']}.jpg"
    item = _item(row, url, shot, one, naming, rng)
    item.record_key = item.source_id = row["gbifID"]
    return item
