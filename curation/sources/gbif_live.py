"""Live GBIF: a query in; out a snapshot in the shape of a Darwin Core Archive, read like any other.

`match` turns a name into a taxon key, `search_archive` takes up to 100,000 occurrences without a
login, `download_archive` any number with one. The only file that uses pygbif (0.7). Taxon keys are
text: the Catalogue of Life's are alphanumeric, those of the discontinued GBIF backbone numbers.
"""

from __future__ import annotations

import importlib
import itertools
import json
import logging
import os
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from curation.sources.gbif_answers import (
    BACKBONE,
    CATALOGUE_OF_LIFE,
    COLUMNS,
    checklist_of,
    convert,
    meta,
)

MAX_SEARCH, MAX_PAGE = 100_000, 300  # GBIF's own ceilings, in occurrences
_TRIES, _TIMEOUT_S, _MAX_WAIT_S = 5, 60, 300
Log = Callable[[str], None] | None
Sleep = Callable[[float], None]
Lines = dict[str, tuple[str, str]]  # gbifID -> its lines of occurrence.txt and multimedia.txt


@dataclass(frozen=True)
class Match:
    """The taxon a name or key stands for; for a synonym its accepted taxon, with status SYNONYM."""

    key: str
    scientific_name: str
    canonical_name: str
    rank: str
    status: str
    match_type: str
    checklist_key: str
    matched_name: str  # the name GBIF found; for a synonym not `scientific_name`
    lineage: dict[str, str]  # rank in lower case -> name, highest first


@dataclass(frozen=True)
class Query:
    """Which occurrences; the values of a tuple are alternatives."""

    taxon_key: str | None = None
    checklist_key: str | None = None  # None: the one that `taxon_key` is written in
    country: str | None = None  # ISO 3166, two letters
    dataset_key: str | None = None
    geometry: str | None = None  # WKT, counter-clockwise
    basis_of_record: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()  # of the records (CC_BY_4_0 ...), not of their pictures
    media_type: str = "StillImage"

    def parameters(self) -> dict[str, Any]:
        """The query as parameters of an occurrence search."""
        asked = {
            "taxonKey": self.taxon_key,
            "checklistKey": self.checklist_key or checklist_of(self.taxon_key or ""),
            "country": self.country,
            "datasetKey": self.dataset_key,
            "geometry": self.geometry,
            "basisOfRecord": list(self.basis_of_record),
            "license": list(self.licences),
            "mediaType": self.media_type,
        }
        return {name: value for name, value in asked.items() if value}

    def predicate(self) -> dict[str, Any]:
        """The query as the predicate of an occurrence download."""
        asked = self.parameters()
        checklist, shape = asked.pop("checklistKey"), asked.pop("geometry", None)
        parts = [{"type": "within", "geometry": shape}] if shape else []
        for name, value in asked.items():
            key = re.sub("([A-Z])", r"_\1", name).upper()
            values = value if isinstance(value, list) else [value]
            more = {"checklistKey": checklist} if name == "taxonKey" else {}
            parts.append({"type": "in", "key": key, "values": values, **more})
        return {"type": "and", "predicates": parts}


def match(
    name_or_key: str, *, checklist_key: str | None = None, sleep: Sleep = time.sleep
) -> Match:
    """The taxon that a name or key means to GBIF; ValueError unless GBIF is sure."""
    wanted = " ".join(name_or_key.split())
    checklist = checklist_key or checklist_of(wanted)
    lookup = partial(_pygbif().species.name_backbone, checklistKey=checklist, timeout=_TIMEOUT_S)
    answer: dict[str, Any] = {}
    if re.fullmatch(r"\d+|[0-9A-Z]{1,8}", wanted):  # a key; AVES may be a key or a name
        answer = _ask(f"look-up of key {wanted}", partial(lookup, usageKey=wanted), sleep)
    if not answer.get("usage") and wanted and not wanted.isdigit():
        by_name = partial(lookup, scientificName=wanted, verbose=True)
        answer = _ask(f"match of {wanted!r}", by_name, sleep)
    notes = answer.get("diagnostics", {})
    if notes.get("matchType") == "EXACT" and "Multiple equal" not in (notes.get("note") or ""):
        taxon = answer.get("acceptedUsage") or answer["usage"]
        return Match(
            key=str(taxon["key"]),
            scientific_name=taxon["name"],
            canonical_name=taxon.get("canonicalName") or taxon["name"],
            rank=taxon.get("rank") or "",
            status=answer["usage"].get("status") or "",
            match_type=notes["matchType"],
            checklist_key=checklist,
            matched_name=answer["usage"]["name"],
            lineage={t["rank"].lower(): t["name"] for t in answer.get("classification") or ()},
        )
    near = [a["usage"] for a in (answer, *notes.get("alternatives", ())) if a.get("usage")][:4]
    names = "; ".join(f"{u['name']} ({u.get('rank')}, key {u['key']})" for u in near)
    raise ValueError(
        f"GBIF has no sure match for {wanted!r} in checklist {checklist} (match type "
        f"{notes.get('matchType', 'NONE')}). Nearest: {names or 'nothing'}. If that is meant, ask "
        f"for its full name or key; else check the spelling. Numeric keys need {BACKBONE}"
    )


def search_archive(
    query: Query, out_dir: Path, *, limit: int = 1000, page_size: int = MAX_PAGE,
    log: Log = None, sleep: Sleep = time.sleep,
) -> Path:  # fmt: skip
    """Write up to `limit` occurrences with media as the archive folder `out_dir`, whole or not at
    all; query.json in it says what was asked, how many GBIF has and how many were taken."""
    if not 1 <= limit <= MAX_SEARCH or not 1 <= page_size <= MAX_PAGE:
        raise ValueError(
            f"a search gives 1 to {MAX_SEARCH:,} occurrences in pages of 1 to {MAX_PAGE}, not "
            f"{limit:,} in pages of {page_size}; for more use download_archive (a GBIF account)"
        )
    with tempfile.TemporaryDirectory(dir=_room(out_dir), prefix=".gbif-") as scratch:
        lines, count = _search(query, limit, page_size, log, sleep)
        # By number, so that the order of GBIF's pages leaves no trace.
        order = sorted(lines, key=lambda key: (not key.isdecimal(), key.zfill(20), key))
        part = Path(scratch) / "archive"
        part.mkdir()
        for i, name in enumerate(("occurrence.txt", "multimedia.txt")):
            with (part / name).open("w", encoding="utf-8", errors="replace", newline="") as file:
                file.write("\t".join(COLUMNS[i]) + "\n")
                file.writelines(lines[key][i] for key in order)
        (part / "meta.xml").write_text(meta(), encoding="utf-8")
        n_media = sum(media.count("\n") for _, media in lines.values())
        taken = {"limit": limit, "count": count, "taken": len(lines), "media": n_media}
        _write_json(part / "query.json", {"request": query.parameters(), **taken})
        part.replace(out_dir)
    return out_dir


def _search(query: Query, limit: int, page_size: int, log: Log, sleep: Sleep) -> tuple[Lines, int]:
    """The lines of both tables, and how many occurrences GBIF counts."""
    asked = query.parameters()
    ask = partial(_pygbif().occurrences.search, **asked, timeout=_TIMEOUT_S)
    lines: Lines = {}
    offset = count = 0
    while offset < limit:
        n = min(page_size, limit - offset)
        page = _ask(f"search at offset {offset}", partial(ask, limit=n, offset=offset), sleep)
        for occurrence in page["results"]:  # GBIF's index moves while we page: ids may come twice
            gbif_id = str(occurrence.get("gbifID") or occurrence["key"])
            lines.setdefault(gbif_id, convert(occurrence, asked["checklistKey"]))
        count = max(count, page["count"])
        offset += len(page["results"])
        if log:
            log(f"GBIF: {offset:,} of {min(limit, count):,} occurrences")
        if page["endOfRecords"] or not page["results"]:
            break
    return lines, count


def download_archive(
    query: Query | Mapping[str, Any], out_path: Path, *, format: str = "DWCA", poll_s: float = 30,
    timeout_s: float = 6 * 3600, sleep: Sleep = time.sleep,
) -> Path:  # fmt: skip
    """Have GBIF prepare a download of a query or predicate, and fetch its zip to `out_path`;
    `<out_path>.json` holds what a citation needs: key, DOI, size, licence, number of records."""
    account = {name: os.environ.get(name, "") for name in ("GBIF_USER", "GBIF_PWD", "GBIF_EMAIL")}
    if missing := [name for name, value in account.items() if not value]:
        raise ValueError(
            f"a GBIF download needs an account (free, at gbif.org): set {', '.join(missing)} in "
            f"the environment; search_archive takes up to {MAX_SEARCH:,} occurrences without one"
        )
    with tempfile.TemporaryDirectory(dir=_room(out_path), prefix=".gbif-") as scratch:
        occurrences = _pygbif().occurrences
        # Once only: a request whose answer was lost may have been taken.
        key = _ask("download request", partial(_request, query, format, account), sleep, tries=1)
        look = partial(occurrences.download_meta, key, timeout=_TIMEOUT_S)
        waited, found = 0.0, _ask(f"state of download {key}", look, sleep)
        while found["status"] in ("PREPARING", "RUNNING", "SUSPENDED") and waited < timeout_s:
            sleep(poll_s)
            waited += poll_s
            found = _ask(f"state of download {key}", look, sleep)
        if found["status"] != "SUCCEEDED":
            raise RuntimeError(
                f"GBIF download {key} is {found['status']} after {waited:.0f} s; its page, "
                f"https://www.gbif.org/occurrence/download/{key}, says why and will have the file"
            )
        fetch = partial(occurrences.download_get, key, path=scratch, timeout=_TIMEOUT_S)
        part = Path(_ask(f"fetch of download {key}", fetch, sleep)["path"])
        if part.stat().st_size < found["size"] or not zipfile.is_zipfile(part):
            raise RuntimeError(f"download {key} came cut short; it is at {found['downloadLink']}")
        names = ("key", "doi", "license", "size", "totalRecords", "created", "downloadLink")
        _write_json(out_path.with_name(out_path.name + ".json"), {n: found.get(n) for n in names})
        part.replace(out_path)
    return out_path


def _request(query: Query | Mapping[str, Any], format: str, account: Mapping[str, str]) -> str:
    """Post the request pygbif composes, over https: pygbif itself posts the password to http://."""
    predicate, checklist = query, CATALOGUE_OF_LIFE
    if isinstance(query, Query):
        predicate, checklist = query.predicate(), query.parameters()["checklistKey"]
    pygbif = importlib.import_module("pygbif.occurrences.download")
    body = pygbif.GbifDownload(account["GBIF_USER"], account["GBIF_EMAIL"], checklistKey=checklist)
    body.format = format
    body.predicate = pygbif._inject_checklist_into_predicates(predicate, checklist)
    login = (account["GBIF_USER"], account["GBIF_PWD"])
    post = partial(importlib.import_module("requests").post, auth=login, timeout=_TIMEOUT_S)
    answer = post(body.url.replace("http:", "https:"), json=body.payload, headers=body.header)
    answer.raise_for_status()
    return str(answer.text).strip().strip('"')


def _ask(what: str, request: Callable[[], Any], sleep: Sleep, tries: int = _TRIES) -> Any:
    """The answer to a request, tried again while GBIF is busy, failing or out of reach."""
    requests = importlib.import_module("requests")
    not_json = importlib.import_module("pygbif.gbifutils").NoResultException
    for n in itertools.count(1):
        try:
            return request()
        except (requests.RequestException, not_json) as error:
            answer = getattr(error, "response", None)
            status = 0 if answer is None else answer.status_code
            refused = 400 <= status < 500 and status != 429
            if refused or n == tries:
                said = "" if answer is None else f" ({answer.text[:300].strip()})"
                advice = "correct the query (401: the account)" if refused else "try again later"
                text = f"GBIF {what}, try {n}: {error}{said}; nothing was written, {advice}"
                raise RuntimeError(text) from error
            after = "" if answer is None else answer.headers.get("Retry-After", "")
            sleep(min(int(after) if after.isdecimal() else 2**n, _MAX_WAIT_S))


def _pygbif() -> Any:
    """pygbif, without the root log handler that importing it installs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    module = importlib.import_module("pygbif")
    root.handlers[:] = handlers
    root.setLevel(level)
    return module


def _room(path: Path) -> Path:
    """The folder to make `path` in; what exists is never overwritten."""
    if path.exists():
        raise FileExistsError(f"{path} exists: remove it, or write the snapshot elsewhere")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
