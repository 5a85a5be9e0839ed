"""FathomNet: boxes on deep-sea pictures, from the API's JSON or a COCO export.

In   JSON: a list of FathomNet images with `boundingBoxes`, or a COCO object
Out  schema.SOURCE: one row per box, with the crop in the picture's own pixels

Rejected, unusual or partial boxes are marked, never silently used: review state, groupOf, occluded
and truncated are honoured. Concepts that are not taxa (equipment, behaviour) say so. The picture is
not stretched to the box: a crop that leaves the frame is cut at the frame or, outside it, refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from catalog import schema, sql

MIN_SIDE_PX = 2
LICENCE = "https://creativecommons.org/licenses/by-nc-nd/4.0/"
_NOT_TAXA = re.compile(
    r"\b(marine organism|equipment|trash|debris|rope|camera|laser|sonar|ROV|AUV|ship|cable|bottle|"
    r"unidentified|detritus|sediment|rock|bubbles?|burrow|egg ?case|mark(er)?|tool|net)\b", re.I)  # fmt: skip

SQL = """
select * from blank
union all by name
select
  $archive as archive, $table as source_table, source_row, media_index, 'fathomnet' as source,
  source_id, source_id as record_key, identifier, crop,
  case when sha256 is not null then 'sha256:' || sha256 end as provider_key,
  original_width, original_height, image_id as eventID, concept as verbatimScientificName,
  'fathomnet' as checklistKey, 'MACHINE_OBSERVATION' as basisOfRecord, 'underwater' as image_type,
  lat as decimalLatitude, lon as decimalLongitude, depth as minimumDepthInMeters,
  eventDate, coalesce(license, $license) as license_verbatim, creator, rightsHolder,
  'FathomNet' as publisher, dataset as datasetName, reason as reject_reason
from box
order by archive, source_table, source_row, media_index
"""

_BOX = pa.schema(
    [(n, pa.string()) for n in ("source_id", "identifier", "crop", "sha256", "image_id", "concept",
                                "eventDate", "license", "creator", "rightsHolder", "dataset", "reason")]
    + [(n, pa.float64()) for n in ("lat", "lon", "depth")]
    + [(n, pa.int32()) for n in ("original_width", "original_height", "media_index")]
    + [("source_row", pa.int64())]
)  # fmt: skip


def fathomnet(
    con: duckdb.DuckDBPyConnection,
    *,
    archive: str,
    path: Path,
    review: tuple[str, ...] = ("VERIFIED", "UNVERIFIED", "UNKNOWN"),
    drop: tuple[str, ...] = ("groupOf",),
    licence: str = LICENCE,
) -> sql.Query:
    """Media rows of a FathomNet export, one per box, as `schema.SOURCE`.

    `review` lists the review states that may enter, `drop` the flags (groupOf, occluded, truncated)
    that keep a box out. `licence` stands for boxes whose picture states none. ValueError for a file
    of another shape.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a FathomNet JSON export")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable JSON: {error}") from error
    if isinstance(data, dict) and isinstance(data.get("annotations"), list):
        boxes = list(_coco(data))
    else:
        images = data.get("images", data.get("content")) if isinstance(data, dict) else data
        if not isinstance(images, list):
            raise ValueError(f"{path} is neither a list of FathomNet images nor a COCO export")
        boxes = list(_api(images, set(review), drop))
    for row, box in enumerate(boxes, 1):
        box["source_row"] = row
    table = pa.Table.from_pylist(boxes, schema=_BOX)
    params = {"archive": archive, "table": path.name, "license": licence}
    return sql.query(con, SQL, params, box=table, blank=schema.SOURCE.empty())


def _coco(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    images = {_text(image.get("id")): image for image in _dicts(data.get("images"))}
    concepts = {_text(c.get("id")): c.get("name") for c in _dicts(data.get("categories"))}
    seen: dict[str | None, int] = {}
    for note in _dicts(data["annotations"]):
        key, number = _text(note.get("image_id")), _text(note.get("id"))
        image = images.get(key, {})
        seen[key] = seen.get(key, -1) + 1
        width, height = _whole(image.get("width")), _whole(image.get("height"))
        crop, reason = _crop(note.get("bbox"), width, height)
        uuid = _text(note.get("uuid")) or (number and f"coco:{number}")
        identifier = _text(image.get("coco_url") or image.get("flickr_url"))
        if not uuid or not image or not identifier:
            reason = "no_record_id" if not uuid else "no_identifier" if image else "no_image"
        elif note.get("iscrowd"):
            reason = "group_of"
        concept = concepts.get(_text(note.get("category_id")))
        yield {
            "source_id": uuid, "identifier": identifier, "crop": crop,
            "image_id": _text(image.get("file_name") or key), "concept": _text(concept),
            "eventDate": _text(image.get("date_captured")), "original_width": width,
            "original_height": height, "media_index": seen[key],
            "reason": reason or _not_taxon(concept),
        }  # fmt: skip


def _api(images: list[Any], review: set[str], drop: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for image in _dicts(images):
        rights = image.get("darwinCore") or image.get("imageSetUpload") or {}
        rights = rights if isinstance(rights, dict) else {}
        for index, box in enumerate(_dicts(image.get("boundingBoxes"))):
            width, height = _whole(image.get("width")), _whole(image.get("height"))
            crop, reason = _crop([box.get(k) for k in ("x", "y", "width", "height")], width, height)
            state = str(box.get("reviewState") or "UNKNOWN").upper()
            flags = [flag for flag in drop if box.get(flag)]
            uuid, identifier = _text(box.get("uuid")), _text(image.get("url"))
            if not uuid or not identifier:
                reason = "no_record_id" if not uuid else "no_identifier"
            elif image.get("valid") is False:
                reason = "image_not_valid"
            elif box.get("rejected") or state not in review:
                reason = "box_rejected" if box.get("rejected") else f"review_{state.lower()}"
            elif flags:
                reason = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", flags[0]).lower()
            concept = box.get("concept")
            yield {
                "source_id": uuid, "identifier": identifier, "crop": crop,
                "sha256": _text(image.get("sha256")), "image_id": _text(image.get("uuid")),
                "concept": _text(box.get("altConcept") or concept), "lat": _real(image.get("latitude")),
                "eventDate": _text(image.get("timestamp")), "lon": _real(image.get("longitude")),
                "depth": _real(image.get("depthMeters")), "original_width": width,
                "original_height": height, "media_index": index, "license": _text(rights.get("license")),
                "creator": _text(box.get("observer")), "rightsHolder": _text(rights.get("rightsHolder")),
                "dataset": _text(rights.get("datasetName")), "reason": reason or _not_taxon(concept),
            }  # fmt: skip


def _crop(box: Any, width: int | None, height: int | None) -> tuple[str | None, str | None]:
    """`x,y,w,h` in whole pixels, cut at the frame where the frame is known; or why not."""
    values = [_real(value) for value in box] if isinstance(box, list) and len(box) == 4 else [None]
    if any(value is None for value in values):
        return None, "bad_box"
    x, y, w, h = (round(value) for value in values if value is not None)
    left, top = max(0, x), max(0, y)
    right = min(x + w, width) if width else x + w
    bottom = min(y + h, height) if height else y + h
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        return None, "box_outside_image"
    return f"{left},{top},{right - left},{bottom - top}", None


def _not_taxon(concept: Any) -> str | None:
    if not concept:
        return "no_concept"
    return "concept_not_a_taxon" if _NOT_TAXA.search(str(concept)) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    """The entries of a JSON list; one of another type counts as an entry that says nothing."""
    return [e if isinstance(e, dict) else {} for e in value] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).encode("utf-8", "replace").decode().strip() or None


def _real(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
    return float(value) if number else None


def _whole(value: Any) -> int | None:
    real = _real(value)
    return int(real) if real is not None and real > 0 else None
